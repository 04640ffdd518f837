// SPDX-License-Identifier: Apache-2.0
/*
 * List, watch, and start again. A server's faults (410 in the middle, silence, versions that go
 * back, an end after every line) may cost time, but never lose a known object: only a complete list
 * that is no older than an object proves that it is gone. Rules: the Kubernetes API concepts on
 * list, watch, bookmarks and "410 Gone".
 */
#include "reflect.h"

#include <errno.h>

#define FAILURES_MAX 6	/* 2^6 seconds are more than REFLECT_BACKOFF_S */
#define LISTS_MAX    11 /* 2^11 seconds are more than REFLECT_LIST_REST_S */
#define STEADY_S     10 /* a watch that lasted this long was no failure */

/* More than 0, at most span_ns. */
static uint64_t jitter(uint64_t span_ns, uint32_t random)
{
	return span_ns / NS_PER_MS * random / UINT32_MAX * NS_PER_MS + 1;
}

static uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
	return MAX(a_ns, b_ns);
}

void reflect_init(struct reflect *reflect)
{
	*reflect = (struct reflect){.wants_list = true, .limit = REFLECT_PAGE_ITEMS};
}

/* -- the next step -- */

static struct reflect_action wait_until(uint64_t until_ns)
{
	return (struct reflect_action){.step = REFLECT_WAIT, .until_ns = until_ns};
}

static uint64_t list_due_ns(const struct reflect *reflect)
{
	/* Further pages belong to a list that has already started. */
	return reflect->next[0] ? reflect->not_before_ns
				: later(reflect->not_before_ns, reflect->list_not_before_ns);
}

static uint64_t watch_end_ns(const struct reflect *reflect)
{
	uint64_t end_ns =
		MIN(reflect->line_ns + REFLECT_SILENCE_S * NS_PER_S,
		    reflect->begun_ns + (reflect->timeout_s + REFLECT_GRACE_S) * NS_PER_S);

	return reflect->wants_list ? MIN(end_ns, list_due_ns(reflect)) : end_ns;
}

/* While the list must wait, a watch is due if there is a version to watch from. */
static uint64_t due_ns(const struct reflect *reflect)
{
	if (reflect->is_watching)
		return watch_end_ns(reflect);
	return reflect->version[0] ? reflect->not_before_ns : list_due_ns(reflect);
}

struct reflect_action reflect_next(const struct reflect *reflect, struct reflect_now now)
{
	const uint32_t span_s = REFLECT_WATCH_MAX_S - REFLECT_WATCH_MIN_S;

	if (reflect->is_listing)
		return wait_until(UINT64_MAX);
	if (now.ns < due_ns(reflect))
		return wait_until(due_ns(reflect));
	if (reflect->is_watching)
		return (struct reflect_action){.step = REFLECT_STOP};
	if (reflect->wants_list && now.ns >= list_due_ns(reflect))
		return (struct reflect_action){
			.step = REFLECT_LIST, .limit = reflect->limit, .next = reflect->next};
	if (reflect->is_in_doubt)
		return (struct reflect_action){.step = REFLECT_LOOK, .limit = 1, .next = ""};
	return (struct reflect_action){.step = REFLECT_WATCH,
				       .version = reflect->version,
				       .timeout_s =
					       REFLECT_WATCH_MIN_S + now.random % (span_s + 1)};
}

/* -- waiting -- */

/* Exponential back-off with full jitter, so that a thousand agents do not return in step. */
static void back_off(struct reflect *reflect, int64_t retry_after_s, struct reflect_now now)
{
	uint64_t span_s = MIN(1U << MIN(reflect->failures, FAILURES_MAX), REFLECT_BACKOFF_S);
	uint64_t wait_ns = jitter(span_s * NS_PER_S, now.random);

	if (retry_after_s > 0)
		wait_ns += (uint64_t)MIN(retry_after_s, REFLECT_RETRY_MAX_S) * NS_PER_S;
	reflect->not_before_ns = now.ns + wait_ns;
	reflect->failures++;
}

/* Each list makes the next one wait longer, until a long time has passed without any. */
static void rest_after_list(struct reflect *reflect, struct reflect_now now)
{
	uint64_t half_ns;

	if (reflect->lists && now.ns - reflect->listed_ns >= REFLECT_CALM_S * NS_PER_S)
		reflect->lists = 0;
	reflect->lists++;
	half_ns = MIN(1U << MIN(reflect->lists, LISTS_MAX), REFLECT_LIST_REST_S) * NS_PER_S / 2;
	reflect->listed_ns = now.ns;
	reflect->list_not_before_ns = now.ns + half_ns + jitter(half_ns, now.random);
}

static void begin_anew(struct reflect *reflect)
{
	reflect->wants_list = true;
	reflect->next[0] = '\0';
}

void reflect_line_lost(struct reflect *reflect)
{
	begin_anew(reflect);
	reflect->version[0] = '\0';
}

/* A running watch continues until the list is due. */
void reflect_item_lost(struct reflect *reflect)
{
	if (reflect->is_listing)
		reflect->has_lost_items = true;
	else
		begin_anew(reflect);
}

/* -- lists -- */

void reflect_list_begun(struct reflect *reflect)
{
	reflect->is_listing = true;
	if (!reflect->next[0])
		reflect->has_lost_items = false;
}

static void note_version(struct reflect *reflect, const char *version)
{
	copy_text(reflect->version, sizeof(reflect->version), version);
	if (!reflect->newest[0] || object_compare_versions(reflect->newest, version) <= 0)
		copy_text(reflect->newest, sizeof(reflect->newest), version);
}

/* A server that lags behind soon catches up or is replaced by another one; a server restored from a
 * backup stays in the past. */
static bool is_from_the_past(struct reflect *reflect, const char *version, struct reflect_now now)
{
	if (object_compare_versions(version, reflect->newest) >= 0) {
		reflect->is_past = false;
		return false;
	}
	if (!reflect->is_past) {
		reflect->is_past = true;
		reflect->past_ns = now.ns;
		return true;
	}
	return now.ns - reflect->past_ns < REFLECT_CONFIRM_S * NS_PER_S;
}

static enum reflect_verdict judge_list(struct reflect *reflect, const char *version,
				       struct reflect_now now)
{
	reflect->next[0] = '\0';
	reflect->is_in_doubt = false;
	rest_after_list(reflect, now);
	if (is_from_the_past(reflect, version, now)) {
		copy_text(reflect->version, sizeof(reflect->version), version);
		reflect->list_not_before_ns =
			later(reflect->list_not_before_ns,
			      reflect->past_ns + REFLECT_CONFIRM_S * NS_PER_S);
		return REFLECT_PAST; /* and another list is wanted */
	}
	if (reflect->is_past) /* it is now accepted */
		reflect->newest[0] = '\0';
	reflect->is_past = false;
	note_version(reflect, version);
	reflect->wants_list = reflect->has_lost_items;
	reflect->is_known = true;
	reflect->strikes = 0;
	return reflect->has_lost_items ? REFLECT_PARTIAL : REFLECT_WHOLE;
}

enum reflect_verdict reflect_page_came(struct reflect *reflect, const struct object_list *page,
				       struct reflect_now now)
{
	reflect->is_listing = false;
	reflect->failures = 0;
	reflect->not_before_ns = now.ns;
	if (!page->next[0])
		return judge_list(reflect, page->version, now);
	copy_text(reflect->next, sizeof(reflect->next), page->next);
	return REFLECT_MORE;
}

/* A restored server accepts a watch from a version that it has not reached yet, and then stays
 * silent. */
void reflect_look_came(struct reflect *reflect, const char *version, struct reflect_now now)
{
	reflect->is_listing = false;
	reflect->is_in_doubt = false;
	reflect->not_before_ns = now.ns;
	if (object_compare_versions(version, reflect->version) >= 0)
		return;
	copy_text(reflect->version, sizeof(reflect->version), version);
	begin_anew(reflect);
}

bool reflect_list_failed(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now)
{
	bool was_too_large = failure->error == -EMSGSIZE || failure->error == -ETIMEDOUT;
	bool is_smallest = reflect->limit == 1;

	reflect->is_listing = false;
	if (was_too_large)
		reflect->limit = MAX(reflect->limit / 2, 1U);
	else if (failure->status == 410 || failure->status == 400)
		reflect->next[0] = '\0'; /* it was started too long ago */
	back_off(reflect, failure->retry_after_s, now);
	return failure->error != -EMSGSIZE || !is_smallest;
}

/* -- watches -- */

void reflect_watch_begun(struct reflect *reflect, const struct reflect_action *action,
			 struct reflect_now now)
{
	reflect->is_watching = true;
	reflect->begun_ns = reflect->line_ns = now.ns;
	reflect->timeout_s = action->timeout_s;
}

bool reflect_line_came(struct reflect *reflect, const struct object_event *event,
		       struct reflect_now now)
{
	int order;

	if (event->type == OBJECT_ERROR)
		return false;
	reflect->line_ns = now.ns;
	reflect->strikes = 0;
	order = object_compare_versions(event->meta.version, reflect->version);
	if (order < 0) {
		begin_anew(reflect);
		/* A bookmark gives the version of the whole collection. */
		if (event->type == OBJECT_BOOKMARK)
			copy_text(reflect->version, sizeof(reflect->version), event->meta.version);
		return false;
	}
	if (event->type != OBJECT_BOOKMARK && !strcmp(event->meta.version, reflect->version))
		return false;
	note_version(reflect, event->meta.version);
	return event->type != OBJECT_BOOKMARK;
}

/* The server may refuse the version itself: too old (410), from another server, or in the future
 * (504). */
static void judge_refusal(struct reflect *reflect, long status)
{
	bool is_about_us = status == 401 || status == 403 || status == 429 || status == 503;

	if (!is_about_us)
		reflect->strikes++;
	if (status == 410 || status == 400 || reflect->strikes >= REFLECT_STRIKES)
		reflect_line_lost(reflect);
}

void reflect_watch_ended(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now)
{
	bool was_refused = failure && !failure->error && failure->status >= 400;

	reflect->is_watching = false;
	reflect->is_in_doubt |= !failure || failure->error || was_refused;
	if (now.ns - reflect->begun_ns >= STEADY_S * NS_PER_S && !was_refused)
		reflect->failures = 0;
	if (was_refused)
		judge_refusal(reflect, failure->status);
	back_off(reflect, failure ? failure->retry_after_s : -1, now);
}
