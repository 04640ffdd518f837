// SPDX-License-Identifier: Apache-2.0
/*
 * What was said in the last ten minutes is remembered, so that neither a fault that comes back every second nor somebody who
 * provokes one becomes a load on the API server.
 */
#include "events.h"

#include "log.h"
#include "request.h"

#define BODY_LEN   4096
#define ANSWER_MAX 65536

void notices_init(struct notices *notices, struct kube *kube)
{
	*notices = (struct notices){.kube = kube};
}

void notices_clear(struct notices *notices)
{
	if (notices->handle)
		http_cancel(notices->kube->http, notices->handle);
	*notices = (struct notices){0};
}

static bool is_over(const struct notices_said *said, uint64_t now_ns)
{
	return !said->at_ns || now_ns - said->at_ns >= NOTICES_SPAN_NS;
}

void notices_add(struct notices *notices, enum registry_notice notice, const char *text)
{
	uint64_t now_ns = boot_ns();
	struct notices_said *place = NULL;

	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		struct notices_said *said = &notices->items[i];

		if (is_over(said, now_ns))
			place = said;
		else if (said->notice == notice &&
			 !strncmp(said->text, text, sizeof(said->text) - 1))
			return; /* what was kept of it is the same */
	}
	if (!place)
		return;
	*place = (struct notices_said){.at_ns = now_ns, .notice = notice, .is_waiting = true};
	copy_text(place->text, sizeof(place->text), text);
}

/* -- posting -- */

static struct notices_said *find_posted(struct notices *notices)
{
	for (unsigned int i = 0; i < NOTICES_MAX; i++)
		if (notices->items[i].is_waiting && notices->items[i].at_ns == notices->posted_ns)
			return &notices->items[i];
	return NULL; /* its place was needed meanwhile */
}

static struct notices_said *find_waiting(struct notices *notices, uint64_t now_ns)
{
	struct notices_said *oldest = NULL;

	for (unsigned int i = 0; i < NOTICES_MAX; i++) {
		struct notices_said *said = &notices->items[i];

		if (said->is_waiting && !is_over(said, now_ns) &&
		    (!oldest || said->at_ns < oldest->at_ns))
			oldest = said;
	}
	return oldest;
}

/* Who may not write Events is told once in the log; whatever else the server has against one, the next may be better. */
static void note_refusal(struct notices *notices, const struct http_result *result)
{
	struct refusal why;

	if (notices->is_forbidden)
		return;
	notices->is_forbidden = true;
	kube_describe(&why, result);
	log_warning("an Event cannot be written: %s", why.text);
}

static void post_ended(void *context, const struct http_result *result)
{
	struct notices *notices = context;
	bool is_good = kube_take_result(notices->kube, result);
	struct notices_said *said = find_posted(notices);

	notices->handle = 0;
	if (!is_good && (result->error || result->status == 429 || result->status >= 500)) {
		notices->not_before_ns = kube_back_off_ns(notices->failures++, result);
		return;
	}
	notices->failures = 0;
	if (!is_good)
		note_refusal(notices, result);
	if (said)
		said->is_waiting = false;
}

static const char *reason_of(enum registry_notice notice)
{
	switch (notice) {
	case NOTICE_STRAGGLER:
		return "RotationStraggler";
	case NOTICE_REFUSED:
		return "RecordRefused";
	case NOTICE_LEAK:
		return "PlaintextSeen";
	case NOTICE_HOOK:
		return "HookRemoved";
	}
	return "Podveil";
}

static void post(struct notices *notices, const struct notices_said *said, const char *uid)
{
	const struct request_notice notice = {.node = notices->kube->node_name,
					      .uid = uid,
					      .reason = reason_of(said->notice),
					      .text = said->text,
					      .unix_s = (int64_t)(wall_ms() / 1000)};
	char body[BODY_LEN];
	ssize_t len = request_encode_notice(body, sizeof(body), &notice);
	struct http_request request = {.method = HTTP_POST,
				       .path = "/api/v1/namespaces/default/events",
				       .content_type = "application/json",
				       .body = body,
				       .body_len = (size_t)MAX(len, (ssize_t)0),
				       .body_max = ANSWER_MAX,
				       .timeout_s = KUBE_ANSWER_S,
				       .on_end = post_ended,
				       .context = notices};
	int handle = len < 0 ? (int)len : http_start(notices->kube->http, &request);

	notices->posted_ns = said->at_ns;
	if (handle > 0)
		notices->handle = handle;
	else
		notices->not_before_ns = kube_back_off_ns(notices->failures++, NULL);
}

uint64_t notices_drive(struct notices *notices, const char *uid)
{
	uint64_t now_ns = boot_ns();
	const struct notices_said *said = find_waiting(notices, now_ns);

	if (!said || notices->handle || !*uid)
		return UINT64_MAX;
	if (now_ns >= notices->not_before_ns)
		post(notices, said, uid);
	return notices->handle ? UINT64_MAX : notices->not_before_ns;
}
