/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a collection of the API server: list it page by page, watch it from there, and begin anew where the watch
 * cannot go on. A state machine: what came and what time it is go in, the next step comes out. CORE.
 *
 * The API server is never hurried. Failures are answered by waiting (1 s to 60 s, at random, or as long as the server
 * says), and lists that bring nothing new by waiting longer each time, up to ten minutes and more.
 */
#pragma once

#include "object.h"

#define REFLECT_PAGE_ITEMS  100
#define REFLECT_LIST_S	    60	/* for one page */
#define REFLECT_SILENCE_S   150 /* without a whole line: bookmarks come every minute */
#define REFLECT_WATCH_MIN_S 300
#define REFLECT_WATCH_MAX_S 600
#define REFLECT_GRACE_S	    30 /* after the time at which the server ends a watch */
#define REFLECT_BACKOFF_S   60
#define REFLECT_RETRY_MAX_S 600	 /* a longer Retry-After is not believed */
#define REFLECT_LIST_REST_S 1200 /* between two lists in the long run; half of it at random */
#define REFLECT_CALM_S	    (4 * REFLECT_LIST_REST_S) /* without a list: the next one need not rest */
#define REFLECT_CONFIRM_S   30 /* before a server that has gone back in time is believed */
#define REFLECT_STRIKES \
	5 /* refusals of a watch in a row: perhaps it is our version that is wrong */

/* `random` is uniform, of this moment. */
struct reflect_now {
	uint64_t ns;
	uint32_t random;
};

enum reflect_step {
	REFLECT_WAIT, /* until `until_ns`, or the next event */
	REFLECT_LIST, /* ask for a page */
	REFLECT_LOOK, /* ask for one item, only to see at which version the collection is */
	REFLECT_WATCH,
	REFLECT_STOP, /* end the watch that runs; nothing more comes of it */
};

struct reflect_action {
	enum reflect_step step;
	uint64_t until_ns;   /* of WAIT */
	uint32_t limit;	     /* of LIST: items in the page */
	const char *next;    /* of LIST: the page's `continue`; empty: the first one */
	const char *version; /* of WATCH */
	uint32_t timeout_s;  /* of WATCH, for the server */
};

/* How a request ended; http.h has the meanings. */
struct reflect_failure {
	int error;
	long status;
	int64_t retry_after_s; /* -1: not said */
};

enum reflect_verdict {
	REFLECT_MORE,  /* another page follows */
	REFLECT_WHOLE, /* what was on none of the pages is gone */
	REFLECT_PARTIAL, /* whole but for items that may be any object: it proves none gone. It is listed again soon. */
	REFLECT_PAST, /* whole, but older than what we know: it proves nobody gone. It is listed again soon, and believed then. */
};

struct reflect {
	bool is_listing, is_watching; /* a request runs (a look counts as a list); never both */
	bool is_known;		      /* a whole list is in */
	bool wants_list;
	bool is_in_doubt; /* a watch did not end as it should: perhaps the server has been restored to the past meanwhile */
	uint32_t limit;
	char version[OBJECT_VERSION_LEN]; /* to watch from; empty: from nothing we know */
	char newest[OBJECT_VERSION_LEN];  /* greatest one seen */
	char next[OBJECT_NEXT_LEN];	  /* of a list that is not whole yet */
	uint32_t failures;		  /* in a row */
	uint32_t strikes;		  /* refused watches in a row */
	uint32_t lists;			  /* whole ones, too soon after each other */
	uint64_t not_before_ns;		  /* any request */
	uint64_t listed_ns, list_not_before_ns;
	bool has_lost_items; /* of the list that is being read */
	bool is_past; /* the last list was, since ... */
	uint64_t past_ns;
	uint64_t begun_ns, line_ns; /* of the watch that runs */
	uint32_t timeout_s;
};

void reflect_init(struct reflect *reflect);

struct reflect_action reflect_next(const struct reflect *reflect, struct reflect_now now);

/* -- events: what the steps have led to -- */

void reflect_list_begun(struct reflect *reflect);
void reflect_watch_begun(struct reflect *reflect, const struct reflect_action *action,
			 struct reflect_now now);

/* An item of the page, or the object of a line, cannot be read, and may be any object. */
void reflect_item_lost(struct reflect *reflect);
/* The page is taken. */
enum reflect_verdict reflect_page_came(struct reflect *reflect, const struct object_list *page,
				       struct reflect_now now);
/* What a look brought. Where it brought nothing, the list has failed. */
void reflect_look_came(struct reflect *reflect, const char *version, struct reflect_now now);
/* No page came, or it could not be read. False: the page is too large although it has one item only. */
bool reflect_list_failed(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now);

/* A line of the watch. True: its object counts. False: it is a bookmark, was told before, or comes from the past. After
 * an OBJECT_ERROR the watch is to be ended, with reflect_watch_ended and the status in the event. */
bool reflect_line_came(struct reflect *reflect, const struct object_event *event,
		       struct reflect_now now);
/* By the server, by us after REFLECT_STOP (NULL), or because it did not go on. */
void reflect_watch_ended(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now);
/* The watch cannot bring what came next (a line too long, or none): it is to be ended first. */
void reflect_line_lost(struct reflect *reflect);
