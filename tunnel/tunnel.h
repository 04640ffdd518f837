/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel as one value: a state without pointers that can be handed over as bytes, and the few things of this
 * process (clock, buffers, upcalls) beside it. This header is all that SHELL needs of CORE.
 *
 * The loop's turn: read the clocks once; tunnel_receive and tunnel_send for what arrived; tunnel_expire; then
 * tunnel_flush, which seals all that waits in one batch and hands it to the transmit upcall. CORE calls nothing else.
 */
#pragma once

#include <linux/virtio_net.h>

#include "aead/aead.h"
#include "allowedips.h"
#include "drop_reason.h"
#include "index.h"
#include "peer.h"
#include "ratelimit.h"
#include "stage.h"

#define TUNNEL_STATE_VERSION 7
#define SESSIONS_MAX	     (SESSIONS_PER_PEER * PEERS_MAX)
#define PEER_BUCKETS	     16384 /* power of two */
#define OUTBOX_DATAGRAMS     1024  /* sealed packets in one batch */
#define OUTBOX_BYTES	     (2 * 1024 * 1024)
#define RECEIVE_BATCH	     256   /* packets opened at once */
#define UDP_GSO_BYTES	     65507 /* one UDP_SEGMENT message, IPv4 */
#define UDP_GSO_SEGMENTS     64

/* The part that is locked in memory and left out of core dumps; page-aligned, nothing else in its pages. */
struct tunnel_secrets {
	struct identity identities[KEY_SLOTS];
	struct cookie_checker cookie_checker;
	struct noise_pair pairs[PAIRS_MAX];
	struct session_keys session_keys[SESSIONS_MAX];
};

static_assert(sizeof(struct tunnel_secrets) < (8 * 1024 - 128) * 1024,
	      "RLIMIT_MEMLOCK may be no more than 8 MiB, and the stack needs some of it");

struct tunnel_state {
	_Alignas(4096) struct tunnel_secrets secrets;
	_Alignas(4096) uint8_t guard
		[4096]; /* no access where it runs: nothing that runs over ends in the secrets */
	uint32_t version;
	bool is_managed;
	char uid[64];
	uint64_t epoch;
	uint32_t mtu;
	uint16_t port;
	uint32_t fwmark;
	uint64_t last_timestamp_wall_ns; /* our TAI64N never goes back, whatever the clock does */
	uint64_t last_timestamp_ns;	 /* when that was, by the boot clock */
	uint64_t load_sunk_ns;		 /* until when load_count has sunk */
	uint32_t load_count;		 /* handshake messages for us, lately (receive.h) */
	uint64_t under_load_until_ns;	 /* UINT64_MAX: forced */
	uint64_t path_hint_ns;		 /* when tunnel_path_changed was last called */

	uint32_t peer_count;
	uint32_t peers_used_end;	     /* slots at and above it were never used */
	uint32_t peer_free;		     /* list through next_free; NO_PEER ends */
	uint32_t peer_buckets[PEER_BUCKETS]; /* by public key, all of them; peer.c knows how */
	uint32_t peer_key_count;
	uint8_t peer_hash_key[16];
	struct peer peers[PEERS_MAX];
	uint32_t allowedips_heads[PEERS_MAX];

	uint32_t pair_free, pairs_used_end, pair_count;
	struct pair pairs[PAIRS_MAX];

	uint32_t session_free, sessions_used_end;
	struct session sessions[SESSIONS_MAX];
	struct index_entry indices[INDEX_SLOTS];

	uint32_t deadline_heap[PEERS_MAX + 1]; /* peers by earliest deadline, from 1 */
	uint32_t deadline_count;

	struct allowedips allowedips;
	struct ratelimit ratelimit;
	struct stage stage;
	uint64_t drops[DROP_REASON_COUNT];
};

/* Datagrams to one endpoint, laid end to end: all segment_len long but the last. segment_len == len: just one. */
struct outgoing {
	union endpoint to;
	struct local_source from; /* family 0: the kernel chooses */
	uint8_t tos;
	uint8_t *data;
	uint32_t len;
	uint32_t segment_len;
	uint32_t count;
};

/* What waits to be sealed and sent. Storage is the caller's; valid until the transmit upcall returns. */
struct outbox {
	uint32_t messages, jobs, used;
	struct outgoing outgoing[OUTBOX_DATAGRAMS];
	struct aead_job aead_jobs[OUTBOX_DATAGRAMS];
	uint8_t bytes[OUTBOX_BYTES];
};

struct tunnel_upcalls {
	/* Sends all; what the kernel refuses is counted by the callee with tunnel_count_drop. */
	void (*transmit)(void *context, const struct outgoing *outgoing, uint32_t count);
	/* A decrypted packet, in the buffer it came in, which stays valid until tunnel_receive returns. */
	void (*deliver)(void *context, uint8_t *packet, size_t len);
	/* A packet made here (an ICMP error); valid until it returns. */
	void (*inject)(void *context, const uint8_t *packet, size_t len);
	void (*random)(void *context, void *bytes, size_t len);
	/* Length of the largest IP packet that goes there whole, as far as the kernel knows; 0: it does not know. */
	uint32_t (*path_mtu)(void *context, const union endpoint *to);
};

/* Random bytes in store, so that a flood of messages costs one call for many. Not in the state: a copy of the state must
 * not use them as well. */
struct cookie_nonces {
	unsigned int left;
	uint8_t bytes[32][24];
};

struct tunnel {
	struct tunnel_state *state;
	struct outbox *outbox;
	const struct aead_engine *aead;
	struct tunnel_upcalls upcalls;
	void *context;
	struct cookie_nonces cookie_nonces;
	uint64_t now_ns;  /* boot clock (counts suspend), set by the loop once per turn; never 0 */
	uint64_t wall_ns; /* Unix time */
};

/* One receive: a datagram, or several of one source end to end as UDP_GRO gives them. Opened in place. */
struct incoming {
	union endpoint from;
	struct local_source to;
	uint8_t tos; /* of the outer header (IP_RECVTOS, IPV6_RECVTCLASS): congestion marks reach the inner one */
	uint8_t *data;
	uint32_t len;
	uint32_t segment_len; /* 0 or >= len: one datagram */
};

/* state must be zeroed memory of sizeof(*state), page-aligned (it is large and touched only where used). */
void tunnel_init(struct tunnel *tunnel, struct tunnel_state *state, struct outbox *outbox,
		 const struct aead_engine *aead, const struct tunnel_upcalls *upcalls,
		 void *context);

/* One packet from the TUN, a super-packet or not; borrowed until it returns. */
void tunnel_send(struct tunnel *tunnel, const struct virtio_net_hdr *vnet, const uint8_t *packet,
		 size_t len);

/* All that one turn received, in order; delivers before it returns. */
void tunnel_receive(struct tunnel *tunnel, const struct incoming *incoming, unsigned int count);

/* Boot-clock time at which tunnel_expire has something to do; UINT64_MAX: never. */
uint64_t tunnel_next_deadline(const struct tunnel *tunnel);
void tunnel_expire(struct tunnel *tunnel);

/* Seals and transmits what waits. Call at the end of every turn; also happens by itself when the outbox is full. */
void tunnel_flush(struct tunnel *tunnel);

/* The interface came up: persistent keepalives start (kernel netns test N37). */
void tunnel_interface_up(struct tunnel *tunnel);

/* The interface went down: every session and handshake is wiped, what waits is lost, no timer runs. */
void tunnel_interface_down(struct tunnel *tunnel);

/* Something was too big for the wire, or the wire changed: each peer's path is asked for anew at its next packet. */
void tunnel_path_changed(struct tunnel *tunnel);

static inline void tunnel_count_drop(struct tunnel *tunnel, enum drop_reason reason,
				     uint64_t packets)
{
	tunnel->state->drops[reason] += packets;
}

/* -- configuration; used by manage.c (keyd) and uapi.c (wg) -- */

/* Our own key. A peer with this very key is removed. NULL clears it.
 * Current: sessions of the old one stop sending, handshakes restart (kernel: B19, B20). Next and previous: the key is
 * armed, and nothing else happens; where there was none before, tunnel_has_room_for_identity has to be true. */
void tunnel_set_private_key(struct tunnel *tunnel, enum key_slot slot,
			    const struct private_key *private_key);
bool tunnel_has_room_for_identity(const struct tunnel *tunnel, enum key_slot slot);

/* Next becomes current, current previous; what was previous is wiped. Sessions go on; a peer that talks gets a fresh
 * one soon if its newest was not made with the new key although it knows it. -ENOENT: there is no next key. */
MUST_CHECK int tunnel_promote_identity(struct tunnel *tunnel);

/* Wipes next or previous. Sessions made with it go on until they are too old, or end now. */
void tunnel_clear_identity(struct tunnel *tunnel, enum key_slot slot, bool ends_sessions);

/* Slot of the peer with the key, in whichever of its slots, or with the id; NO_PEER. */
uint32_t tunnel_find_peer(const struct tunnel *tunnel, const struct public_key *key);
uint32_t tunnel_find_peer_by_id(const struct tunnel *tunnel, uint32_t id);

/* A new peer without endpoint and prefixes. -EEXIST: the key is taken; -ENOSPC; -EADDRNOTAVAIL: it is our own key.
 * A low-order key is taken, as the kernel does, and never causes a packet (N51). */
MUST_CHECK int tunnel_add_peer(struct tunnel *tunnel, const struct public_key *key,
			       uint32_t *ret_peer);

/* Wipes its secrets and sessions, counts its staged packets as dropped. */
void tunnel_remove_peer(struct tunnel *tunnel, uint32_t peer);

/* All that the peer's record names; current always, no key twice. */
struct peer_keys {
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
};

/* -EEXIST, -EADDRNOTAVAIL as above; -ENOSPC: no room for the pairs. `peer` is NO_PEER for one that is to be added. */
MUST_CHECK int tunnel_check_peer_keys(const struct tunnel *tunnel, uint32_t peer,
				      const struct peer_keys *keys);

/* Replaces the peer's keys, which pass the check. A key that only moves to another slot takes everything along. A
 * current one that was in no slot says that the peer has lost its keys: sessions made with a key that is gone end, and a
 * handshake begins if there was any traffic. Otherwise no session is touched, and a new next key is tried: at once if
 * the peer is live (authenticated packet within 180 s), else at a random time within try_next_within_ns. */
void tunnel_change_peer_keys(struct tunnel *tunnel, uint32_t peer, const struct peer_keys *keys,
			     uint64_t try_next_within_ns);

/* Between our key in one slot and the peer's in another; where one of them is not set nothing happens. */
void tunnel_set_preshared(struct tunnel *tunnel, uint32_t peer, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *preshared);
/* Also accepted of the peer when it answers. NULL: nothing is. */
void tunnel_set_alternate(struct tunnel *tunnel, uint32_t peer, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *alternate);
void tunnel_set_endpoint(struct tunnel *tunnel, uint32_t peer, const union endpoint *endpoint);
void tunnel_set_keepalive(struct tunnel *tunnel, uint32_t peer, uint16_t interval_s);
