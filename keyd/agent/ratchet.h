/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ratchet: once a handshake with a node has completed, traffic to or from it is never sent in
 * cleartext again, in no mode and after no restart. CORE. In permissive mode no packet starts a
 * handshake before that, so the agent has to start it.
 */
#pragma once

#include "bpf_abi.h"
#include "cluster/backoff.h"
#include "tunnel_control.h"

enum ratchet_step {
	RATCHET_WAIT,
	RATCHET_NOTE_REACHED, /* a handshake has completed: the map has to say so from now on */
	RATCHET_TRY,	      /* start a handshake, as soon as one is due */
};

/* Of a node that was not reached yet. is_usable: the tunnel is connected and may know it. */
enum ratchet_step ratchet_next(const struct control_peer_status *status, enum datapath_mode mode,
			       bool is_usable);

/* When handshakes are tried: the first one at a random time, which is later in a larger cluster. */
extern const struct backoff_pace ratchet_pace;
uint32_t ratchet_spread_ms(uint32_t member_count);
