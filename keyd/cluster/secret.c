// SPDX-License-Identifier: Apache-2.0
/*
 * Cluster secrets: BLAKE2b, keyed with the secret and with a label for each use, yields ids and
 * preshared keys. No text of the file may be disclosed: an error is described by its line number
 * alone.
 */
#include "secret.h"

#define ID_LABEL	"podveil cluster secret: id, version 1"
#define PRESHARED_LABEL "podveil cluster secret: preshared key, version 1"

/* All intermediate data of a hash, so that one wipe clears it. */
struct hash_work {
	crypto_generichash_state state;
	uint8_t digest[crypto_generichash_BYTES_MIN];
};

static const struct secret_ids no_ids = {.count = 1, .items = {{SECRET_NONE}}};

/* -- ids -- */

static void make_id(struct secret_id *ret_id, const uint8_t secret[static KEY_LEN])
{
	struct hash_work work;

	crypto_generichash_init(&work.state, secret, KEY_LEN, sizeof(work.digest));
	crypto_generichash_update(&work.state, (const uint8_t *)ID_LABEL, strlen(ID_LABEL));
	crypto_generichash_final(&work.state, work.digest, sizeof(work.digest));
	sodium_bin2hex(ret_id->text, sizeof(ret_id->text), work.digest, SECRET_ID_LEN / 2);
	sodium_memzero(&work, sizeof(work));
}

void secret_list_ids(struct secret_ids *ret_ids, const struct secrets *secrets)
{
	*ret_ids = (struct secret_ids){.count = secrets->count};
	for (uint32_t i = 0; i < secrets->count; i++)
		ret_ids->items[i] = secrets->items[i].id;
}

bool secret_is_id(const char *text)
{
	return !strcmp(text, SECRET_NONE) ||
	       (strlen(text) == SECRET_ID_LEN && strspn(text, "0123456789abcdef") == SECRET_ID_LEN);
}

static const struct secret_ids *or_none(const struct secret_ids *ids)
{
	return ids->count ? ids : &no_ids;
}

bool secret_accepts_none(const struct secret_ids *ids)
{
	ids = or_none(ids);
	for (uint32_t i = 0; i < ids->count; i++)
		if (!strcmp(ids->items[i].text, SECRET_NONE))
			return true;
	return false;
}

bool secret_choose(uint32_t *ret_own, const struct secret_ids *own, const struct secret_ids *theirs)
{
	uint32_t best = UINT32_MAX;

	own = or_none(own);
	theirs = or_none(theirs);
	for (uint32_t i = 0; i < own->count; i++)
		for (uint32_t j = 0; j < theirs->count; j++) {
			const char *id = own->items[i].text;

			if (strcmp(id, theirs->items[j].text) || i + j > best ||
			    (i + j == best && strcmp(id, own->items[*ret_own].text) >= 0))
				continue;
			best = i + j;
			*ret_own = i;
		}
	return best != UINT32_MAX;
}

const char *secret_ids_format(char text[static SECRET_IDS_TEXT_LEN], const struct secret_ids *ids)
{
	size_t used = 0;

	ids = or_none(ids);
	for (uint32_t i = 0; i < ids->count; i++)
		used += (size_t)snprintf(text + used, SECRET_IDS_TEXT_LEN - used, "%s%s",
					 i ? ", " : "", ids->items[i].text);
	return text;
}

/* -- preshared keys -- */

void secret_derive(struct preshared_key *ret_preshared, const struct secret *secret,
		   const struct public_key *a, const struct public_key *b)
{
	bool is_ordered = memcmp(a->bytes, b->bytes, KEY_LEN) < 0;
	struct hash_work work;

	if (secret->is_none) {
		*ret_preshared = (struct preshared_key){0};
		return;
	}
	crypto_generichash_init(&work.state, secret->bytes, KEY_LEN, KEY_LEN);
	crypto_generichash_update(&work.state, (const uint8_t *)PRESHARED_LABEL,
				  strlen(PRESHARED_LABEL));
	crypto_generichash_update(&work.state, is_ordered ? a->bytes : b->bytes, KEY_LEN);
	crypto_generichash_update(&work.state, is_ordered ? b->bytes : a->bytes, KEY_LEN);
	crypto_generichash_final(&work.state, ret_preshared->bytes, KEY_LEN);
	sodium_memzero(&work, sizeof(work));
}

/* -- the file -- */

/* Encoding the key again must give the same text: libsodium accepts some bytes above 127 for
 * '+'. */
static bool decode_key(uint8_t ret_bytes[static KEY_LEN], const char *text, size_t len)
{
	char canonical[KEY_BASE64_LEN + 1];
	size_t got = 0;
	bool is_key;

	if (len != KEY_BASE64_LEN)
		return false;
	is_key = !sodium_base642bin(ret_bytes, KEY_LEN, text, len, NULL, &got, NULL,
				    sodium_base64_VARIANT_ORIGINAL) &&
		 got == KEY_LEN;
	if (is_key) {
		sodium_bin2base64(canonical, sizeof(canonical), ret_bytes, KEY_LEN,
				  sodium_base64_VARIANT_ORIGINAL);
		is_key = !memcmp(canonical, text, len);
	}
	sodium_memzero(canonical, sizeof(canonical));
	return is_key;
}

static bool decode_line(struct secret *ret_secret, const char *line, size_t len,
			unsigned int number, struct refusal *refusal)
{
	struct secret_id none = {SECRET_NONE};

	ret_secret->is_none = len == strlen(SECRET_NONE) && !memcmp(line, SECRET_NONE, len);
	if (ret_secret->is_none) {
		ret_secret->id = none;
		return true;
	}
	if (!decode_key(ret_secret->bytes, line, len))
		return refuse(
			refusal,
			"line %u is not a secret: expected base64 of %d bytes in %d characters, as "
			"`wg genpsk` prints it, or the word none",
			number, KEY_LEN, KEY_BASE64_LEN);
	if (sodium_is_zero(ret_secret->bytes, KEY_LEN))
		return refuse(
			refusal,
			"line %u is all zero: expected random bytes, as `wg genpsk` prints them",
			number);
	make_id(&ret_secret->id, ret_secret->bytes);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool add_line(struct secrets *secrets, const char *line, size_t len, unsigned int number,
		     struct refusal *refusal)
{
	struct secret *secret = &secrets->items[secrets->count];

	while (len && is_blank(line[0])) {
		line++;
		len--;
	}
	while (len && is_blank(line[len - 1]))
		len--;
	if (!len)
		return true;
	if (secrets->count == SECRETS_MAX)
		return refuse(refusal,
			      "line %u is one secret too many: expected at most %d, the newest "
			      "first",
			      number, SECRETS_MAX);
	if (!decode_line(secret, line, len, number, refusal))
		return false;
	for (uint32_t i = 0; i < secrets->count; i++)
		if (!strcmp(secrets->items[i].id.text, secret->id.text))
			return refuse(refusal,
				      "line %u repeats an earlier line: expected different secrets",
				      number);
	secrets->count++;
	return true;
}

static bool parse_lines(struct secrets *secrets, const char *text, size_t len,
			struct refusal *refusal)
{
	const char *end = text + len;
	unsigned int number = 1;

	if (len > SECRET_FILE_MAX)
		return refuse(refusal,
			      "the file is larger than %d bytes: expected one or two lines",
			      SECRET_FILE_MAX);
	for (const char *line = text; line < end; number++) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = newline ? newline : end;

		if (!add_line(secrets, line, (size_t)(line_end - line), number, refusal))
			return false;
		line = line_end + 1;
	}
	if (!secrets->count)
		return refuse(
			refusal,
			"the file is empty: expected a secret, base64 of %d bytes, as `wg genpsk` "
			"prints it",
			KEY_LEN);
	if (secrets->count == 1 && secrets->items[0].is_none)
		return refuse(refusal,
			      "the file contains only none: expected a secret beside it; to use no "
			      "secret at all, omit --cluster-secret");
	return true;
}

bool secret_parse(struct secrets *ret_secrets, const char *text, size_t len,
		  struct refusal *refusal)
{
	bool is_good;

	*ret_secrets = (struct secrets){0};
	is_good = parse_lines(ret_secrets, text, len, refusal);
	if (!is_good)
		sodium_memzero(ret_secrets, sizeof(*ret_secrets));
	return is_good;
}
