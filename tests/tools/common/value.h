/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values on the tools' command lines. A parser returns false if the text is not such a value; then
 * `error` holds the expected form.
 */
#pragma once

#include "address.h"
#include "flags.h"

static inline bool value_take_number(const char *value, uint64_t least, uint64_t most,
				     uint64_t *ret_number, char *error, size_t size)
{
	char *end;
	unsigned long long number = strtoull(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end || number < least || number > most)
		return flags_refuse(error, size, "expected %ju to %ju", (uintmax_t)least,
				    (uintmax_t)most);
	*ret_number = number;
	return true;
}

static inline bool value_take_amount(const char *value, unsigned int most, unsigned int *ret_amount,
				     char *error, size_t size)
{
	uint64_t number;

	if (!value_take_number(value, 1, most, &number, error, size))
		return false;
	*ret_amount = (unsigned int)number;
	return true;
}

static inline bool value_take_port(const char *value, uint16_t *ret_port, char *error, size_t size)
{
	unsigned int port;

	if (!value_take_amount(value, UINT16_MAX, &port, error, size))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

static inline bool value_take_address(const char *value, struct address *ret_address, char *error,
				      size_t size)
{
	return address_parse(ret_address, value) ||
	       flags_refuse(error, size, "expected an address");
}

/* "10.0.0.1:80", "[fd00::1]:80", and without a port if none is needed. */
static inline bool value_take_endpoint(const char *value, bool needs_port,
				       union endpoint *ret_endpoint, char *error, size_t size)
{
	bool has_bracket = value[0] == '[';
	char host[ENDPOINT_TEXT_LEN], *end, *digits = NULL;
	bool fits = copy_text(host, sizeof(host), has_bracket ? value + 1 : value);
	struct address address;
	unsigned long port = 0;

	end = strchr(host, has_bracket ? ']' : ':');
	if (end && has_bracket) {
		digits = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if (end && end == strrchr(host, ':')) {
		digits = end + 1;
		*end = '\0';
	}
	if (digits)
		port = strtoul(digits, &end, 10);
	if (!fits || !address_parse(&address, host) ||
	    (digits && (*end || !port || port > UINT16_MAX)) || (needs_port && !digits))
		return flags_refuse(error, size, "expected ADDR:PORT, an IPv6 address in brackets");
	*ret_endpoint = endpoint_of(&address, (uint16_t)port);
	return true;
}
