/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after what was attached: whether every program still stands where it was put, first in its place and pinned, and
 * puts back what is not. SHELL. Filters and qdiscs are told of by netlink; tcx tells nothing, so that everything is looked
 * at twice a second too.
 */
#pragma once

#include "datapath.h"
#include "repairs.h"

#define WATCH_EVERY_NS \
	(500 * NS_PER_MS) /* so that what nothing tells of is mended within a second */

struct watched {
	enum loader_program program;
	unsigned int ifindex;
	char device[IF_NAMESIZE];
	enum loader_finding finding; /* at the last look, after the repair */
	enum loader_finding damage;  /* what was repaired last */
	bool is_stuck;		     /* it could not be put back */
	struct repairs repairs;
	uint64_t told; /* of the repairs, to those who look after the cluster */
};

struct watch {
	int fd; /* readable when filters or qdiscs changed */
	struct watched *items;
	uint32_t count, capacity;
	uint64_t due_ns; /* next look */
};

void watch_init(struct watch *watch);
/* 0 or -errno. */
MUST_CHECK int watch_open(struct watch *watch);
void watch_close(struct watch *watch);

/* The devices that have the program from now on; the history of those that had it already is kept. False: no memory. */
MUST_CHECK bool watch_want(struct watch *watch, enum loader_program program,
			   const unsigned int *ifindexes, uint32_t count);

/* Looks at everything and repairs it; says so in the log. True where anything was not as it should be, or is again. */
bool watch_check(struct watch *watch, struct loader *loader, uint64_t now_ns);

/* Why all is not well with it, into the caller's storage; NULL: it is. */
const char *watch_complaint(const struct watched *item, uint64_t now_ns, char *ret_text,
			    size_t size);

/* "in_place", "missing", "not_first" or "unpinned". */
const char *watch_finding_name(enum loader_finding finding);
