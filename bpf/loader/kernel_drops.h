/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the counter of the kernel's own losses into the kernel, and finds again what an earlier agent left there: it
 * counts on while no agent runs. Without it (no BTF, no tracing) everything else works, and those losses have no name.
 */
#pragma once

#include <bpf/libbpf.h>

#include "util.h"

/* Onto the maps that `object` has, and pinned at `pin`; one that is there already and does the same stays. A descriptor
 * of its link, or -errno. */
MUST_CHECK int kernel_drops_attach(struct bpf_object *object, const char *pin);
