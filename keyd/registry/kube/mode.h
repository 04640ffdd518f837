/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's mode: key `mode` of the ConfigMap `podveil` in the agent's namespace. SHELL.
 */
#pragma once

#include "reflector.h"

struct mode {
	struct kube *kube;
	char path[KUBE_PATH_LEN];
	struct reflector reflector;
	bool is_there; /* in the list being read */
	bool is_named; /* that it is forbidden to read was logged */
};

void mode_init(struct mode *mode, struct kube *kube);
uint64_t mode_drive(struct mode *mode);
void mode_clear(struct mode *mode);
