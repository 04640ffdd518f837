/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a timer does when it expires. timers.c knows when, this file what; tunnel_expire (tunnel.h) runs all that is due.
 */
#pragma once

#include "tunnel.h"

/* Tries the peer's newest key: a proof on a session made with it, or else an initiation to it. Repeats until the tries
 * that timers.c allows are used up. */
void expire_try_next_key(struct tunnel *tunnel, uint32_t peer_index);
