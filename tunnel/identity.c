// SPDX-License-Identifier: Apache-2.0
/*
 * One of our own static keys and the two mac keys of its public half (paper, 5.4.4 and 5.4.7). The
 * private key stays in the caller's storage and is not copied elsewhere.
 */
#include "identity.h"

#include "crypto.h"

void identity_set(struct identity *identity, const struct private_key *private_key)
{
	identity->private_key = *private_key;
	crypto_make_pair(identity->private_key.bytes, identity->public_key.bytes);
	identity_derive_mac_keys(identity->mac1_key, identity->cookie_key, &identity->public_key);
	identity->is_set = true;
}

void identity_clear(struct identity *identity)
{
	crypto_wipe(identity, sizeof(*identity));
}

void identity_derive_mac_keys(uint8_t ret_mac1_key[static HASH_LEN],
			      uint8_t ret_cookie_key[static HASH_LEN],
			      const struct public_key *public_key)
{
	crypto_digest(ret_mac1_key, NOISE_LABEL_MAC1, strlen(NOISE_LABEL_MAC1), public_key->bytes,
		      KEY_LEN);
	crypto_digest(ret_cookie_key, NOISE_LABEL_COOKIE, strlen(NOISE_LABEL_COOKIE),
		      public_key->bytes, KEY_LEN);
}
