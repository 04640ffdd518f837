// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes in, objects out. Only one page and one line are ever kept of the server's data, and both
 * are limited in size. Lists are requested without a resourceVersion: the answer is then the
 * cluster's agreed state, not the memory of one of its servers.
 */
#include "reflector.h"

#include <errno.h>

#include "log.h"
#include "request.h"

#define PATH_LEN   (3 * OBJECT_NEXT_LEN + 1024)
#define LINE_FIRST 16384

void reflector_init(struct reflector *reflector, struct kube *kube,
		    const struct reflector_source *source)
{
	*reflector = (struct reflector){.kube = kube, .source = *source};
	reflect_init(&reflector->reflect);
}

/* -- success and failure -- */

/* Logged once, and again only after a success in between. */
static void note_trouble(struct reflector *reflector, const char *verb, const struct refusal *why)
{
	refusal_write(&reflector->trouble, "the API server's %s cannot be %s: %.220s",
		      reflector->source.what, verb, why->text);
	if (!reflector->troubles++)
		log_info("%s (keyd tries again)", reflector->trouble.text);
}

static void note_success(struct reflector *reflector)
{
	if (reflector->troubles > 1)
		log_info("the API server's %s can be followed again", reflector->source.what);
	reflector->was_reached = true;
	reflector->is_watch_refused = false;
	reflector->troubles = 0;
	reflector->trouble.text[0] = '\0';
}

const char *reflector_complaint(const struct reflector *reflector)
{
	bool is_passing = reflector->was_reached && reflector->troubles < 2;

	return reflector->trouble.text[0] && !is_passing ? reflector->trouble.text : NULL;
}

/* -- lists -- */

static void handle_lost(struct reflector *reflector, const struct refusal *why)
{
	const struct reflector_source *source = &reflector->source;

	if (source->handle_lost)
		source->handle_lost(source->context, why);
	else
		log_warning("one of the API server's %s cannot be read: %s: no object counts as "
			    "deleted, and they are listed again",
			    source->what, why->text);
	reflect_item_lost(&reflector->reflect);
}

/* False: the page is truncated. */
static bool handle_items(struct reflector *reflector, struct object_list *page,
			 struct refusal *refusal)
{
	const struct reflector_source *source = &reflector->source;

	if (source->begin_list && !reflector->reflect.next[0])
		source->begin_list(source->context);
	while (object_list_has_more(page)) {
		struct refusal why = {0};
		json_auto_t *object = object_list_read(page, &why);

		if (page->is_cut) {
			*refusal = why;
			return false;
		}
		if (!object || !source->handle_item(source->context, object, &why))
			handle_lost(reflector, &why);
	}
	return true;
}

static void fail_list(struct reflector *reflector, const struct reflect_failure *failure,
		      struct refusal *why)
{
	if (!reflect_list_failed(&reflector->reflect, failure, kube_now()))
		refusal_write(why, "a single object is larger than %d MiB",
			      REFLECTOR_PAGE_MAX / 1024 / 1024);
	note_trouble(reflector, "listed", why);
}

static void handle_page(struct reflector *reflector, const struct http_result *result)
{
	const struct reflect_failure garbled = {.error = -EBADMSG, .retry_after_s = -1};
	static struct object_list page; /* large, and only used here */
	enum reflect_verdict verdict;
	struct refusal why = {0};

	if (!object_list_open(&page, result->body, result->body_len, &why) ||
	    !handle_items(reflector, &page, &why)) {
		fail_list(reflector, &garbled, &why);
		return;
	}
	note_success(reflector);
	verdict = reflect_page_came(&reflector->reflect, &page, kube_now());
	if (verdict == REFLECT_PAST)
		log_warning("the API server's list of %s is older than its previous answers: no "
			    "object counts as deleted, and they are listed again",
			    reflector->source.what);
	if (verdict != REFLECT_MORE)
		reflector->source.handle_listed(reflector->source.context, verdict);
}

static void look_ended(void *context, const struct http_result *result)
{
	struct reflector *reflector = context;
	struct reflect_failure failure = kube_failure(result);
	static struct object_list page; /* large, and only used here */
	struct refusal why = {0};

	reflector->handle = 0;
	if (!kube_note_result(reflector->kube, result)) {
		kube_describe(&why, result);
		fail_list(reflector, &failure, &why);
	} else if (!object_list_open(&page, result->body, result->body_len, &why)) {
		failure = (struct reflect_failure){.error = -EBADMSG, .retry_after_s = -1};
		fail_list(reflector, &failure, &why);
	} else {
		if (!reflector->is_watch_refused)
			note_success(reflector);
		reflect_look_came(&reflector->reflect, page.version, kube_now());
	}
}

static void list_ended(void *context, const struct http_result *result)
{
	struct reflector *reflector = context;
	struct reflect_failure failure = kube_failure(result);
	struct refusal why;

	reflector->handle = 0;
	reflector->is_forbidden = failure.status == 403;
	if (kube_note_result(reflector->kube, result)) {
		handle_page(reflector, result);
		return;
	}
	kube_describe(&why, result);
	fail_list(reflector, &failure, &why);
}

static bool build_list_path(char path[static PATH_LEN], const struct reflector *reflector,
			    const struct reflect_action *action)
{
	const struct reflector_source *source = &reflector->source;
	static char next[3 * OBJECT_NEXT_LEN]; /* large, and only used here */

	if (!request_escape(next, sizeof(next), action->next))
		return false;
	return snprintf(path, PATH_LEN, "%s?limit=%u%s%s%s%s", source->path, action->limit,
			source->selector ? "&" : "", source->selector ? source->selector : "",
			*next ? "&continue=" : "", next) < PATH_LEN;
}

static void start_list(struct reflector *reflector, const struct reflect_action *action)
{
	static char path[PATH_LEN]; /* large, and only used here */
	struct http_request request = {.path = path,
				       .body_max = REFLECTOR_PAGE_MAX,
				       .timeout_s = REFLECT_LIST_S,
				       .on_end = action->step == REFLECT_LOOK ? look_ended
									      : list_ended,
				       .context = reflector};
	int handle = build_list_path(path, reflector, action)
			     ? http_start(reflector->kube->http, &request)
			     : -ENAMETOOLONG;

	if (handle < 0) {
		const struct reflect_failure failure = {.error = handle, .retry_after_s = -1};

		reflect_list_failed(&reflector->reflect, &failure, kube_now());
		return;
	}
	reflector->handle = handle;
	reflect_list_begun(&reflector->reflect);
}

/* -- watches -- */

static void end_watch_by(struct reflector *reflector, int error, const struct object_status *status)
{
	reflector->has_ending = true;
	reflector->ending = (struct reflect_failure){.error = error, .retry_after_s = -1};
	if (status) {
		reflector->ending.status = status->code;
		reflector->ending.retry_after_s = status->retry_after_s;
	}
}

static void handle_event(struct reflector *reflector, const struct object_event *event)
{
	const struct reflector_source *source = &reflector->source;

	if (!event->refusal.text[0])
		source->handle_event(source->context, event);
	else if (!source->handle_bad_event || !source->handle_bad_event(source->context, event))
		handle_lost(reflector, &event->refusal);
}

/* False: the watch must end. */
static bool handle_line(struct reflector *reflector, const char *line, size_t len)
{
	struct refusal why = {0};
	struct object_event event;
	json_auto_t *root = NULL;

	if (!len)
		return true;
	root = object_load_event(line, len, &event, &why);
	if (!root) {
		note_trouble(reflector, "watched", &why);
		reflect_line_lost(&reflector->reflect);
		end_watch_by(reflector, -EBADMSG, NULL);
		return false;
	}
	if (event.type == OBJECT_ERROR) {
		log_info("the API server ended the watch of %s: %ld %s", reflector->source.what,
			 event.status.code, event.status.text.text);
		end_watch_by(reflector, 0, &event.status);
		return false;
	}
	note_success(reflector);
	if (reflect_line_came(&reflector->reflect, &event, kube_now()))
		handle_event(reflector, &event);
	return true;
}

static bool keep(struct reflector *reflector, const char *data, size_t len)
{
	size_t wanted = reflector->line_len + len;

	if (wanted > reflector->line_size) {
		size_t size = MAX(MAX(wanted, (size_t)LINE_FIRST), 2 * reflector->line_size);
		char *grown = wanted > REFLECTOR_LINE_MAX ? NULL : realloc(reflector->line, size);

		if (!grown)
			return false;
		reflector->line = grown;
		reflector->line_size = size;
	}
	memcpy(reflector->line + reflector->line_len, data, len);
	reflector->line_len = wanted;
	return true;
}

static void forget_line(struct reflector *reflector)
{
	free(reflector->line);
	reflector->line = NULL;
	reflector->line_len = reflector->line_size = 0;
}

static bool lose_line(struct reflector *reflector)
{
	struct refusal why;

	refusal_write(&why, "a line is longer than %d MiB, or memory is short",
		      REFLECTOR_LINE_MAX / 1024 / 1024);
	note_trouble(reflector, "watched", &why);
	reflect_line_lost(&reflector->reflect);
	end_watch_by(reflector, -EMSGSIZE, NULL);
	return false;
}

/* Complete lines are parsed in place. */
static bool watch_brings(void *context, const char *data, size_t len)
{
	struct reflector *reflector = context;

	kube_note_contact(reflector->kube);
	for (const char *end; (end = memchr(data, '\n', len));) {
		size_t part = (size_t)(end - data);
		bool goes_on;

		if (reflector->line_len) {
			if (!keep(reflector, data, part))
				return lose_line(reflector);
			goes_on = handle_line(reflector, reflector->line, reflector->line_len);
			forget_line(reflector);
		} else {
			goes_on = handle_line(reflector, data, part);
		}
		if (!goes_on)
			return false;
		data += part + 1;
		len -= part + 1;
	}
	return !len || keep(reflector, data, len) || lose_line(reflector);
}

static void watch_ended(void *context, const struct http_result *result)
{
	struct reflector *reflector = context;
	struct reflect_failure failure =
		reflector->has_ending ? reflector->ending : kube_failure(result);
	struct refusal why;

	reflector->handle = 0;
	forget_line(reflector);
	if (!kube_note_result(reflector->kube, result) && !reflector->has_ending) {
		kube_describe(&why, result);
		note_trouble(reflector, "watched", &why);
		reflector->is_watch_refused = !result->error;
	}
	reflect_watch_ended(&reflector->reflect, &failure, kube_now());
}

static void start_watch(struct reflector *reflector, const struct reflect_action *action)
{
	const struct reflector_source *source = &reflector->source;
	char path[1024], version[3 * OBJECT_VERSION_LEN];
	struct http_request request = {.path = path,
				       .accept = source->watch_accept,
				       .silence_s = REFLECT_SILENCE_S,
				       .on_data = watch_brings,
				       .on_end = watch_ended,
				       .context = reflector};

	if (!request_escape(version, sizeof(version), action->version))
		version[0] = '\0'; /* the server decides how to answer that */
	snprintf(path, sizeof(path),
		 "%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u%s%s",
		 source->path, version, action->timeout_s, source->selector ? "&" : "",
		 source->selector ? source->selector : "");
	reflector->has_ending = false;
	reflect_watch_begun(&reflector->reflect, action, kube_now());
	reflector->handle = http_start(reflector->kube->http, &request);
	if (reflector->handle < 0) {
		struct reflect_failure failure = {.error = reflector->handle, .retry_after_s = -1};

		reflector->handle = 0;
		reflect_watch_ended(&reflector->reflect, &failure, kube_now());
	}
}

static void stop_watch(struct reflector *reflector)
{
	const struct refusal why = {"it has stopped sending"};

	if (!reflector->reflect.wants_list)
		note_trouble(reflector, "watched", &why);
	http_cancel(reflector->kube->http, reflector->handle);
	reflector->handle = 0;
	forget_line(reflector);
	reflect_watch_ended(&reflector->reflect, NULL, kube_now());
}

/* -- drive -- */

uint64_t reflector_drive(struct reflector *reflector)
{
	for (;;) {
		struct reflect_action action = reflect_next(&reflector->reflect, kube_now());

		switch (action.step) {
		case REFLECT_WAIT:
			return action.until_ns;
		case REFLECT_LIST:
		case REFLECT_LOOK:
			start_list(reflector, &action);
			break;
		case REFLECT_WATCH:
			start_watch(reflector, &action);
			break;
		case REFLECT_STOP:
			stop_watch(reflector);
			break;
		}
	}
}

void reflector_clear(struct reflector *reflector)
{
	if (reflector->handle)
		http_cancel(reflector->kube->http, reflector->handle);
	forget_line(reflector);
	*reflector = (struct reflector){0};
}
