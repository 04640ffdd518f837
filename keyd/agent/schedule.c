// SPDX-License-Identifier: Apache-2.0
/*
 * The deadlines of the agent. A request for a pass only ever brings the pass forward.
 */
#include "schedule.h"

void schedule_want_pass(struct schedule *schedule, uint64_t due_ns)
{
	if (!schedule->pass_ns || due_ns < schedule->pass_ns)
		schedule->pass_ns = due_ns;
}

void schedule_note_links(struct schedule *schedule, enum link_news news, uint64_t now_ns)
{
	switch (news) {
	case LINK_SILENT:
		break;
	case LINK_CHANGED:
		schedule_want_pass(schedule, now_ns + SCHEDULE_LINKS_NS);
		break;
	case LINK_NEW_DEVICE:
		schedule_want_pass(schedule, now_ns);
		break;
	}
}

bool schedule_pop_tick(struct schedule *schedule, uint64_t now_ns)
{
	if (now_ns < schedule->tick_ns)
		return false;
	schedule->tick_ns = now_ns + SCHEDULE_TICK_NS;
	schedule_want_pass(schedule, now_ns);
	return true;
}

uint64_t schedule_next_pass(const struct schedule *schedule, uint64_t connect_ns)
{
	uint64_t next_ns = MIN(schedule->tick_ns, connect_ns);

	if (schedule->pass_ns)
		next_ns = MIN(next_ns, schedule->pass_ns);
	if (schedule->questions_ns)
		next_ns = MIN(next_ns, schedule->questions_ns);
	return next_ns;
}

/* Rounded up: to wake a moment before the deadline would mean to wake twice. */
int schedule_wait_ms(const struct schedule *schedule, uint64_t connect_ns, uint64_t watch_ns,
		     uint64_t now_ns)
{
	uint64_t next_ns = MIN(schedule_next_pass(schedule, connect_ns), watch_ns);

	if (schedule->proofs_ns)
		next_ns = MIN(next_ns, schedule->proofs_ns);
	return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns) / NS_PER_MS + 1);
}
