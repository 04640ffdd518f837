/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster secrets of a node: parsing the file, the published ids, the choice of a common
 * secret, and the preshared key derived from it for each pair of static keys. CORE. Knowing the
 * static keys alone is not enough to compute a preshared key, so a record forged without the secret
 * completes no handshake, and a recording stays closed to a later quantum computer.
 *
 * "None" is a choice like a secret, and is valid only where it was made: in the file, or by having
 * no file.
 */
#pragma once

#include "key.h"
#include "refusal.h"

#define SECRETS_MAX	    2 /* two generations, while the secret is being changed */
#define SECRET_FILE_MAX	    4096
#define SECRET_ID_LEN	    16 /* hexadecimal digits */
#define SECRET_IDS_MAX	    8  /* in one record */
#define SECRET_NONE	    "none"
#define SECRET_IDS_TEXT_LEN (SECRET_IDS_MAX * (SECRET_ID_LEN + 2))

/* A keyed hash, which reveals nothing of the secret; or "none". */
struct secret_id {
	char text[SECRET_ID_LEN + 1];
};

/* Newest first, as published. Empty: the node has no secret, which means the same as "none"
 * alone. */
struct secret_ids {
	uint32_t count;
	struct secret_id items[SECRET_IDS_MAX];
};

struct secret {
	bool is_none; /* then the bytes are zero */
	uint8_t bytes[KEY_LEN];
	struct secret_id id;
};

/* Belongs in locked memory, and is wiped when it is replaced. */
struct secrets {
	uint32_t count;
	struct secret items[SECRETS_MAX];
};

/* Parses the file's content: one or two lines, newest first, each the base64 of 32 bytes, or the
 * word "none" beside a secret. On false *ret_secrets is wiped (it is filled in place, because the
 * stack is not locked), and *refusal names the line, but nothing of its content. */
MUST_CHECK bool secret_parse(struct secrets *ret_secrets, const char *text, size_t len,
			     struct refusal *refusal);

void secret_list_ids(struct secret_ids *ret_ids, const struct secrets *secrets);

/* An id as it appears in a record. */
bool secret_is_id(const char *text);

bool secret_accepts_none(const struct secret_ids *ids);

/* Chooses the newest common secret, as an index in `own`: the one with the smallest sum of
 * positions in both lists. Both sides choose the same one: of two equal sums the smaller id wins,
 * and any id wins over "none". False: there is no common secret. */
MUST_CHECK bool secret_choose(uint32_t *ret_own, const struct secret_ids *own,
			      const struct secret_ids *theirs);

/* "1a2b..., none", for people. */
const char *secret_ids_format(char text[static SECRET_IDS_TEXT_LEN], const struct secret_ids *ids);

/* Of the pair of static keys, in either order; zero for "none". The caller wipes it. */
void secret_derive(struct preshared_key *ret_preshared, const struct secret *secret,
		   const struct public_key *a, const struct public_key *b);
