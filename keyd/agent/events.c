// SPDX-License-Identifier: Apache-2.0
/*
 * The texts hold no counts: the registry recognizes a repetition by its text, and status shows the
 * numbers.
 */
#include "events.h"

static const enum drop_reason leaks[EVENTS_LEAKS] = {DROP_CLEAR_OUT, DROP_CLEAR_IN,
						     DROP_CLEAR_OVERLAY_OUT, DROP_CLEAR_OVERLAY_IN};

void events_send(struct registry *registry, enum registry_event event, const char *format, ...)
{
	const struct registry_operations *operations = registry->operations;
	char text[2 * REFUSAL_LEN];
	va_list arguments;

	if (!operations->notify)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	operations->notify(registry, event, text);
}

static void look_for_leaks(struct events *events, const struct datapath *datapath,
			   struct registry *registry)
{
	uint64_t packets[DROP_REASON_COUNT];

	datapath_read_drops(datapath, packets);
	for (unsigned int i = 0; i < EVENTS_LEAKS; i++) {
		if (events->has_leaks && packets[leaks[i]] > events->leaks[i])
			events_send(registry, EVENT_LEAK,
				    "%s, and was dropped (%s in podveil status)",
				    drop_reason_text(leaks[i]), drop_reason_label(leaks[i]));
		events->leaks[i] = packets[leaks[i]];
	}
	events->has_leaks = true;
}

static void look_for_repairs(struct watch *watch, struct registry *registry)
{
	for (uint32_t i = 0; i < watch->count; i++) {
		struct watched *item = &watch->items[i];

		if (item->repairs.count != item->told)
			events_send(registry, EVENT_HOOK,
				    "%s on %s was %s by another program, and was repaired",
				    datapath_program_name(item->program), item->device,
				    item->damage == LOADER_NOT_FIRST  ? "moved to a later place"
				    : item->damage == LOADER_UNPINNED ? "unpinned"
								      : "detached");
		item->told = item->repairs.count;
	}
}

void events_look(struct events *events, const struct datapath *datapath, struct watch *watch,
		 struct registry *registry)
{
	look_for_leaks(events, datapath, registry);
	look_for_repairs(watch, registry);
}
