// SPDX-License-Identifier: Apache-2.0
/*
 * Reads ConfigMap kubeadm-config of kube-system, key ClusterConfiguration: YAML whose
 * networking.podSubnet is the range. This is the only answer that keyd waits for: without a range
 * it cannot tell which packets must not leave in cleartext.
 */
#include "kubeadm_range.h"

#include <errno.h>
#include <poll.h>

#include "kube.h"
#include "log.h"
#include "yaml_text.h"

#define PATIENCE_NS (30 * NS_PER_S)
#define ANSWER_MAX  (2 * 1024 * 1024)
#define PATH	    "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"

struct range_question {
	bool is_over, is_answered, is_final; /* is_final: asking again would not help */
	struct refusal why;
	char text[RANGE_TEXT_LEN];
};

/* -- the answer -- */

static bool read_configuration(struct range_question *question, const char *text, size_t len)
{
	yaml_document_t document;
	const yaml_node_t *root;
	const char *subnet;

	if (!yaml_text_open(&document, text, len, &question->why))
		return false;
	root = yaml_document_get_root_node(&document);
	subnet = yaml_scalar(&document, yaml_find(&document, root, "networking"), "podSubnet");
	if (!subnet || !copy_text(question->text, sizeof(question->text), subnet)) {
		question->text[0] = '\0';
		refusal_write(&question->why, "it has no networking.podSubnet");
	}
	yaml_document_delete(&document);
	return question->text[0];
}

static void read_answer(struct range_question *question, const char *body, size_t len)
{
	json_auto_t *object = object_load(body, len, &question->why);
	const json_t *value =
		json_object_get(json_object_get(object, "data"), "ClusterConfiguration");

	if (!object)
		return;
	if (!json_is_string(value))
		refusal_write(&question->why, "it has no ClusterConfiguration");
	else
		question->is_answered = read_configuration(question, json_string_value(value),
							   json_string_length(value));
}

static void answer_came(void *context, const struct http_result *result)
{
	struct range_question *question = context;

	question->is_over = true;
	question->is_final = !result->error && result->status < 500 && result->status != 429;
	if (!result->error && result->status == 200)
		read_answer(question, result->body, result->body_len);
	else
		kube_describe(&question->why, result);
}

/* -- asking -- */

static void ask(struct http *http, struct range_question *question, uint64_t until_ns)
{
	struct http_request request = {.path = PATH,
				       .body_max = ANSWER_MAX,
				       .timeout_s = KUBE_ANSWER_S,
				       .on_end = answer_came,
				       .context = question};
	struct pollfd fd = {.fd = http_fd(http), .events = POLLIN};
	int handle = http_start(http, &request);

	*question = (struct range_question){0};
	if (handle < 0)
		refusal_write(&question->why, "%s", strerror(-handle));
	while (handle > 0 && !question->is_over && boot_ns() < until_ns) {
		poll(&fd, 1, (int)((until_ns - boot_ns()) / NS_PER_MS + 1));
		http_drive(http);
	}
	if (handle > 0 && !question->is_over) {
		refusal_write(&question->why, "it does not answer");
		http_cancel(http, handle);
	}
}

static void ask_until_answered(struct http *http, struct range_question *question)
{
	uint64_t until_ns = boot_ns() + PATIENCE_NS;
	uint64_t again_ns;
	uint32_t failures = 0;

	do {
		ask(http, question, until_ns);
		if (question->is_answered || question->is_final)
			return;
		again_ns = MIN(kube_back_off_ns(failures++, NULL), until_ns);
		while (boot_ns() < again_ns)
			poll(NULL, 0, (int)((again_ns - boot_ns()) / NS_PER_MS + 1));
	} while (boot_ns() < until_ns);
}

bool kubeadm_range_discover(const char *kubeconfig, char ret_text[static RANGE_TEXT_LEN],
			    struct refusal *refusal)
{
	static struct range_question question; /* large, and only used here */
	struct credentials *account = NULL;
	struct http *http = NULL;

	if (credentials_open(&account, kubeconfig) || http_open(&http, account)) {
		refusal_write(&question.why, "the API server cannot be asked");
	} else {
		ask_until_answered(http, &question);
	}
	if (http)
		http_close(http);
	if (account)
		credentials_close(account);
	if (question.is_answered)
		copy_text(ret_text, RANGE_TEXT_LEN, question.text);
	else
		*refusal = question.why;
	return question.is_answered;
}
