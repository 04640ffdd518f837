/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's pod range if no flag gives one: the range that kubeadm recorded. SHELL.
 */
#pragma once

#include "cluster/refusal.h"

#define RANGE_TEXT_LEN 1024

/* Asks the API server, for at most half a minute. *ret_text is "10.244.0.0/16,fd00:10:244::/48", as
 * recorded there. False: *refusal gives the reason. */
MUST_CHECK bool kubeadm_range_discover(const char *kubeconfig, char ret_text[static RANGE_TEXT_LEN],
				       struct refusal *refusal);
