// SPDX-License-Identifier: Apache-2.0
/*
 * Remembers the Events of the last ten minutes. Otherwise a fault that recurs every second, or an
 * attacker provoking one, would put load on the API server.
 */
#include "events.h"

#include "log.h"
#include "request.h"

#define BODY_LEN   4096
#define ANSWER_MAX 65536

void events_init(struct events *events, struct kube *kube)
{
	*events = (struct events){.kube = kube};
}

void events_clear(struct events *events)
{
	if (events->handle)
		http_cancel(events->kube->http, events->handle);
	*events = (struct events){0};
}

static bool is_over(const struct events_said *said, uint64_t now_ns)
{
	return !said->at_ns || now_ns - said->at_ns >= EVENTS_SPAN_NS;
}

void events_add(struct events *events, enum registry_event event, const char *text)
{
	uint64_t now_ns = boot_ns();
	struct events_said *place = NULL;

	for (unsigned int i = 0; i < EVENTS_MAX; i++) {
		struct events_said *said = &events->items[i];

		if (is_over(said, now_ns))
			place = said;
		else if (said->event == event && !strncmp(said->text, text, sizeof(said->text) - 1))
			return; /* the kept part is the same */
	}
	if (!place)
		return;
	*place = (struct events_said){.at_ns = now_ns, .event = event, .is_waiting = true};
	copy_text(place->text, sizeof(place->text), text);
}

/* -- posting -- */

static struct events_said *find_posted(struct events *events)
{
	for (unsigned int i = 0; i < EVENTS_MAX; i++)
		if (events->items[i].is_waiting && events->items[i].at_ns == events->posted_ns)
			return &events->items[i];
	return NULL; /* its slot was reused while it was being posted */
}

static struct events_said *find_waiting(struct events *events, uint64_t now_ns)
{
	struct events_said *oldest = NULL;

	for (unsigned int i = 0; i < EVENTS_MAX; i++) {
		struct events_said *said = &events->items[i];

		if (said->is_waiting && !is_over(said, now_ns) &&
		    (!oldest || said->at_ns < oldest->at_ns))
			oldest = said;
	}
	return oldest;
}

/* If we may not write Events, this is logged once; if the server rejects an Event for another
 * reason, it may accept the next one. */
static void note_refusal(struct events *events, const struct http_result *result)
{
	struct refusal why;

	if (events->is_forbidden)
		return;
	events->is_forbidden = true;
	kube_describe(&why, result);
	log_warning("an Event cannot be written: %s", why.text);
}

static void post_ended(void *context, const struct http_result *result)
{
	struct events *events = context;
	bool is_good = kube_note_result(events->kube, result);
	struct events_said *said = find_posted(events);

	events->handle = 0;
	if (!is_good && (result->error || result->status == 429 || result->status >= 500)) {
		events->not_before_ns = kube_back_off_ns(events->failures++, result);
		return;
	}
	events->failures = 0;
	if (!is_good)
		note_refusal(events, result);
	if (said)
		said->is_waiting = false;
}

static const char *reason_of(enum registry_event event)
{
	switch (event) {
	case EVENT_STRAGGLER:
		return "RotationStraggler";
	case EVENT_REFUSED:
		return "RecordRefused";
	case EVENT_LEAK:
		return "PlaintextSeen";
	case EVENT_HOOK:
		return "HookRemoved";
	}
	return "Podveil";
}

static void post(struct events *events, const struct events_said *said, const char *uid)
{
	const struct request_event event = {.node = events->kube->node_name,
					    .uid = uid,
					    .reason = reason_of(said->event),
					    .text = said->text,
					    .unix_s = (int64_t)(wall_ms() / 1000)};
	char body[BODY_LEN];
	ssize_t len = request_encode_event(body, sizeof(body), &event);
	struct http_request request = {.method = HTTP_POST,
				       .path = "/api/v1/namespaces/default/events",
				       .content_type = "application/json",
				       .body = body,
				       .body_len = (size_t)MAX(len, (ssize_t)0),
				       .body_max = ANSWER_MAX,
				       .timeout_s = KUBE_ANSWER_S,
				       .on_end = post_ended,
				       .context = events};
	int handle = len < 0 ? (int)len : http_start(events->kube->http, &request);

	events->posted_ns = said->at_ns;
	if (handle > 0)
		events->handle = handle;
	else
		events->not_before_ns = kube_back_off_ns(events->failures++, NULL);
}

uint64_t events_drive(struct events *events, const char *uid)
{
	uint64_t now_ns = boot_ns();
	const struct events_said *said = find_waiting(events, now_ns);

	if (!said || events->handle || !*uid)
		return UINT64_MAX;
	if (now_ns >= events->not_before_ns)
		post(events, said, uid);
	return events->handle ? UINT64_MAX : events->not_before_ns;
}
