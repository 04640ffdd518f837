// SPDX-License-Identifier: Apache-2.0
/*
 * Each check asks the kernel (loader_inspect) and never our own state, which cannot know of changes
 * by other programs. A device that is gone is left to the next pass, which lists the devices.
 */
#include "watch.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>

#include "host/link_monitor.h"
#include "log.h"

void watch_init(struct watch *watch)
{
	*watch = (struct watch){.fd = -1};
}

int watch_open(struct watch *watch)
{
	return link_monitor_open_hooks(&watch->fd);
}

void watch_close(struct watch *watch)
{
	fd_close(&watch->fd);
	free(watch->items);
	watch_init(watch);
}

/* -- watched programs -- */

static struct watched *find(const struct watch *watch, enum loader_program program,
			    unsigned int ifindex)
{
	for (uint32_t i = 0; i < watch->count; i++)
		if (watch->items[i].program == program && watch->items[i].ifindex == ifindex)
			return &watch->items[i];
	return NULL;
}

static void forget_others(struct watch *watch, enum loader_program program,
			  const unsigned int *ifindexes, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < watch->count; i++)
		if (watch->items[i].program != program ||
		    datapath_is_among(ifindexes, count, watch->items[i].ifindex))
			watch->items[kept++] = watch->items[i];
	watch->count = kept;
}

static bool add(struct watch *watch, enum loader_program program, unsigned int ifindex)
{
	struct watched item = {.program = program, .ifindex = ifindex};

	if (watch->count == watch->capacity) {
		uint32_t capacity = MAX(16U, 2 * watch->capacity);
		void *grown = realloc(watch->items, capacity * sizeof(*watch->items));

		if (!grown)
			return false;
		watch->items = grown;
		watch->capacity = capacity;
	}
	if (!if_indextoname(ifindex, item.device))
		snprintf(item.device, sizeof(item.device), "#%u", ifindex);
	watch->items[watch->count++] = item;
	return true;
}

bool watch_want(struct watch *watch, enum loader_program program, const unsigned int *ifindexes,
		uint32_t count)
{
	forget_others(watch, program, ifindexes, count);
	for (uint32_t i = 0; i < count; i++)
		if (!find(watch, program, ifindexes[i]) && !add(watch, program, ifindexes[i]))
			return false;
	return true;
}

/* -- checking and repairing -- */

static void log_repair(const struct watched *item, uint32_t other)
{
	const char *program = datapath_program_name(item->program);

	switch (item->finding) {
	case LOADER_IN_PLACE:
		break;
	case LOADER_MISSING:
		log_warning("%s was detached from %s by another program; reattached", program,
			    item->device);
		break;
	case LOADER_NOT_FIRST:
		log_warning("BPF program %u was placed before %s on %s; %s is first again", other,
			    program, item->device, program);
		break;
	case LOADER_UNPINNED:
		log_warning("the pin of %s on %s was removed by another program; pinned again",
			    program, item->device);
		break;
	}
}

static bool mark_stuck(struct watched *item, const char *action, int error)
{
	if (!item->is_stuck)
		log_error("cannot %s %s on %s: %s", action, datapath_program_name(item->program),
			  item->device, strerror(-error));
	item->is_stuck = true;
	return true;
}

static bool repair(struct watched *item, struct loader *loader, uint32_t other, uint64_t now_ns)
{
	int error = loader_repair(loader, item->program, item->ifindex);

	if (error == -ENODEV)
		return false;
	if (error)
		return mark_stuck(item, "repair", error);
	log_repair(item, other);
	repairs_note(&item->repairs, now_ns);
	item->damage = item->finding;
	item->finding = LOADER_IN_PLACE;
	item->is_stuck = false;
	return true;
}

static bool check(struct watched *item, struct loader *loader, uint64_t now_ns)
{
	bool was_stuck = item->is_stuck;
	uint32_t other = 0;
	int error = loader_inspect(loader, item->program, item->ifindex, &item->finding, &other);

	if (error == -ENODEV)
		return false;
	if (error)
		return mark_stuck(item, "inspect", error);
	if (item->finding != LOADER_IN_PLACE)
		return repairs_may_go_on(&item->repairs, now_ns) &&
		       repair(item, loader, other, now_ns);
	item->is_stuck = false;
	return was_stuck;
}

static bool check_pins(struct loader *loader)
{
	unsigned int repaired = 0;
	int error = loader_repair_pins(loader, &repaired);

	if (!error && repaired)
		log_warning("%u maps had lost their pins; pinned again", repaired);
	return error || repaired;
}

bool watch_check(struct watch *watch, struct loader *loader, uint64_t now_ns)
{
	bool any = check_pins(loader);

	for (uint32_t i = 0; i < watch->count; i++)
		any |= check(&watch->items[i], loader, now_ns);
	watch->due_ns = now_ns + WATCH_EVERY_NS;
	return any;
}

/* -- reporting -- */

const char *watch_complaint(const struct watched *item, uint64_t now_ns, char *ret_text,
			    size_t size)
{
	const char *program = datapath_program_name(item->program);

	if (item->is_stuck)
		snprintf(ret_text, size, "%s on %s cannot be repaired: see the log", program,
			 item->device);
	else if (!repairs_are_contested(&item->repairs, now_ns))
		return NULL;
	else if (item->damage == LOADER_NOT_FIRST)
		snprintf(ret_text, size,
			 "another program keeps placing itself before %s on %s: find out which",
			 program, item->device);
	else
		snprintf(ret_text, size,
			 "another program keeps detaching %s from %s: find out which", program,
			 item->device);
	return ret_text;
}

const char *watch_finding_name(enum loader_finding finding)
{
	switch (finding) {
	case LOADER_IN_PLACE:
		return "in_place";
	case LOADER_MISSING:
		return "missing";
	case LOADER_NOT_FIRST:
		return "not_first";
	case LOADER_UNPINNED:
		return "unpinned";
	}
	return "missing";
}
