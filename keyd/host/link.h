/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads devices, addresses and routes of this network namespace from rtnetlink. SHELL. All return 0
 * or -errno.
 */
#pragma once

#include "underlay.h"

/* Reads everything that underlay.h judges by, as it is now. Free it with link_view_clear. */
MUST_CHECK int link_read(struct underlay_view *ret_view);
void link_view_clear(struct underlay_view *view);
