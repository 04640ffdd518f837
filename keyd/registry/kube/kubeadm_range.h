/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's pod range where nobody has given one: what kubeadm has noted of it. SHELL.
 */
#pragma once

#include "cluster/refusal.h"

#define RANGE_TEXT_LEN 1024

/* Asks the API server, for half a minute at most. *ret_text is "10.244.0.0/16,fd00:10:244::/48", as it was noted there.
 * False: *refusal says why it cannot be had. */
MUST_CHECK bool kubeadm_range_discover(const char *kubeconfig, char ret_text[static RANGE_TEXT_LEN],
				       struct refusal *refusal);
