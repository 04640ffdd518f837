// SPDX-License-Identifier: Apache-2.0
/*
 * When the agent's next pass is due, and the lists of reasons and warnings of the current one.
 */
#include "agent.h"

#include <assert.h>

#include "host/clock.h"

struct rotate_now agent_rotate_now(void)
{
	return (struct rotate_now){.wall_ms = wall_ms(),
				   .mono_ms = (int64_t)(boot_ns() / NS_PER_MS)};
}

void agent_want_pass(struct agent *agent, uint64_t delay_ns)
{
	uint64_t due_ns = boot_ns() + delay_ns;

	if (!agent->due_ns || due_ns < agent->due_ns)
		agent->due_ns = due_ns;
}

void agent_wake(struct agent *agent)
{
	agent_want_pass(agent, 0);
}

void agent_take_links(struct agent *agent, enum link_news news)
{
	switch (news) {
	case LINK_SILENT:
		break;
	case LINK_CHANGED:
		agent_want_pass(agent, AGENT_LINKS_NS);
		break;
	case LINK_NEW_DEVICE:
		agent_want_pass(agent, 0);
		break;
	}
}

void agent_add_reason(struct agent *agent, enum reason_kind kind, const char *subject,
		      const char *format, ...)
{
	va_list arguments;

	assert(!reason_kind_is_warning(kind));
	va_start(arguments, format);
	reasons_add_by(&agent->reasons, kind, subject, format, arguments);
	va_end(arguments);
}

void agent_add_warning(struct agent *agent, enum reason_kind kind, const char *subject,
		       const char *format, ...)
{
	va_list arguments;

	assert(reason_kind_is_warning(kind));
	va_start(arguments, format);
	reasons_add_by(&agent->warnings, kind, subject, format, arguments);
	va_end(arguments);
}
