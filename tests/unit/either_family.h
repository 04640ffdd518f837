/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a test that is written with IPv4 addresses for IPv6 too: 10.1.2.3 then means fd00:a:1:2::3,
 * and a prefix means the one around the same addresses. Addresses written as IPv6 do not change.
 */
#pragma once

#include "address.h"
#include "test.h"

static uint8_t family = AF_INET;

/* Each byte of the IPv4 address is the lower half of a group. */
static inline uint8_t prefix_len_for_ipv6(uint8_t len)
{
	unsigned int whole = len / 8U, rest = len % 8U;
	unsigned int begin = whole < 3 ? 16 + 16 * whole : 112;

	if (whole == 4)
		return 128;
	if (!rest)
		return (uint8_t)(16 + 16 * whole);
	return (uint8_t)(begin + 8 + rest);
}

static inline struct cidr cidr_for_ipv6(const struct cidr *from)
{
	struct cidr cidr = {.address = {.family = AF_INET6, .bytes = {0xfd}},
			    .prefix_len = prefix_len_for_ipv6(from->prefix_len)};

	for (unsigned int i = 0; i < 4; i++)
		cidr.address.bytes[i < 3 ? 3 + 2 * i : 15] = from->address.bytes[i];
	return cidr;
}

static inline struct cidr cidr(const char *text)
{
	struct cidr parsed;

	assert_true(cidr_parse(&parsed, text));
	return family == AF_INET6 && parsed.address.family == AF_INET ? cidr_for_ipv6(&parsed)
								      : parsed;
}

static inline struct address address(const char *text)
{
	return cidr(text).address;
}
