// SPDX-License-Identifier: Apache-2.0
/*
 * Macs and cookies (paper, 5.3, 5.4.4, 5.4.7). Costs hashing only, never a scalar multiplication,
 * so that a flood does not reach the handshake. The caller decides whether there is load.
 */
#include "cookie.h"

#include "crypto.h"

/* Every handshake message ends with the two macs; mac1 covers everything before it, mac2 that and
 * mac1. */
static size_t mac1_offset(size_t len)
{
	assert(len >= sizeof(struct message_macs));
	return len - sizeof(struct message_macs);
}

static size_t mac2_offset(size_t len)
{
	return mac1_offset(len) + MAC_LEN;
}

/* Does the mac at the offset match everything before it? */
static bool mac_matches(const uint8_t *key, size_t key_len, const void *message, size_t offset)
{
	uint8_t expected[MAC_LEN];
	bool matches;

	crypto_mac(expected, key, key_len, message, offset);
	matches = crypto_is_equal(expected, (const uint8_t *)message + offset, MAC_LEN);
	crypto_wipe(expected, sizeof(expected));
	return matches;
}

bool cookie_mac1_matches(const struct identity *own, const void *message, size_t len)
{
	/* The mac key of a cleared identity is zero, which anyone can use. */
	if (!own->is_set)
		return false;
	return mac_matches(own->mac1_key, HASH_LEN, message, mac1_offset(len));
}

bool cookie_wants_secret(const struct cookie_checker *checker, uint64_t now_ns)
{
	return !checker->secret_birth_ns || now_ns >= checker->secret_birth_ns + COOKIE_LIFETIME_NS;
}

void cookie_renew_secret(struct cookie_checker *checker, uint64_t now_ns,
			 const uint8_t fresh_secret[static HASH_LEN])
{
	memcpy(checker->secret, fresh_secret, HASH_LEN);
	checker->secret_birth_ns = now_ns;
}

void cookie_create(uint8_t ret_cookie[static COOKIE_LEN], const struct cookie_checker *checker,
		   const union endpoint *source)
{
	struct address address = endpoint_address(source);
	size_t address_len = address_bits(address.family) / 8;
	uint8_t text[sizeof(address.bytes) + 2];

	memcpy(text, address.bytes, address_len);
	put_be16(text + address_len, endpoint_port(source));
	crypto_mac(ret_cookie, checker->secret, HASH_LEN, text, address_len + 2);
}

bool cookie_mac2_matches(const uint8_t cookie[static COOKIE_LEN], const void *message, size_t len)
{
	return mac_matches(cookie, COOKIE_LEN, message, mac2_offset(len));
}

void cookie_create_reply(struct message_cookie *ret_reply, const struct identity *own,
			 const struct message_macs *macs, uint32_t sender_index,
			 const uint8_t cookie[static COOKIE_LEN], const uint8_t nonce[static 24])
{
	put_le32(ret_reply->type, MESSAGE_COOKIE);
	put_le32(ret_reply->receiver_index, sender_index);
	memcpy(ret_reply->nonce, nonce, sizeof(ret_reply->nonce));
	/* mac1 is the associated data: only a node that saw the message can create a reply to
	 * it. */
	crypto_xseal(ret_reply->sealed_cookie, cookie, COOKIE_LEN, macs->mac1, MAC_LEN, nonce,
		     own->cookie_key);
}

void cookie_add_macs(void *message, size_t len, struct cookie_jar *jar,
		     const uint8_t remote_mac1_key[static HASH_LEN], uint64_t now_ns)
{
	uint8_t *mac1 = (uint8_t *)message + mac1_offset(len);
	uint8_t *mac2 = (uint8_t *)message + mac2_offset(len);

	crypto_mac(mac1, remote_mac1_key, HASH_LEN, message, mac1_offset(len));
	memcpy(jar->last_mac1, mac1, MAC_LEN);
	jar->has_sent_mac1 = true;
	if (jar->cookie_birth_ns &&
	    now_ns < jar->cookie_birth_ns + COOKIE_LIFETIME_NS - COOKIE_LATENCY_NS)
		crypto_mac(mac2, jar->cookie, COOKIE_LEN, message, mac2_offset(len));
	else
		memset(mac2, 0, MAC_LEN);
}

bool cookie_consume_reply(struct cookie_jar *jar, const struct message_cookie *reply,
			  const uint8_t remote_cookie_key[static HASH_LEN], uint64_t now_ns)
{
	uint8_t cookie[COOKIE_LEN];
	bool is_authentic;

	if (!jar->has_sent_mac1)
		return false;
	is_authentic = crypto_xopen(cookie, reply->sealed_cookie, sizeof(reply->sealed_cookie),
				    jar->last_mac1, MAC_LEN, reply->nonce, remote_cookie_key);
	if (is_authentic) {
		memcpy(jar->cookie, cookie, COOKIE_LEN);
		jar->cookie_birth_ns = now_ns;
		jar->has_sent_mac1 = false;
	}
	crypto_wipe(cookie, sizeof(cookie));
	return is_authentic;
}
