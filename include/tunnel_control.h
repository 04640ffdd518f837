/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words between podveil-keyd and podveil-tunnel, on a SOCK_SEQPACKET Unix socket (root only, mode 0600).
 * One packet is one request: struct control_header and the verb's body. Each request is answered by exactly one
 * packet: the header again, with `error` 0 or -errno, and the verb's answer if error is 0. Native byte order and
 * layout: both ends come from one image. Requests are idempotent: saying again what already holds changes nothing.
 * A refused request changes nothing either; -EINVAL is a wrong length or a value outside of what stands here.
 * A private key passes here once, from keyd to the tunnel, and never back.
 */
#pragma once

#include <net/if.h>

#include "address.h"
#include "drop_reason.h"
#include "key.h"

#define CONTROL_VERSION	      3
#define CONTROL_PACKET_MAX    131072 /* bytes, header included; longer packets are refused */
#define CONTROL_ENDPOINTS_MAX 8
#define CONTROL_CIDRS_MAX     4096
#define CONTROL_UID_LEN	      64 /* with the terminating zero */
#define CONTROL_PAGE	      64
#define CONTROL_PLACES_MAX    24 /* addresses at which one peer was asked or reached */

enum control_verb {
	CONTROL_HELLO = 1, /* no body -> struct control_hello */
	CONTROL_SET_IDENTITY, /* struct control_identity -> nothing; the device is managed from then on, and peers that
				 wg(8) gave it before are removed; -EEXIST where another slot has that
				 key, -ENOSPC where there is no room for handshakes under one more */
	CONTROL_SET_DEVICE, /* struct control_device -> nothing; -EADDRINUSE where the port is taken */
	CONTROL_SET_PEER, /* struct control_peer, endpoints, cidrs -> nothing; -ESTALE where the peer has that uid
				 and a greater epoch */
	CONTROL_REMOVE_PEER, /* struct control_peer_id -> nothing; -ENOENT where there is none */
	CONTROL_LIST_PEERS, /* struct control_peer_id (list the ids greater than it) -> struct control_page */
	CONTROL_READ_DROPS, /* no body -> struct control_drops */
	CONTROL_PROMOTE_IDENTITY, /* struct control_epoch -> nothing; -ENOENT where there is no next key */
	CONTROL_CLEAR_IDENTITY, /* struct control_clear -> nothing; a slot that is empty is no error */
	CONTROL_TRY_PEER, /* struct control_peer_id -> nothing; begins a handshake unless there is a session that can send or
			     a handshake is under way; -ENOENT where there is no such peer, -EDESTADDRREQ where it has
			     no endpoint */
	CONTROL_ASK_PEER, /* struct control_question -> nothing; asks for a handshake at that endpoint and leaves the one in
			     use as it is: whether it was completed there is in the status. -ENOENT as above; -EAGAIN where
			     a question or an initiation has only just been sent; -EINVAL for an endpoint that can be none,
			     or has another port than this tunnel: that would prove nothing */
	CONTROL_FORGET_PLACE, /* struct control_place_of -> nothing; that address of the peer was never asked or reached;
				 -ENOENT where there is no such peer */
};

struct control_header {
	uint16_t version; /* CONTROL_VERSION, else -EPROTONOSUPPORT */
	uint16_t verb;	  /* enum control_verb, else -EOPNOTSUPP */
	int32_t error;	  /* 0 in requests */
};

struct control_hello {
	char interface[IF_NAMESIZE];
	uint32_t ifindex;
	uint32_t mtu;
	uint32_t pid;
	uint16_t port; /* 0: no port is open yet */
	uint8_t is_managed;
	uint8_t has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS]; /* public halves of our own statics */
	char uid[CONTROL_UID_LEN];	   /* as given with the identity */
	uint64_t epoch;
	uint32_t peer_count;
};

struct control_identity {
	uint32_t slot;			/* enum key_slot */
	struct private_key private_key; /* not all zero */
	char uid[CONTROL_UID_LEN];	/* terminated, not empty */
	uint64_t epoch;
};

/* next becomes current and current previous; what was previous is wiped. No session is touched, no peer forgotten. */
struct control_epoch {
	uint64_t epoch;
};

/* The key is wiped: no handshake under it any more. Sessions made under it run out by themselves, unless they are to
 * end at once. */
struct control_clear {
	uint32_t slot; /* enum key_slot, not KEY_CURRENT */
	uint8_t ends_sessions;
	uint64_t epoch;
};

struct control_device {
	uint16_t port;	 /* UDP, both families; not 0 */
	uint32_t fwmark; /* SO_MARK of the outer datagrams; 0: none */
};

/* Followed by endpoint_count union endpoint, then cidr_count struct cidr. Replaces what the peer had; allowed IPs
 * pass through no state in which an address of both old and new set is missing. */
struct control_peer {
	uint32_t id;		   /* keyd's, the same as in the BPF maps; not 0 */
	char uid[CONTROL_UID_LEN]; /* of the record that this is from: terminated, not empty */
	uint64_t epoch;
	uint8_t has_key[KEY_SLOTS]; /* KEY_CURRENT always */
	struct public_key keys
		[KEY_SLOTS]; /* -EADDRNOTAVAIL for low order or our own, -EADDRINUSE where another peer
					      has it, -EINVAL for one in two slots, -ENOSPC where there is no room for
					      handshakes with one more */
	/* By our slot, then theirs, as the slots are when this is said; they follow their keys when those move. Zero:
	 * none. Handshakes are answered with the preshared key. An answer is also taken if it was made with the
	 * alternate, where there is one: while both nodes change from one secret to another, neither has to wait for
	 * the other. */
	struct preshared_key preshared[KEY_SLOTS][KEY_SLOTS];
	struct preshared_key alternate[KEY_SLOTS][KEY_SLOTS];
	uint8_t has_alternate; /* else what stands there counts for nothing */
	/* A next key of a live peer (authenticated packet within 180 s) is tried at once, of any other at a random time
	 * within this. */
	uint32_t try_next_within_s;
	uint16_t
		endpoint_count; /* best first, none of them unspecified, multicast or port 0; the peer roams within their
				    addresses only */
	uint16_t
		cidr_count; /* allowed IPs, host bits zero; -ENOSPC where the table has no room for them */
};

struct control_peer_id {
	uint32_t id;
};

struct control_question {
	uint32_t id;
	union endpoint endpoint;
};

struct control_place_of {
	uint32_t id;
	struct address address;
};

/* An address at which the peer was asked for a handshake, or completed one. Boot clock. */
struct control_place {
	struct address address;
	uint64_t proved_ns;   /* the first handshake that was completed there; 0: none was */
	uint64_t answered_ns; /* and the last one */
	uint64_t
		asked_ns; /* the first initiation since then, while it has no answer; 0: there is none */
	uint32_t asked_count; /* initiations since then */
};

struct control_peer_status {
	uint32_t id;
	char uid[CONTROL_UID_LEN]; /* as given last: no older record may be taken, also by a keyd that knows of none */
	uint64_t epoch;
	uint8_t has_session; /* one that can send now */
	uint8_t has_endpoint;
	union endpoint endpoint; /* in use */
	struct public_key key;	 /* current */
	uint8_t has_proved
		[KEY_SLOTS]; /* authenticated data came on a session made with our key in that slot */
	uint8_t has_reached
		[KEY_SLOTS]; /* a session was made with the peer's key in that slot, and is confirmed */
	uint64_t last_handshake_wall_ns; /* Unix time; 0: never */
	uint64_t last_received_age_ns; /* since the last authenticated packet; UINT64_MAX: never */
	uint64_t known_age_ns;	       /* since the tunnel has had the peer */
	uint64_t
		asked_age_ns; /* since the first initiation that nothing authenticated has followed; UINT64_MAX: none */
	uint32_t place_count;
	struct control_place places[CONTROL_PLACES_MAX];
	uint64_t received_bytes, sent_bytes; /* as `wg show transfer` counts them */
	uint32_t staged_packets;
};

struct control_page {
	uint64_t
		now_ns; /* the tunnel's boot clock: what the times of the places are to be compared with */
	uint32_t count;
	uint8_t is_last;
	struct control_peer_status
		peers[CONTROL_PAGE]; /* ascending by id; count of them are sent */
};

struct control_drops {
	uint32_t count; /* DROP_REASON_COUNT of the tunnel's build */
	uint64_t packets[DROP_REASON_COUNT];
};
