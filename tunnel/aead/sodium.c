// SPDX-License-Identifier: Apache-2.0
/*
 * The engine that is always available, and the reference for all others: libsodium, one packet
 * after the other.
 */
#include <sodium.h>

#include "aead.h"

#define NONCE_LEN crypto_aead_chacha20poly1305_ietf_NPUBBYTES

static bool is_available(void)
{
	return true;
}

static void encode_nonce(uint8_t ret_nonce[static NONCE_LEN], uint64_t counter)
{
	memset(ret_nonce, 0, 4);
	put_le64(ret_nonce + 4, counter);
}

static void seal_jobs(struct aead_job *jobs, unsigned int count)
{
	uint8_t nonce[NONCE_LEN];

	for (struct aead_job *job = jobs; job < jobs + count; job++) {
		encode_nonce(nonce, job->counter);
		(void)crypto_aead_chacha20poly1305_ietf_encrypt(
			job->output, NULL, job->input, job->len, NULL, 0, NULL, nonce, job->key);
	}
}

/* libsodium refuses input shorter than a tag. */
static void open_jobs(struct aead_job *jobs, unsigned int count)
{
	uint8_t nonce[NONCE_LEN];

	for (struct aead_job *job = jobs; job < jobs + count; job++) {
		encode_nonce(nonce, job->counter);
		job->is_authentic = !crypto_aead_chacha20poly1305_ietf_decrypt(
			job->output, NULL, NULL, job->input, job->len, NULL, 0, nonce, job->key);
	}
}

const struct aead_engine aead_sodium = {
	.name = "sodium",
	.is_available = is_available,
	.seal = seal_jobs,
	.open = open_jobs,
};
