/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster secrets of a node: what the file says, what is published of them, which one two nodes come to, and the
 * preshared key that each pair of statics has from it. CORE. A preshared key is worth nothing to whoever knows the
 * statics alone, so a record forged without the secret completes no handshake, and a recording stays closed to a later
 * quantum computer.
 *
 * "None" is a choice like a secret, and counts only where it was made: in the file, or by having no file.
 */
#pragma once

#include "key.h"
#include "refusal.h"

#define SECRETS_MAX	    2 /* two generations, while the secret is changed */
#define SECRET_FILE_MAX	    4096
#define SECRET_ID_LEN	    16 /* hexadecimal digits */
#define SECRET_IDS_MAX	    8  /* in a record */
#define SECRET_NONE	    "none"
#define SECRET_IDS_TEXT_LEN (SECRET_IDS_MAX * (SECRET_ID_LEN + 2))

/* A keyed hash: it tells nothing of the secret. Or "none". */
struct secret_id {
	char text[SECRET_ID_LEN + 1];
};

/* Newest first, as a node publishes it. Empty: the node has no secret, which says the same as "none" alone. */
struct secret_ids {
	uint32_t count;
	struct secret_id items[SECRET_IDS_MAX];
};

struct secret {
	bool is_none; /* then the bytes are zero */
	uint8_t bytes[KEY_LEN];
	struct secret_id id;
};

/* Belongs into locked memory, and is wiped when it is replaced. */
struct secrets {
	uint32_t count;
	struct secret items[SECRETS_MAX];
};

/* The file's content: one or two lines, newest first, each base64 of 32 bytes, or the word "none" beside a secret. On
 * false *ret_secrets is wiped (it is worked on in place, for the stack is not locked), and *refusal names the line, but
 * nothing of what stands in it. */
MUST_CHECK bool secret_parse(struct secrets *ret_secrets, const char *text, size_t len,
			     struct refusal *refusal);

void secret_list_ids(struct secret_ids *ret_ids, const struct secrets *secrets);

/* Of a record. */
bool secret_is_id(const char *text);

bool secret_accepts_none(const struct secret_ids *ids);

/* The newest common one, as a number in `own`: where both lists have it earliest (the sum of the two places is the
 * smallest). It is the same whichever side asks: of two that are equal the smaller id is taken, and any before "none".
 * False: there is none in common. */
MUST_CHECK bool secret_choose(uint32_t *ret_own, const struct secret_ids *own,
			      const struct secret_ids *theirs);

/* "1a2b..., none", for people. */
const char *secret_ids_format(char text[static SECRET_IDS_TEXT_LEN], const struct secret_ids *ids);

/* Of the pair of statics, whoever of the two asks; zero for "none". The caller wipes it. */
void secret_derive(struct preshared_key *ret_preshared, const struct secret *secret,
		   const struct public_key *a, const struct public_key *b);
