/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the timers: timers.c decides when, this file does the work. tunnel_expire (tunnel.h) runs
 * all timers that are due.
 */
#pragma once

#include "tunnel.h"

/* Tries the peer's newest key: sends a proof on a session made with it, or else an initiation to
 * it. Re-arms itself until the tries allowed by timers.c are used up. */
void expire_try_next_key(struct tunnel *tunnel, uint32_t peer_index);
