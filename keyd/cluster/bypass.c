// SPDX-License-Identifier: Apache-2.0
/*
 * Parses, formats and compares bypasses. Only one form is accepted: an IPv6 address without
 * brackets could end in digits that look like a port, and a wrong guess would leave traffic in
 * cleartext.
 */
#include "bypass.h"

#include "prefix.h"

#define PORT_DIGITS_MAX 5

static bool parse_port(uint16_t *ret_port, const char *text)
{
	size_t len = strspn(text, "0123456789");
	unsigned long port;

	if (!len || len > PORT_DIGITS_MAX || text[len])
		return false;
	port = strtoul(text, NULL, 10);
	if (!port || port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* Splits "10.0.0.1:6443" or "[fd00::1]:6443" in place; NULL for any other form. */
static const char *split(char *text, char **ret_host, uint8_t *ret_family)
{
	bool has_bracket = text[0] == '[';
	char *end = strchr(text, has_bracket ? ']' : ':');

	if (!end || (has_bracket && end[1] != ':'))
		return NULL;
	*end = '\0';
	*ret_host = text + has_bracket;
	*ret_family = has_bracket ? AF_INET6 : AF_INET;
	return end + 1 + has_bracket;
}

/* The map would store it as the IPv4 address that it contains. */
static bool is_mapped(const struct address *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	return address->family == AF_INET6 && !memcmp(address->bytes, mapped, sizeof(mapped));
}

bool bypass_parse(struct bypass_key *ret_key, const char *text)
{
	char copy[BYPASS_TEXT_LEN], *host;
	struct address address;
	struct prefix_key prefix;
	const char *digits;
	struct cidr cidr;
	uint8_t family;
	uint16_t port;

	if (!copy_text(copy, sizeof(copy), text))
		return false;
	digits = split(copy, &host, &family);
	if (!digits || !parse_port(&port, digits) || !address_parse(&address, host) ||
	    address.family != family || is_mapped(&address))
		return false;
	cidr = cidr_of_address(&address);
	prefix = prefix_key_of_cidr(&cidr);
	*ret_key = (struct bypass_key){.port = htons(port)};
	memcpy(ret_key->address, prefix.address, sizeof(ret_key->address));
	return true;
}

static struct cidr cidr_of_key(const struct bypass_key *key)
{
	struct prefix_key prefix = {.prefix_len = 8 * sizeof(prefix.address)};

	memcpy(prefix.address, key->address, sizeof(prefix.address));
	return prefix_key_to_cidr(&prefix);
}

const char *bypass_format(char text[static BYPASS_TEXT_LEN], const struct bypass_key *key)
{
	struct cidr cidr = cidr_of_key(key);
	union endpoint endpoint = endpoint_of(&cidr.address, ntohs(key->port));

	return endpoint_format(text, &endpoint);
}

const char *bypass_special_name(const struct bypass_key *key)
{
	struct cidr cidr = cidr_of_key(key);

	return prefix_special_name(&cidr);
}

bool bypass_is_among(const struct bypass_key *keys, uint32_t count, const struct bypass_key *key)
{
	for (uint32_t i = 0; i < count; i++)
		if (!memcmp(&keys[i], key, sizeof(*key)))
			return true;
	return false;
}

/* How much traffic it exempts. */
static int strength(enum bypass_value value)
{
	switch (value) {
	case BYPASS_TCP_UDP:
		return 3;
	case BYPASS_TCP:
		return 2;
	case BYPASS_PROBE:
		return 1;
	}
	return 0;
}

/* Of the entry with this key; 0: there is none. */
static int strength_among(const struct bypass_entry *entries, uint32_t count,
			  const struct bypass_key *key)
{
	for (uint32_t i = 0; i < count; i++)
		if (!memcmp(&entries[i].key, key, sizeof(*key)))
			return strength(entries[i].value);
	return 0;
}

uint32_t bypass_diff(const struct bypass_entry *wanted, uint32_t wanted_count,
		     const struct bypass_entry *have, uint32_t have_count,
		     struct bypass_change *ret_changes)
{
	uint32_t changes = 0;

	for (uint32_t i = 0; i < wanted_count; i++)
		if (strength(wanted[i].value) > strength_among(have, have_count, &wanted[i].key))
			ret_changes[changes++] = (struct bypass_change){.entry = wanted[i]};
	for (uint32_t i = 0; i < wanted_count; i++)
		if (strength(wanted[i].value) < strength_among(have, have_count, &wanted[i].key))
			ret_changes[changes++] = (struct bypass_change){.entry = wanted[i]};
	for (uint32_t i = 0; i < have_count; i++)
		if (!strength_among(wanted, wanted_count, &have[i].key))
			ret_changes[changes++] =
				(struct bypass_change){.entry = have[i], .is_removal = true};
	return changes;
}
