/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An even rate, even while the machine stalls.
 */
#include "flow.h"

#define BACKLOG_NS (20 * NS_PER_MS) /* an older backlog is sent later instead of in a burst */

uint64_t pace_due(struct pace *pace)
{
	uint64_t now = tool_now_ns(), elapsed = now - pace->start_ns;
	uint64_t due = (uint64_t)((double)elapsed * (double)pace->rate / 1e9) + 1;
	uint64_t most = (uint64_t)((double)BACKLOG_NS * (double)pace->rate / 1e9) + BATCH;

	if (due <= pace->given)
		return 0;
	due -= pace->given;
	if (due > most) {
		uint64_t moved_ns = (uint64_t)((double)(due - most) * 1e9 / (double)pace->rate);

		pace->start_ns += moved_ns;
		pace->held_ns += moved_ns;
		due = most;
	}
	return due;
}
