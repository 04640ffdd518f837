/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, prefixes and endpoints from their text, in the family that the text has. */
#pragma once

#include "address.h"
#include "test.h"

static inline struct address address(const char *text)
{
	struct address parsed = {0};

	assert_true(address_parse(&parsed, text));
	return parsed;
}

static inline struct cidr cidr(const char *text)
{
	struct cidr parsed = {0};

	assert_true(cidr_parse(&parsed, text));
	return parsed;
}

static inline union endpoint endpoint_from(const char *text, uint16_t port)
{
	struct address parsed = address(text);

	return endpoint_of(&parsed, port);
}
