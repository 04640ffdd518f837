/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every WireGuard message and every constant of the protocol, on one page, to be checked against
 * the paper (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", sections 5.4 and 6).
 * All integers are little-endian.
 */
#pragma once

#include <assert.h>

#include "key.h"
#include "util.h"

#define NOISE_CONSTRUCTION "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define NOISE_IDENTIFIER   "WireGuard v1 zx2c4 Jason@zx2c4.com"
#define NOISE_LABEL_MAC1   "mac1----"
#define NOISE_LABEL_COOKIE "cookie--"

#define HASH_LEN	   32 /* BLAKE2s-256 */
#define TAG_LEN		   16 /* Poly1305 */
#define MAC_LEN		   16 /* keyed BLAKE2s-128 */
#define COOKIE_LEN	   16
#define TIMESTAMP_LEN	   12 /* TAI64N: seconds 8, nanoseconds 4, big endian */

/* Section 6.1 */
#define REKEY_AFTER_MESSAGES  (1ULL << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_WINDOW - 1)
#define REKEY_AFTER_TIME_NS   (120 * NS_PER_S)
#define REJECT_AFTER_TIME_NS  (180 * NS_PER_S)
#define REKEY_ATTEMPT_TIME_NS (90 * NS_PER_S)
#define REKEY_TIMEOUT_NS      (5 * NS_PER_S)
#define KEEPALIVE_TIMEOUT_NS  (10 * NS_PER_S)
#define REKEY_JITTER_NS	      (334 * NS_PER_MS) /* added to a retry, uniform from 0 */
/* The handshake fails after this many. */
#define HANDSHAKE_RETRIES_MAX (REKEY_ATTEMPT_TIME_NS / REKEY_TIMEOUT_NS)
#define ZERO_KEYS_AFTER_NS    (3 * REJECT_AFTER_TIME_NS)
/* A peer's initiations closer than this are a flood. */
#define INITIATION_SPACING_NS (NS_PER_S / 50)
/* 16.7 ms: the resolution at which we reveal our clock. */
#define TIMESTAMP_WHITENING_NS (1U << 24)
#define COOKIE_LIFETIME_NS     (120 * NS_PER_S)
#define COOKIE_LATENCY_NS      (5 * NS_PER_S) /* the initiator trusts a cookie for this much less */
#define UNDER_LOAD_LATCH_NS    (1 * NS_PER_S)

#define REPLAY_BITS	       8192 /* RFC 6479 */
#define REPLAY_WINDOW	       (REPLAY_BITS - 64)

#define STAGED_PACKETS_MAX     128 /* per peer; the oldest is dropped */
#define PADDING_MULTIPLE       16  /* never beyond the MTU */

#define TOS_HANDSHAKE	       0x88 /* AF41 */

enum message_type {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_DATA = 4,
};

struct message_macs {
	uint8_t mac1[MAC_LEN];
	uint8_t mac2[MAC_LEN];
};

struct message_initiation {
	uint8_t type[4]; /* type and three zero bytes, in one little-endian word */
	uint8_t sender_index[4];
	uint8_t ephemeral[KEY_LEN];
	uint8_t sealed_static[KEY_LEN + TAG_LEN];
	uint8_t sealed_timestamp[TIMESTAMP_LEN + TAG_LEN];
	struct message_macs macs;
};

struct message_response {
	uint8_t type[4];
	uint8_t sender_index[4];
	uint8_t receiver_index[4];
	uint8_t ephemeral[KEY_LEN];
	uint8_t sealed_nothing[TAG_LEN];
	struct message_macs macs;
};

struct message_cookie {
	uint8_t type[4];
	uint8_t receiver_index[4];
	uint8_t nonce[24];
	uint8_t sealed_cookie[COOKIE_LEN + TAG_LEN];
};

/* Followed by the sealed packet and its tag; a keepalive is the tag alone. */
struct message_data {
	uint8_t type[4];
	uint8_t receiver_index[4];
	uint8_t counter[8];
};

#define MESSAGE_DATA_MIN (sizeof(struct message_data) + TAG_LEN)
#define DATA_OVERHEAD	 MESSAGE_DATA_MIN

static_assert(sizeof(struct message_initiation) == 148, "paper, 5.4.2");
static_assert(sizeof(struct message_response) == 92, "paper, 5.4.3");
static_assert(sizeof(struct message_cookie) == 64, "paper, 5.4.7");
static_assert(sizeof(struct message_data) == 16, "paper, 5.4.6");
static_assert(sizeof(uint64_t) == 8, "counters are 64 bits on every machine");
