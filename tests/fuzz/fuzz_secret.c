// SPDX-License-Identifier: Apache-2.0
/*
 * The file of the cluster secret, from any bytes. An accepted file has one or two secrets, from
 * which both nodes derive the same preshared key. A refused file leaves no trace, and the refusal
 * quotes nothing of the file.
 */
#include "cluster/secret.h"
#include "cursor.h"

#define GIVEAWAY_LEN 4

/* Puts the secrets in capitals: no refusal has any, so capitals in one come from the file. */
static void capitalize(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (len - i >= 4 && !memcmp(text + i, "none", 4))
			i += 3;
		else if (text[i] >= 'a' && text[i] <= 'z')
			text[i] = (char)(text[i] - 'a' + 'A');
	}
}

static void check_refusal(const struct refusal *refusal, const char *text, size_t len)
{
	size_t refusal_len = strlen(refusal->text);

	MUST(refusal_len);
	for (size_t at = 0; at + GIVEAWAY_LEN <= len; at++)
		if (text[at] >= 'A' && text[at] <= 'Z')
			MUST(!memmem(refusal->text, refusal_len, text + at, GIVEAWAY_LEN));
}

static void check_derives(const struct secrets *secrets)
{
	static const struct public_key a = {{1}}, b = {{2}};
	struct preshared_key one, other;
	struct secret_ids ids;

	secret_list_ids(&ids, secrets);
	MUST(ids.count == secrets->count);
	for (uint32_t i = 0; i < secrets->count; i++) {
		const struct secret *secret = &secrets->items[i];

		MUST(secret_is_id(ids.items[i].text));
		secret_derive(&one, secret, &a, &b);
		secret_derive(&other, secret, &b, &a);
		MUST(!memcmp(&one, &other, sizeof(one)));
		MUST(sodium_is_zero(one.bytes, KEY_LEN) == secret->is_none);
		MUST(!secret->is_none || sodium_is_zero(secret->bytes, KEY_LEN));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = (char *)copy_bytes(data, len);
	struct secrets secrets;
	struct refusal refusal = {0};

	capitalize(copy, len);
	memset(&secrets, 0xaa, sizeof(secrets));
	if (secret_parse(&secrets, copy, len, &refusal)) {
		MUST(secrets.count >= 1 && secrets.count <= SECRETS_MAX);
		check_derives(&secrets);
	} else {
		MUST(sodium_is_zero((uint8_t *)&secrets, sizeof(secrets)));
		check_refusal(&refusal, copy, len);
	}
	free(copy);
	return 0;
}
