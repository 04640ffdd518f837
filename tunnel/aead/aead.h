/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20-Poly1305 over batches: the only interface between the data path and an implementation.
 * An engine is one file in this directory; all engines must agree to the byte. Input and output are
 * the same buffer or do not overlap. No engine keeps a key after it returned.
 */
#pragma once

#include "util.h"

struct aead_job {
	const uint8_t *key;   /* 32 bytes */
	uint64_t counter;     /* nonce: 4 zero bytes, then this in little endian */
	const uint8_t *input; /* seal: plain; open: sealed and its tag */
	uint8_t *output;      /* seal: len + 16 bytes; open: len - 16 */
	uint32_t len;	      /* of input */
	bool is_authentic;    /* set by open */
};

struct aead_engine {
	const char *name;
	bool (*is_available)(void); /* on this machine; called once, at start */
	void (*seal)(struct aead_job *jobs, unsigned int count);
	void (*open)(struct aead_job *jobs, unsigned int count);
};

extern const struct aead_engine aead_sodium;

/* By name, or the fastest available for "auto"; NULL: no engine has that name. */
const struct aead_engine *aead_find(const char *name);
