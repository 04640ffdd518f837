// SPDX-License-Identifier: Apache-2.0
/* One of our own statics: derived once, wiped whole. */
#include "crypto.h"
#include "identity.h"
#include "test.h"
#include "vectors/handshake.h"

static const struct handshake_vector *const vector = &handshake_vectors[0];

static struct private_key key_of(const uint8_t bytes[static KEY_LEN])
{
	struct private_key key;

	memcpy(key.bytes, bytes, KEY_LEN);
	return key;
}

TEST(identity_has_the_public_half_of_its_key)
{
	struct private_key key = key_of(vector->responder_private);
	struct identity identity = {0};

	identity_set(&identity, &key);
	assert_true(identity.is_set);
	assert_memory_equal(identity.public_key.bytes, vector->responder_public, KEY_LEN);
}

TEST(identity_clamps_its_copy_alone)
{
	struct private_key key;
	struct identity identity = {0};

	memset(key.bytes, 0xff, KEY_LEN);
	identity_set(&identity, &key);
	assert_int_equal(identity.private_key.bytes[0], 0xf8);
	assert_int_equal(identity.private_key.bytes[31], 0x7f);
	assert_int_equal(key.bytes[0], 0xff);
}

/* mac1 of the vector's initiation was made from the label and the responder's public key, by other
 * code. */
TEST(identity_derives_the_mac1_key_that_others_use_for_it)
{
	struct private_key key = key_of(vector->responder_private);
	struct identity identity = {0};
	size_t covered = sizeof(vector->initiation) - 2 * MAC_LEN;
	uint8_t mac[MAC_LEN];

	identity_set(&identity, &key);
	crypto_mac(mac, identity.mac1_key, HASH_LEN, vector->initiation, covered);
	assert_memory_equal(mac, vector->initiation + covered, MAC_LEN);
}

TEST(identity_derives_the_same_keys_as_its_peer_does)
{
	struct private_key key = key_of(vector->responder_private);
	uint8_t mac1_key[HASH_LEN], cookie_key[HASH_LEN];
	struct identity identity = {0};

	identity_set(&identity, &key);
	identity_derive_mac_keys(mac1_key, cookie_key, &identity.public_key);
	assert_memory_equal(mac1_key, identity.mac1_key, HASH_LEN);
	assert_memory_equal(cookie_key, identity.cookie_key, HASH_LEN);
	assert_memory_not_equal(mac1_key, cookie_key, HASH_LEN);
}

TEST(identity_leaves_nothing_when_cleared)
{
	struct private_key key = key_of(vector->responder_private);
	struct identity identity;

	memset(&identity, 0xaa, sizeof(identity));
	identity_set(&identity, &key);
	identity_clear(&identity);
	assert_true(sodium_is_zero((const uint8_t *)&identity, sizeof(identity)));
}
