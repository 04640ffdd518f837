/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control of a test that has a time limit: a process that only wakes up every few milliseconds.
 * The longest delay of a wake-up shows for how long the machine may have stalled any other process
 * too. Prints it at SIGTERM or SIGINT.
 *
 *   pulse
 */
#include <stdio.h>

#include "common/tool.h"

#define EVERY_NS (5 * NS_PER_MS)

int main(void)
{
	uint64_t due = tool_now_ns(), longest_ns = 0;

	tool_catch_signals();
	while (!is_stopping) {
		uint64_t now;

		due += EVERY_NS;
		tool_sleep_until(due);
		now = tool_now_ns();
		if (now < due) /* a signal */
			break;
		longest_ns = MAX(longest_ns, now - due);
		due = now;
	}
	printf("{\"longest_stall_ms\":%.3f}\n", (double)longest_ns / 1e6);
	return 0;
}
