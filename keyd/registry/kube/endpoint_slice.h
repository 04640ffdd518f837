/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of the API server. CORE.
 */
#pragma once

#include <jansson.h>

#include "cluster/bypass.h"
#include "cluster/refusal.h"

/* Lists every address of an EndpointSlice with every TCP port. */
MUST_CHECK bool endpoint_slice_decode(const json_t *object, struct bypass_key *ret_keys,
				      uint32_t max, uint32_t *ret_count, struct refusal *refusal);
