// SPDX-License-Identifier: Apache-2.0
/*
 * Macs and cookies (paper, 5.3, 5.4.4, 5.4.7). Costs hashing only, never a scalar multiplication: this is what stands
 * between a flood and the handshake. Decides nothing about load; the caller does.
 */
#include "cookie.h"

#include "crypto.h"

/* The two macs end every handshake message; mac1 covers what is before it, mac2 that and mac1. */
static size_t mac1_offset(size_t len)
{
	assert(len >= sizeof(struct message_macs));
	return len - sizeof(struct message_macs);
}

static size_t mac2_offset(size_t len)
{
	return mac1_offset(len) + MAC_LEN;
}

bool cookie_mac1_matches(const struct identity *own, const void *message, size_t len)
{
	size_t offset = mac1_offset(len);
	uint8_t expected[MAC_LEN];

	/* The mac key of a cleared identity is zero, which anybody knows. */
	if (!own->is_set)
		return false;
	crypto_mac(expected, own->mac1_key, HASH_LEN, message, offset);
	return crypto_is_equal(expected, (const uint8_t *)message + offset, MAC_LEN);
}

/* The cookie of a source: its address and port under the secret of these two minutes. */
static void make_cookie(uint8_t ret_cookie[static COOKIE_LEN], const struct cookie_checker *checker,
			const union endpoint *source)
{
	struct address address = endpoint_address(source);
	size_t address_len = address_bits(address.family) / 8;
	uint8_t text[sizeof(address.bytes) + 2];

	memcpy(text, address.bytes, address_len);
	put_be16(text + address_len, endpoint_port(source));
	crypto_mac(ret_cookie, checker->secret, HASH_LEN, text, address_len + 2);
}

static void renew_secret(struct cookie_checker *checker, uint64_t now_ns,
			 const uint8_t fresh_secret[static HASH_LEN])
{
	if (checker->secret_birth_ns && now_ns < checker->secret_birth_ns + COOKIE_LIFETIME_NS)
		return;
	memcpy(checker->secret, fresh_secret, HASH_LEN);
	checker->secret_birth_ns = now_ns;
}

enum mac_verdict cookie_check_macs(struct cookie_checker *checker, const struct identity *own,
				   const void *message, size_t len, const union endpoint *source,
				   uint64_t now_ns, const uint8_t fresh_secret[static HASH_LEN])
{
	enum mac_verdict verdict = MAC_VALID;
	struct {
		uint8_t cookie[COOKIE_LEN];
		uint8_t mac2[MAC_LEN];
	} work;

	if (!cookie_mac1_matches(own, message, len))
		return MAC_INVALID;
	renew_secret(checker, now_ns, fresh_secret);
	make_cookie(work.cookie, checker, source);
	crypto_mac(work.mac2, work.cookie, COOKIE_LEN, message, mac2_offset(len));
	if (crypto_is_equal(work.mac2, (const uint8_t *)message + mac2_offset(len), MAC_LEN))
		verdict = MAC_VALID_WITH_COOKIE;
	crypto_wipe(&work, sizeof(work));
	return verdict;
}

void cookie_create_reply(struct message_cookie *ret_reply, const struct cookie_checker *checker,
			 const struct identity *own, const struct message_macs *macs,
			 uint32_t sender_index, const union endpoint *source,
			 const uint8_t nonce[static 24])
{
	uint8_t cookie[COOKIE_LEN];

	put_le32(ret_reply->type, MESSAGE_COOKIE);
	put_le32(ret_reply->receiver_index, sender_index);
	memcpy(ret_reply->nonce, nonce, sizeof(ret_reply->nonce));
	make_cookie(cookie, checker, source);
	/* mac1 as associated data: only who saw the message can make a reply to it. */
	crypto_xseal(ret_reply->sealed_cookie, cookie, COOKIE_LEN, macs->mac1, MAC_LEN, nonce,
		     own->cookie_key);
	crypto_wipe(cookie, sizeof(cookie));
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
