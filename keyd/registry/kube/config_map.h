/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user says to the whole cluster. CORE.
 */
#pragma once

#include <jansson.h>

#include "cluster/refusal.h"
#include "bpf_abi.h"

/* Of the ConfigMap: the cluster's mode. False: it says something that is none. */
MUST_CHECK bool config_map_decode_mode(const json_t *object, bool *ret_has_mode,
				       enum datapath_mode *ret_mode, struct refusal *refusal);
