// SPDX-License-Identifier: Apache-2.0
/*
 * Texts hold no counts: the registry tells a repetition by its text, and status has the numbers.
 */
#include "event.h"

static const enum drop_reason leaks[EVENT_LEAKS] = {DROP_CLEAR_OUT, DROP_CLEAR_IN,
						    DROP_CLEAR_OVERLAY_OUT, DROP_CLEAR_OVERLAY_IN};

void event_tell(const struct agent *agent, enum registry_event event, const char *format, ...)
{
	const struct registry_operations *operations = agent->registry->operations;
	char text[2 * REFUSAL_LEN];
	va_list arguments;

	if (!operations->notify)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	operations->notify(agent->registry, event, text);
}

static void look_for_leaks(struct agent *agent)
{
	uint64_t packets[DROP_REASON_COUNT];

	datapath_read_drops(&agent->datapath, packets);
	for (unsigned int i = 0; i < EVENT_LEAKS; i++) {
		if (agent->has_leaks && packets[leaks[i]] > agent->leaks[i])
			event_tell(agent, EVENT_LEAK, "%s, and was dropped (%s in podveil status)",
				   drop_reason_text(leaks[i]), drop_reason_label(leaks[i]));
		agent->leaks[i] = packets[leaks[i]];
	}
	agent->has_leaks = true;
}

static void look_for_repairs(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->watch.count; i++) {
		struct watched *item = &agent->watch.items[i];

		if (item->repairs.count != item->told)
			event_tell(agent, EVENT_HOOK,
				   "%s on %s was %s by somebody, and is put back",
				   datapath_program_name(item->program), item->device,
				   item->damage == LOADER_NOT_FIRST ? "moved behind another program"
				   : item->damage == LOADER_UNPINNED ? "unpinned"
								     : "taken away");
		item->told = item->repairs.count;
	}
}

void event_look(struct agent *agent)
{
	look_for_leaks(agent);
	look_for_repairs(agent);
}
