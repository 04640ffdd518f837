/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between podveil-keyd and podveil-tunnel, on a SOCK_SEQPACKET Unix socket (root only,
 * mode 0600). One packet is one request: struct control_header and the verb's body. Each request is
 * answered by exactly one packet: the header again, with `error` 0 or -errno, and the verb's answer
 * if error is 0. Both ends come from one image, so byte order and layout are native. Requests are
 * idempotent: repeating one changes nothing. A rejected request changes nothing either; -EINVAL
 * means a wrong length, or a value outside the ranges given here. A private key is sent once, from
 * keyd to the tunnel, and never back.
 */
#pragma once

#include <net/if.h>

#include "address.h"
#include "drop_reason.h"
#include "key.h"

#define CONTROL_VERSION	      3
#define CONTROL_PACKET_MAX    131072 /* bytes, header included; longer packets are rejected */
#define CONTROL_ENDPOINTS_MAX 8
#define CONTROL_CIDRS_MAX     4096
#define CONTROL_UID_LEN	      64 /* with the terminating zero */
#define CONTROL_PAGE	      64
#define CONTROL_PLACES_MAX    24 /* addresses at which one peer was asked or reached */

enum control_verb {
	/* no body -> struct control_hello */
	CONTROL_HELLO = 1,
	/* struct control_identity -> nothing. From then on the device is managed, and peers that
	 * wg(8) added before are removed. -EEXIST if another slot has that key, -ENOSPC if the
	 * table has no room for handshakes under one more key. */
	CONTROL_SET_IDENTITY,
	/* struct control_device -> nothing; -EADDRINUSE if the port is taken */
	CONTROL_SET_DEVICE,
	/* struct control_peer, endpoints, cidrs -> nothing; -ESTALE if the peer has that uid and a
	 * greater epoch */
	CONTROL_SET_PEER,
	/* struct control_peer_id -> nothing; -ENOENT if there is no such peer */
	CONTROL_REMOVE_PEER,
	/* struct control_peer_id (list the ids greater than it) -> struct control_page */
	CONTROL_LIST_PEERS,
	/* no body -> struct control_drops */
	CONTROL_READ_DROPS,
	/* struct control_epoch -> nothing; -ENOENT if there is no next key */
	CONTROL_PROMOTE_IDENTITY,
	/* struct control_clear -> nothing; an empty slot is no error */
	CONTROL_CLEAR_IDENTITY,
	/* struct control_peer_id -> nothing. Starts a handshake unless there is a session that can
	 * send or a handshake is in progress. -ENOENT if there is no such peer, -EDESTADDRREQ if it
	 * has no endpoint. */
	CONTROL_TRY_PEER,
	/* struct control_question -> nothing. Asks for a handshake at that endpoint and keeps the
	 * one in use; the status shows whether the handshake completed there. -ENOENT as above;
	 * -EAGAIN if a question or an initiation has only just been sent; -EINVAL for an impossible
	 * endpoint, or one with another port than this tunnel's, which would prove nothing. */
	CONTROL_ASK_PEER,
	/* struct control_place_of -> nothing. Forgets that the peer was asked or reached at that
	 * address. -ENOENT if there is no such peer. */
	CONTROL_FORGET_PLACE,
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
	struct public_key keys[KEY_SLOTS]; /* public halves of our own static keys */
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

/* The next key becomes current and the current one previous; the old previous key is wiped. No
 * session and no peer changes. */
struct control_epoch {
	uint64_t epoch;
};

/* Wipes the key: no further handshake uses it. Sessions made under it expire as usual, unless
 * ends_sessions ends them at once. */
struct control_clear {
	uint32_t slot; /* enum key_slot, not KEY_CURRENT */
	uint8_t ends_sessions;
	uint64_t epoch;
};

struct control_device {
	uint16_t port;	 /* UDP, both families; not 0 */
	uint32_t fwmark; /* SO_MARK of the outer datagrams; 0: none */
};

/* Followed by endpoint_count union endpoint, then cidr_count struct cidr. Replaces the peer's
 * configuration. An allowed IP that is in both the old and the new set is never missing in
 * between. */
struct control_peer {
	uint32_t id;		   /* assigned by keyd, the same as in the BPF maps; not 0 */
	char uid[CONTROL_UID_LEN]; /* of the record that this comes from: terminated, not empty */
	uint64_t epoch;
	uint8_t has_key[KEY_SLOTS]; /* KEY_CURRENT always */
	/* -EADDRNOTAVAIL for a low-order key or our own, -EADDRINUSE if another peer has it,
	 * -EINVAL for the same key in two slots, -ENOSPC if the table has no room for handshakes
	 * with one more key. */
	struct public_key keys[KEY_SLOTS];
	/* Indexed by our slot, then theirs, as the slots are now; they follow their keys when those
	 * move. Zero: none. We answer handshakes with the preshared key. Where there is an
	 * alternate, we also accept a response made with it: while both nodes change from one
	 * secret to another, neither has to wait for the other. */
	struct preshared_key preshared[KEY_SLOTS][KEY_SLOTS];
	struct preshared_key alternate[KEY_SLOTS][KEY_SLOTS];
	uint8_t has_alternate; /* 0: `alternate` is ignored */
	/* The next key of a live peer (authenticated packet within 180 s) is tried at once, that of
	 * any other peer at a random time within this interval. */
	uint32_t try_next_within_s;
	/* Best first; no endpoint may be unspecified, multicast or have port 0. The peer roams only
	 * within their addresses. */
	uint16_t endpoint_count;
	/* Allowed IPs, host bits zero; -ENOSPC if the table has no room for them. */
	uint16_t cidr_count;
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

/* An address at which the peer was asked for a handshake, or completed one. Times are of the boot
 * clock. */
struct control_place {
	struct address address;
	uint64_t proved_ns;   /* the first handshake that completed there; 0: none */
	uint64_t answered_ns; /* the last handshake that completed there */
	/* The first initiation since then, while it is unanswered; 0: none. */
	uint64_t asked_ns;
	uint32_t asked_count; /* initiations since then */
};

struct control_peer_status {
	uint32_t id;
	/* As last configured. An older record must not be accepted, even by a keyd that does not
	 * know the peer yet. */
	char uid[CONTROL_UID_LEN];
	uint64_t epoch;
	uint8_t has_session; /* a session that can send now */
	uint8_t has_endpoint;
	union endpoint endpoint; /* in use */
	struct public_key key;	 /* current */
	/* By our slot: authenticated data arrived on a session made with that key. */
	uint8_t has_proved[KEY_SLOTS];
	/* By the peer's slot: a session was made with that key, and is confirmed. */
	uint8_t has_reached[KEY_SLOTS];
	uint64_t last_handshake_wall_ns; /* Unix time; 0: never */
	uint64_t last_received_age_ns; /* since the last authenticated packet; UINT64_MAX: never */
	uint64_t known_age_ns;	       /* since the tunnel learned of the peer */
	/* Since the first initiation after the last authenticated packet; UINT64_MAX: none. */
	uint64_t asked_age_ns;
	uint32_t place_count;
	struct control_place places[CONTROL_PLACES_MAX];
	uint64_t received_bytes, sent_bytes; /* as `wg show transfer` counts them */
	uint32_t staged_packets;
};

struct control_page {
	/* The tunnel's boot clock, to compare the times of the places with. */
	uint64_t now_ns;
	uint32_t count;
	uint8_t is_last;
	/* Ascending by id; only `count` of them are sent. */
	struct control_peer_status peers[CONTROL_PAGE];
};

struct control_drops {
	uint32_t count; /* DROP_REASON_COUNT of the tunnel's build */
	uint64_t packets[DROP_REASON_COUNT];
};
