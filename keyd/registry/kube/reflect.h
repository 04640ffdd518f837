/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a collection of the API server: list it page by page, watch it from there, and start
 * again if the watch cannot continue. A state machine: events and the time go in, the next step
 * comes out. CORE.
 *
 * It never floods the API server. After a failure it waits (1 s to 60 s, at random, or as long as
 * the server asks), and after lists that bring nothing new it waits longer each time, up to ten
 * minutes and more.
 */
#pragma once

#include "object.h"

#define REFLECT_PAGE_ITEMS  100
#define REFLECT_LIST_S	    60	/* for one page */
#define REFLECT_SILENCE_S   150 /* without a complete line: bookmarks arrive every minute */
#define REFLECT_WATCH_MIN_S 300
#define REFLECT_WATCH_MAX_S 600
#define REFLECT_GRACE_S	    30 /* after the time at which the server should end a watch */
#define REFLECT_BACKOFF_S   60
#define REFLECT_RETRY_MAX_S 600	 /* the limit for a longer Retry-After */
#define REFLECT_LIST_REST_S 1200 /* between two lists in the long run; half of it is random */
/* without a list: then the next one need not rest */
#define REFLECT_CALM_S	  (4 * REFLECT_LIST_REST_S)
#define REFLECT_CONFIRM_S 30 /* before the older state of a server is accepted */
#define REFLECT_STRIKES	  5  /* refused watches in a row: our version may be the cause */

/* `random` is uniform, and drawn for this call. */
struct reflect_now {
	uint64_t ns;
	uint32_t random;
};

enum reflect_step {
	REFLECT_WAIT, /* until `until_ns`, or the next event */
	REFLECT_LIST, /* ask for a page */
	REFLECT_LOOK, /* ask for one item, only to learn the collection's version */
	REFLECT_WATCH,
	REFLECT_STOP, /* end the running watch; it delivers nothing more */
};

struct reflect_action {
	enum reflect_step step;
	uint64_t until_ns;   /* of WAIT */
	uint32_t limit;	     /* of LIST: items in the page */
	const char *next;    /* of LIST: the page's `continue`; empty: the first page */
	const char *version; /* of WATCH */
	uint32_t timeout_s;  /* of WATCH, for the server */
};

/* How a request ended, see http_message.h. */
struct reflect_failure {
	int error;
	long status;
	int64_t retry_after_s; /* -1: the server did not set it */
};

enum reflect_verdict {
	REFLECT_MORE,  /* another page follows */
	REFLECT_WHOLE, /* an object that was on no page is gone */
	/* Complete except for items that may be any object: it proves none gone. It is listed again
	 * soon. */
	REFLECT_PARTIAL,
	/* Complete, but older than the known state: it proves none gone. It is listed again soon,
	 * and accepted then. */
	REFLECT_PAST,
};

struct reflect {
	/* a request is running (a look counts as a list); never both */
	bool is_listing, is_watching;
	bool is_known; /* a complete list has been read */
	bool wants_list;
	/* a watch did not end normally: in the meantime the server may have been restored from a
	 * backup */
	bool is_in_doubt;
	uint32_t limit;
	char version[OBJECT_VERSION_LEN]; /* to watch from; empty: no version is known */
	char newest[OBJECT_VERSION_LEN];  /* greatest one seen */
	char next[OBJECT_NEXT_LEN];	  /* of a list that is not complete yet */
	uint32_t failures;		  /* in a row */
	uint32_t strikes;		  /* refused watches in a row */
	uint32_t lists;			  /* complete ones in short succession */
	uint64_t not_before_ns;		  /* applies to any request */
	uint64_t listed_ns, list_not_before_ns;
	bool has_lost_items; /* of the list being read */
	bool is_past;	     /* the last list was older than the known state, since ... */
	uint64_t past_ns;
	uint64_t begun_ns, line_ns; /* of the running watch */
	uint32_t timeout_s;
};

void reflect_init(struct reflect *reflect);

struct reflect_action reflect_next(const struct reflect *reflect, struct reflect_now now);

/* -- events: the outcomes of steps -- */

void reflect_list_begun(struct reflect *reflect);
void reflect_watch_begun(struct reflect *reflect, const struct reflect_action *action,
			 struct reflect_now now);

/* An item of the page, or the object of a line, is unreadable, and may be any object. */
void reflect_item_lost(struct reflect *reflect);
/* The page was read. */
enum reflect_verdict reflect_page_came(struct reflect *reflect, const struct object_list *page,
				       struct reflect_now now);
/* The outcome of a look. If it brought no version, call reflect_list_failed. */
void reflect_look_came(struct reflect *reflect, const char *version, struct reflect_now now);
/* No page arrived, or it was unreadable. False: the page is too large although it has only one
 * item. */
bool reflect_list_failed(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now);

/* A line of the watch. True: handle its object. False: it is a bookmark, a repetition, or from
 * the past. After an OBJECT_ERROR end the watch, then call reflect_watch_ended with the event's
 * status. */
bool reflect_line_came(struct reflect *reflect, const struct object_event *event,
		       struct reflect_now now);
/* The watch ended: by the server, by us after REFLECT_STOP (NULL), or through a failure. */
void reflect_watch_ended(struct reflect *reflect, const struct reflect_failure *failure,
			 struct reflect_now now);
/* The watch could not deliver its next line (too long, or none): end it first. */
void reflect_line_lost(struct reflect *reflect);
