// SPDX-License-Identifier: Apache-2.0
/*
 * Makes two attempts that deploy/'s admission policy must refuse: to write a foreign annotation to
 * our own Node, and our annotation to another Node. Any answer but success or refusal (429, 5xx, no
 * answer at all) proves nothing, and the attempt is repeated.
 */
#include "admission.h"

#include "log.h"
#include "node_object.h"
#include "request.h"

#define BODY_LEN   1024
#define ANSWER_MAX (4 * 1024 * 1024)

enum { FOREIGN_ANNOTATION, FOREIGN_NODE, ATTEMPTS };

void admission_init(struct admission *admission, struct kube *kube)
{
	*admission = (struct admission){.kube = kube};
}

void admission_clear(struct admission *admission)
{
	if (admission->handle)
		http_cancel(admission->kube->http, admission->handle);
	*admission = (struct admission){0};
}

/* -- the verdict -- */

static void note_gap(struct admission *admission)
{
	admission->is_open = true;
	if (admission->step == FOREIGN_ANNOTATION)
		refusal_write(&admission->gap,
			      "this node's token may write any annotation of its Node: install the "
			      "admission policy podveil-agent of deploy/");
	else
		refusal_write(
			&admission->gap,
			"this node's token may write the records of other Nodes (%s, for one): "
			"install the admission policy podveil-agent of deploy/",
			admission->other);
}

static void end_round(struct admission *admission)
{
	enum admission_verdict before = admission->verdict;

	admission->verdict = admission->is_open ? ADMISSION_OPEN : ADMISSION_TIGHT;
	if (admission->is_open)
		log_warning("%s", admission->gap.text);
	else if (before != ADMISSION_TIGHT)
		log_info("the admission policy restricts this node's token to its own Node and to "
			 "podveil's annotations");
	if (!admission->is_open)
		admission->gap.text[0] = '\0';
	admission->step = 0;
	admission->is_open = false;
	admission->not_before_ns = boot_ns() + ADMISSION_EVERY_NS;
}

static bool is_refusal(const struct http_result *result)
{
	return !result->error && (result->status == 403 || result->status == 422);
}

static void attempt_ended(void *context, const struct http_result *result)
{
	struct admission *admission = context;
	bool is_let_through = kube_note_result(admission->kube, result);

	admission->handle = 0;
	if (!is_let_through && !is_refusal(result)) {
		admission->not_before_ns = kube_back_off_ns(admission->failures++, result);
		return;
	}
	admission->failures = 0;
	if (is_let_through)
		note_gap(admission);
	/* One gap is enough, and it has been named. */
	if (admission->is_open || ++admission->step == ATTEMPTS)
		end_round(admission);
}

/* -- the attempts -- */

static void start(struct admission *admission)
{
	bool is_own = admission->step == FOREIGN_ANNOTATION;
	const char *node = is_own ? admission->kube->node_name : admission->other;
	char path[KUBE_PATH_LEN], body[BODY_LEN];
	ssize_t len = request_encode_annotation_patch(
		body, sizeof(body), NULL, is_own ? SELF_TEST_NAME : ANNOTATION_NAME, "self-test");
	struct http_request request = {
		.method = HTTP_PATCH,
		.path = kube_node_path(path, node, "?dryRun=All&fieldManager=podveil"),
		.content_type = "application/merge-patch+json",
		.body = body,
		.body_len = (size_t)MAX(len, (ssize_t)0),
		.body_max = ANSWER_MAX,
		.timeout_s = KUBE_ANSWER_S,
		.on_end = attempt_ended,
		.context = admission};
	int handle = len < 0 ? (int)len : http_start(admission->kube->http, &request);

	if (handle > 0)
		admission->handle = handle;
	else
		admission->not_before_ns = kube_back_off_ns(admission->failures++, NULL);
}

uint64_t admission_drive(struct admission *admission, const char *other)
{
	if (admission->handle)
		return UINT64_MAX;
	if (boot_ns() < admission->not_before_ns)
		return admission->not_before_ns;
	if (admission->step == FOREIGN_NODE && !other) {
		end_round(admission);
		return admission->not_before_ns;
	}
	if (admission->step == FOREIGN_NODE)
		copy_text(admission->other, sizeof(admission->other), other);
	start(admission);
	return admission->handle ? UINT64_MAX : admission->not_before_ns;
}
