/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's settings for the whole cluster. CORE.
 */
#pragma once

#include <jansson.h>

#include "bpf_abi.h"
#include "cluster/refusal.h"

/* Decodes the cluster's mode from the ConfigMap. False: its value is not a mode. */
MUST_CHECK bool config_map_decode_mode(const json_t *object, bool *ret_has_mode,
				       enum datapath_mode *ret_mode, struct refusal *refusal);
