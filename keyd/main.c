// SPDX-License-Identifier: Apache-2.0
/*
 * podveil-keyd: the node's agent. It finds the other nodes, makes this node's keys, and keeps tunnel, BPF maps and
 * devices as they should be. It sees no packet.
 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent.h"

/* Private keys pass through this process: no core dump, no debugger that is not root's. */
static bool hide_memory(void)
{
	static const struct rlimit none = {0};

	return !setrlimit(RLIMIT_CORE, &none) && !prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	static struct settings settings;

	log_settings.program = "podveil-keyd";
	switch (settings_parse(&settings, argc, argv)) {
	case FLAGS_DONE:
		return 0;
	case FLAGS_WRONG:
		return 2;
	case FLAGS_RUN:
		break;
	}
	if (sodium_init() < 0 || !hide_memory()) {
		log_error("cannot set up locked memory and randomness: %s", strerror(errno));
		return 1;
	}
	return agent_run(&settings);
}
