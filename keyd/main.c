// SPDX-License-Identifier: Apache-2.0
/*
 * podveil-keyd: the node's agent. It finds the other nodes, creates this node's keys, and keeps
 * tunnel, BPF maps and devices in the desired state. It sees no packet.
 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent/loop.h"
#include "registry/kube/kubeadm_range.h"

/* Private keys pass through this process: no core dumps, and no debugger except root's. */
static bool hide_memory(void)
{
	static const struct rlimit none = {0};

	return !setrlimit(RLIMIT_CORE, &none) && !prctl(PR_SET_DUMPABLE, 0);
}

/* If no flag gives the ranges. Without a range no traffic can be protected, so keyd does not
 * start without one. */
static bool find_ranges(struct settings *settings)
{
	static const char origin[] = "kubeadm-config in kube-system";
	char text[RANGE_TEXT_LEN];
	struct refusal why;

	if (settings->range_count)
		return true;
	if (!kubeadm_range_discover(settings->kubeconfig, text, &why) ||
	    !settings_take_ranges(settings, text, &why)) {
		log_error(
			"the cluster's pod range is unknown, and %s does not contain it (%s): give it with "
			"--cluster-cidr, or as cluster-cidr in the ConfigMap podveil (for example 10.244.0.0/16)",
			origin, why.text);
		return false;
	}
	log_info("the cluster's pod range is %s, from %s", text, origin);
	return settings_check_ranges(settings);
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
	return find_ranges(&settings) ? loop_run(&settings) : 1;
}
