// SPDX-License-Identifier: Apache-2.0
/*
 * Compares the actual state with the desired one and writes only a difference: there is no
 * heartbeat. Each write names the Node that it means (uid) and the state that we looked at
 * (resourceVersion), so that an old Node's record never lands on a new one, and no other client's
 * change is overwritten unseen. There is one write at a time, our record before everything else.
 */
#include "own_node.h"

#include <errno.h>

#include "log.h"
#include "request.h"

#define BODY_MAX	(4 * 1024 * 1024)
#define READ_SPACING_NS (60 * NS_PER_S)	  /* while nothing that concerns us has changed */
#define CHANGED_NS	(200 * NS_PER_MS) /* while another client keeps changing our record */
#define INCOMPLETE_NS	(5 * NS_PER_S)	  /* while our podCIDRs are missing */
#define INCOMPLETE_MAX	7
#define CONFLICTS_MAX	3 /* in a row; more of them count as failures */

void own_node_init(struct own_node *own, struct kube *kube)
{
	*own = (struct own_node){.kube = kube, .taint = -1};
}

void own_node_clear(struct own_node *own)
{
	if (own->read_handle)
		http_cancel(own->kube->http, own->read_handle);
	if (own->write_handle)
		http_cancel(own->kube->http, own->write_handle);
	free(own->node);
	free(own->text);
	*own = (struct own_node){.taint = -1};
}

/* -- reporting -- */

/* Also reports an unchanged Node: a caller that waits for a write then checks its outcome. */
void own_node_tell(struct own_node *own)
{
	own->is_waited_for = false;
	if (own->node)
		kube_tell_node(own->kube, REGISTRY_OWN, own->node);
}

static void note_trouble(struct refusal *trouble, const char *what, const struct refusal *why)
{
	struct refusal text;

	refusal_write(&text, "this node's Node object cannot be %s: %.220s", what, why->text);
	if (strcmp(text.text, trouble->text))
		log_warning("%s", text.text);
	*trouble = text;
}

const char *own_node_complaint(const struct own_node *own)
{
	if (own->read_trouble.text[0])
		return own->read_trouble.text;
	return own->write_trouble.text[0] ? own->write_trouble.text : NULL;
}

static void tell_request(struct own_node *own)
{
	struct registry_change change = {.kind = REGISTRY_REQUESTED};
	const struct node_asks *asks = &own->asks;

	if (asks->is_too_long && !own->was_too_long)
		log_warning(ROTATE_REQUESTED_NAME
			    " of this node is longer than %d characters: the request is not served",
			    NODE_REQUEST_MAX);
	own->was_too_long = asks->is_too_long;
	if (!asks->requested[0] || !strcmp(asks->requested, asks->served) ||
	    !strcmp(asks->requested, own->told))
		return;
	copy_text(own->told, sizeof(own->told), asks->requested);
	copy_text(change.name, sizeof(change.name), own->kube->node_name);
	kube_tell(own->kube, &change);
}

/* -- the API server's answers -- */

/* Another Node now has our name: no state of the old one applies. */
static void forget_old_node(struct own_node *own, const struct object_meta *meta)
{
	if (own->meta.uid[0])
		log_warning("this node's Node object was re-created (uid %s): this node starts "
			    "over",
			    meta->uid);
	free(own->text);
	own->text = NULL;
	own->was_written = false;
	own->told[0] = own->served[0] = own->version[0] = '\0';
	own->taint = -1;
}

static void handle_meta(struct own_node *own, const struct object_meta *meta, const json_t *object)
{
	if (strcmp(own->meta.uid, meta->uid))
		forget_old_node(own, meta);
	own->is_gone = false;
	own->meta = *meta;
	node_object_decode_asks(object, &own->asks);
}

static bool is_incomplete(const struct own_node *own)
{
	return !own->node || !own->node->pod_cidr_count;
}

static bool handle_whole(struct own_node *own, const json_t *object, const struct object_meta *meta,
			 struct refusal *refusal)
{
	static struct node node; /* large, and only used here */
	struct node *copy;

	if (!node_object_decode(object, &node, own->kube->pods, refusal))
		return false;
	copy = node_copy(&node);
	if (!copy)
		return refuse(refusal, "not enough memory");
	handle_meta(own, meta, object);
	free(own->node);
	own->node = copy;
	memcpy(own->digest, own->asks.digest, sizeof(own->digest));
	copy_text(own->version, sizeof(own->version), meta->version);
	own->taint = node_object_find_startup_taint(object);
	own->was_read_ns = boot_ns();
	own->incomplete_reads = is_incomplete(own) ? own->incomplete_reads + 1 : 0;
	own->wants_reading = false;
	own->read_failures = 0;
	own->read_trouble.text[0] = '\0';
	own_node_tell(own);
	tell_request(own);
	return true;
}

static bool handle_object(struct own_node *own, const json_t *object, struct refusal *refusal)
{
	struct object_meta meta;

	if (!object_decode_meta(object, &meta, refusal))
		return false;
	return handle_whole(own, object, &meta, refusal);
}

void own_node_handle_item(struct own_node *own, const json_t *object)
{
	struct refusal why = {0};

	if (!handle_object(own, object, &why))
		note_trouble(&own->read_trouble, "read", &why);
}

void own_node_handle_absence(struct own_node *own)
{
	const struct refusal why = {"the API server has no Node of this name"};

	own->is_gone = true;
	note_trouble(&own->read_trouble, "found", &why);
}

void own_node_handle_event(struct own_node *own, const struct object_event *event)
{
	bool is_same = !strcmp(event->meta.uid, own->meta.uid);

	if (event->type == OBJECT_DELETED) {
		if (is_same)
			own_node_handle_absence(own);
		return;
	}
	/* The answer to a write may have arrived before the watch's event. */
	if (is_same && object_compare_versions(event->meta.version, own->meta.version) < 0)
		return;
	handle_meta(own, &event->meta, event->object);
	/* The event caused by our own write contains nothing new. */
	own->wants_reading |= strcmp(event->meta.version, own->version) != 0;
	tell_request(own);
}

void own_node_look_again(struct own_node *own)
{
	if (!own_node_is_known(own))
		return;
	own->version[0] = '\0';
	own->wants_reading = true;
}

/* -- reading -- */

static uint64_t read_due_ns(const struct own_node *own)
{
	uint64_t due_ns = own->was_read_ns + READ_SPACING_NS;

	if (!own->version[0])
		due_ns = 0;
	else if (memcmp(own->digest, own->asks.digest, sizeof(own->digest)))
		due_ns = own->was_read_ns + CHANGED_NS;
	else if (is_incomplete(own))
		due_ns = own->was_read_ns +
			 (INCOMPLETE_NS
			  << MIN(MAX(own->incomplete_reads, 1U) - 1, (uint32_t)INCOMPLETE_MAX));
	return MAX(due_ns, own->read_not_before_ns);
}

static void read_later(struct own_node *own, const struct http_result *result,
		       const struct refusal *why)
{
	own->wants_reading = true;
	own->read_not_before_ns = kube_back_off_ns(own->read_failures++, result);
	note_trouble(&own->read_trouble, "read", why);
	own_node_tell(own);
}

/* Handles our Node's current state. */
static void handle_answer(struct own_node *own, const struct http_result *result)
{
	struct refusal why = {0};
	json_auto_t *object = object_load(result->body, result->body_len, &why);

	if (!object || !handle_object(own, object, &why))
		read_later(own, NULL, &why);
}

static void read_ended(void *context, const struct http_result *result)
{
	struct own_node *own = context;
	struct refusal why = {0};

	own->read_handle = 0;
	if (!kube_note_result(own->kube, result)) {
		kube_describe(&why, result);
		if (!result->error && result->status == 404)
			own_node_handle_absence(own);
		read_later(own, result, &why);
		return;
	}
	handle_answer(own, result);
}

static void start_reading(struct own_node *own)
{
	char path[KUBE_PATH_LEN];
	struct http_request request = {.path = kube_node_path(path, own->kube->node_name, ""),
				       .body_max = BODY_MAX,
				       .timeout_s = KUBE_ANSWER_S,
				       .on_end = read_ended,
				       .context = own};
	int handle = http_start(own->kube->http, &request);

	if (handle > 0)
		own->read_handle = handle;
	else
		own->read_not_before_ns = kube_back_off_ns(own->read_failures++, NULL);
}

/* -- writing -- */

static bool is_record_there(const struct own_node *own)
{
	return !memcmp(own->text_digest, own->asks.digest, sizeof(own->text_digest));
}

static bool is_served_there(const struct own_node *own)
{
	return !own->served[0] || !strcmp(own->served, own->asks.served);
}

/* Another client wrote first, or the taint's index has changed: the current state decides. */
static bool is_conflict(const struct http_result *result)
{
	return !result->error && (result->status == 409 || result->status == 422);
}

static void write_failed(struct own_node *own, const struct http_result *result)
{
	struct refusal why;

	own->version[0] = '\0'; /* read it again before anything else */
	own->wants_reading = true;
	own->write_failures++;
	if (is_conflict(result) && own->write_failures <= CONFLICTS_MAX)
		return;
	kube_describe(&why, result);
	note_trouble(&own->write_trouble, "written", &why);
	own->write_not_before_ns = kube_back_off_ns(own->write_failures - 1, result);
	own_node_tell(own);
}

static void write_ended(void *context, const struct http_result *result)
{
	struct own_node *own = context;
	enum own_write writing = own->writing;

	own->write_handle = 0;
	own->writing = OWN_NOTHING;
	if (!kube_note_result(own->kube, result)) {
		write_failed(own, result);
		return;
	}
	own->write_failures = 0;
	own->write_trouble.text[0] = '\0';
	own->was_written |= writing == OWN_RECORD;
	handle_answer(own, result);
}

static ssize_t encode(const struct own_node *own, enum own_write write, char *text, size_t size)
{
	switch (write) {
	case OWN_NOTHING:
		break;
	case OWN_RECORD:
		return request_encode_annotation_patch(text, size, &own->meta, ANNOTATION_NAME,
						       own->text);
	case OWN_SERVED:
		return request_encode_annotation_patch(text, size, &own->meta, ROTATE_SERVED_NAME,
						       own->served);
	case OWN_TAINT:
		return request_encode_taint_patch(text, size, own->meta.uid, own->taint);
	}
	return -EINVAL;
}

static void start_write(struct own_node *own, enum own_write write)
{
	CLEANUP_FREE char *text = malloc(REQUEST_BODY_MAX);
	ssize_t len = text ? encode(own, write, text, REQUEST_BODY_MAX) : -ENOMEM;
	char path[KUBE_PATH_LEN];
	struct http_request request = {
		.method = HTTP_PATCH,
		.path = kube_node_path(path, own->kube->node_name, "?fieldManager=podveil"),
		.content_type = write == OWN_TAINT ? "application/json-patch+json"
						   : "application/merge-patch+json",
		.body = text,
		.body_len = (size_t)MAX(len, (ssize_t)0),
		.body_max = BODY_MAX,
		.timeout_s = KUBE_ANSWER_S,
		.on_end = write_ended,
		.context = own};
	int handle = len < 0 ? (int)len : http_start(own->kube->http, &request);

	if (handle < 0) {
		own->write_not_before_ns = kube_back_off_ns(own->write_failures++, NULL);
		return;
	}
	own->write_handle = handle;
	own->writing = write;
}

/* Its current state is known, no request is running, and no back-off is pending. */
static bool may_write(const struct own_node *own)
{
	return own_node_is_known(own) && own->version[0] && !own->read_handle &&
	       !own->write_handle && boot_ns() >= own->write_not_before_ns;
}

/* -- the agent's requests -- */

static int set_text(struct own_node *own, const struct annotation *annotation)
{
	CLEANUP_FREE char *text = malloc(ANNOTATION_TEXT_MAX);
	ssize_t len = text ? annotation_encode(text, ANNOTATION_TEXT_MAX, annotation) : -ENOMEM;

	if (len < 0)
		return (int)len;
	if (!own->text || strcmp(own->text, text)) {
		free(own->text);
		own->text = TAKE_PTR(text);
		own->was_written = false;
		own->write_not_before_ns = 0; /* a change of keys never waits */
	}
	node_object_digest_record(own->text, strlen(own->text), own->node && own->node->is_excluded,
				  own->text_digest);
	return 0;
}

static bool pop_was_written(struct own_node *own)
{
	bool was_written = own->was_written;

	own->was_written = false;
	return was_written;
}

int own_node_publish(struct own_node *own, const struct annotation *annotation)
{
	int error;

	if (!own_node_is_known(own))
		return -ENOENT;
	error = set_text(own, annotation);
	if (error)
		return error;
	if (is_record_there(own))
		return pop_was_written(own);
	own->is_waited_for = true;
	if (may_write(own))
		start_write(own, OWN_RECORD);
	else
		own_node_drive(own);
	return boot_ns() >= own->write_not_before_ns ? -EINPROGRESS : -EAGAIN;
}

void own_node_remove_startup_taint(struct own_node *own)
{
	bool is_published = own->text && is_record_there(own);

	if (own->taint >= 0 && is_published && may_write(own))
		start_write(own, OWN_TAINT);
}

void own_node_settle_request(struct own_node *own)
{
	if (own->told[0])
		copy_text(own->served, sizeof(own->served), own->told);
	own_node_drive(own);
}

/* -- drive -- */

static uint64_t drive_reading(struct own_node *own, uint64_t now_ns)
{
	uint64_t due_ns = read_due_ns(own);

	if (!own->wants_reading || own->is_gone || own->read_handle || own->write_handle)
		return UINT64_MAX;
	if (now_ns < due_ns)
		return due_ns;
	start_reading(own);
	return own->read_handle ? UINT64_MAX : own->read_not_before_ns;
}

/* Tells a caller that had to wait; it then asks again for the state that is right by then. */
static uint64_t drive_writing(struct own_node *own, uint64_t now_ns)
{
	if (!own->is_waited_for && is_served_there(own))
		return UINT64_MAX;
	if (now_ns < own->write_not_before_ns)
		return own->write_not_before_ns;
	if (!may_write(own))
		return UINT64_MAX; /* the running request ends with a report to the agent */
	if (own->is_waited_for)
		own_node_tell(own);
	if (is_served_there(own))
		return UINT64_MAX;
	start_write(own, OWN_SERVED);
	return own->write_handle ? UINT64_MAX : own->write_not_before_ns;
}

uint64_t own_node_drive(struct own_node *own)
{
	uint64_t now_ns = boot_ns(), read_ns = drive_reading(own, now_ns);

	return MIN(read_ns, drive_writing(own, now_ns));
}
