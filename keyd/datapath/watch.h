/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the attached programs: checks that each is still attached, first in its hook and pinned,
 * and repairs it if not. SHELL. Netlink reports changes of filters and qdiscs, but nothing reports
 * changes of tcx, so everything is also checked twice a second.
 */
#pragma once

#include "datapath.h"
#include "repairs.h"

/* Short enough to repair within a second a change that no event reports. */
#define WATCH_EVERY_NS (500 * NS_PER_MS)

struct watched {
	enum loader_program program;
	unsigned int ifindex;
	char device[IF_NAMESIZE];
	enum loader_finding finding; /* at the last check, after the repair */
	enum loader_finding damage;  /* repaired last */
	bool is_stuck;		     /* it could not be repaired */
	struct repairs repairs;
	uint64_t told; /* repairs that an Event has already reported */
};

struct watch {
	int fd; /* readable when filters or qdiscs changed */
	struct watched *items;
	uint32_t count, capacity;
	uint64_t due_ns; /* next check */
};

void watch_init(struct watch *watch);
/* 0 or -errno. */
MUST_CHECK int watch_open(struct watch *watch);
void watch_close(struct watch *watch);

/* Sets the devices that have the program; keeps the history of those that had it already. False: no
 * memory. */
MUST_CHECK bool watch_want(struct watch *watch, enum loader_program program,
			   const unsigned int *ifindexes, uint32_t count);

/* Checks and repairs everything, and logs each repair. True if anything was damaged, or works
 * again. */
bool watch_check(struct watch *watch, struct loader *loader, uint64_t now_ns);

/* Writes the problem with this program into the caller's storage and returns it; NULL: there is
 * none. */
const char *watch_complaint(const struct watched *item, uint64_t now_ns, char *ret_text,
			    size_t size);

/* "in_place", "missing", "not_first" or "unpinned". */
const char *watch_finding_name(enum loader_finding finding);
