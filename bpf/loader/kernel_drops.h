/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counter of packets that the kernel itself drops: loads it, or finds the one that an earlier
 * agent left, which keeps counting while no agent runs. Without it (no BTF, no tracing) everything
 * else works, and those losses have no name.
 */
#pragma once

#include <bpf/libbpf.h>

#include "util.h"

/* Attaches it, on the maps of `object`, and pins it at `pin`; an equal one that is already there
 * stays. Returns a descriptor of its link, or -errno. */
MUST_CHECK int kernel_drops_attach(struct bpf_object *object, const char *pin);
