/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of this node's keys as a state machine: time and events in, one next step out. CORE. It never sees a private
 * key: SHELL makes the pair, hands it to the tunnel and tells which public half came of it.
 *
 * The order is fixed: a key is published only after the tunnel has it, so that no node is ever told a key that cannot
 * answer. Every step survives a crash after it, because the tunnel keeps uid, epoch and keys, and the registry the
 * record: both are told here again after a restart.
 */
#pragma once

#include "annotation.h"

#define EPOCH_AHEAD_MAX_MS (24ULL * 3600 * 1000)

enum rotate_step {
	ROTATE_WAIT, /* nothing to do until the next event */
	ROTATE_MAKE_KEY, /* make a pair for `slot` and `epoch`, give it to the tunnel, then rotate_key_given */
};

struct rotate_action {
	enum rotate_step step;
	enum key_slot slot;
	uint64_t epoch;
};

/* The tunnel's side of the identity, or what was last published of it. */
struct rotate_identity {
	char uid[NODE_UID_LEN];
	uint64_t epoch; /* 0: none */
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
};

struct rotate {
	/* configuration */
	char uid[NODE_UID_LEN];
	/* state */
	uint64_t last_epoch; /* greatest one of this uid that was seen anywhere */
	bool is_tunnel_there;
	struct rotate_identity armed; /* what the tunnel has; epoch 0: nothing that counts */
	struct rotate_identity published;
};

void rotate_init(struct rotate *rotate, const char *uid);

/* Own record as the registry shows it, also when somebody else rewrote it. Another uid's says nothing about us, and an
 * epoch so far ahead that every peer refuses it is no floor for ours. */
void rotate_record_seen(struct rotate *rotate, const struct annotation *annotation,
			uint64_t now_ms);

/* The tunnel is connected and has this; keys of another uid, or of an epoch behind our record, cannot be ours. */
void rotate_tunnel_found(struct rotate *rotate, const struct rotate_identity *identity);
void rotate_tunnel_lost(struct rotate *rotate);
void rotate_key_given(struct rotate *rotate, enum key_slot slot, const struct public_key *key,
		      uint64_t epoch);

struct rotate_action rotate_next(const struct rotate *rotate, uint64_t now_ms);

/* What may be published now, NULL where nothing may. It holds until the next call into this file. */
const struct rotate_identity *rotate_publishable(const struct rotate *rotate);
