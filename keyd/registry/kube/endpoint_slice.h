/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server itself is reached. CORE.
 */
#pragma once

#include <jansson.h>

#include "cluster/bypass.h"
#include "cluster/refusal.h"

/* Of an EndpointSlice: every address with every TCP port. */
MUST_CHECK bool endpoint_slice_decode(const json_t *object, struct bypass_key *ret_keys,
				      uint32_t max, uint32_t *ret_count, struct refusal *refusal);
