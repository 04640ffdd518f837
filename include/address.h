/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, prefixes and endpoints as values, with their text forms. A parser accepts the whole
 * text or rejects it and leaves its ret_ argument untouched. A prefix always has its host bits
 * zero.
 */
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "util.h"

struct address {
	uint8_t family; /* AF_INET or AF_INET6 */
	/* Network order; an IPv4 address uses the first four bytes, the others are zero. */
	uint8_t bytes[16];
};

struct cidr {
	struct address address;
	uint8_t prefix_len;
};

/* The address and port of a peer's datagrams. */
union endpoint {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

#define ADDRESS_TEXT_LEN  INET6_ADDRSTRLEN	     /* with the terminating zero */
#define CIDR_TEXT_LEN	  (INET6_ADDRSTRLEN + 4)     /* "/128" */
#define ENDPOINT_TEXT_LEN (INET6_ADDRSTRLEN + 2 + 6) /* "[]" and ":65535" */

static inline unsigned int address_bits(uint8_t family)
{
	return family == AF_INET ? 32 : 128;
}

static inline bool address_is_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static inline bool address_parse(struct address *ret_address, const char *text)
{
	struct address address = {0};

	if (inet_pton(AF_INET, text, address.bytes) == 1)
		address.family = AF_INET;
	else if (inet_pton(AF_INET6, text, address.bytes) == 1)
		address.family = AF_INET6;
	else
		return false;
	*ret_address = address;
	return true;
}

static inline const char *address_format(char text[static ADDRESS_TEXT_LEN],
					 const struct address *address)
{
	return inet_ntop(address->family, address->bytes, text, ADDRESS_TEXT_LEN);
}

/* True if the first prefix_len bits of both are equal. The families must agree. */
static inline bool address_shares_prefix(const struct address *a, const struct address *b,
					 unsigned int prefix_len)
{
	unsigned int whole = prefix_len / 8, rest = prefix_len % 8;

	return a->family == b->family && !memcmp(a->bytes, b->bytes, whole) &&
	       (!rest || !((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)));
}

static inline struct cidr cidr_of_address(const struct address *address)
{
	return (struct cidr){.address = *address,
			     .prefix_len = (uint8_t)address_bits(address->family)};
}

static inline void cidr_clear_host_bits(struct cidr *cidr)
{
	for (unsigned int bit = cidr->prefix_len; bit < 128; bit++)
		cidr->address.bytes[bit / 8] &= (uint8_t) ~(0x80U >> (bit % 8));
}

/* "10.244.1.0/24", "fd00::/64", or a bare address (then /32 or /128). Clears the host bits, as
 * wg(8) does. */
static inline bool cidr_parse(struct cidr *ret_cidr, const char *text)
{
	char copy[CIDR_TEXT_LEN];
	struct cidr cidr;
	char *slash, *end;
	unsigned long length;

	if (!copy_text(copy, sizeof(copy), text))
		return false;
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (!address_parse(&cidr.address, copy))
		return false;
	length = address_bits(cidr.address.family);
	if (slash) {
		unsigned long wanted;

		if (slash[1] < '0' || slash[1] > '9')
			return false;
		wanted = strtoul(slash + 1, &end, 10);
		if (*end || wanted > length)
			return false;
		length = wanted;
	}
	cidr.prefix_len = (uint8_t)length;
	cidr_clear_host_bits(&cidr);
	*ret_cidr = cidr;
	return true;
}

static inline const char *cidr_format(char text[static CIDR_TEXT_LEN], const struct cidr *cidr)
{
	char address[ADDRESS_TEXT_LEN];

	snprintf(text, CIDR_TEXT_LEN, "%s/%u", address_format(address, &cidr->address),
		 cidr->prefix_len);
	return text;
}

static inline bool cidr_is_equal(const struct cidr *a, const struct cidr *b)
{
	return a->prefix_len == b->prefix_len && address_is_equal(&a->address, &b->address);
}

static inline bool cidr_contains_address(const struct cidr *cidr, const struct address *address)
{
	return address_shares_prefix(&cidr->address, address, cidr->prefix_len);
}

/* True if every address of inner is in outer. */
static inline bool cidr_contains(const struct cidr *outer, const struct cidr *inner)
{
	return outer->prefix_len <= inner->prefix_len &&
	       cidr_contains_address(outer, &inner->address);
}

static inline bool cidr_overlaps(const struct cidr *a, const struct cidr *b)
{
	return cidr_contains(a, b) || cidr_contains(b, a);
}

static inline socklen_t endpoint_len(const union endpoint *endpoint)
{
	return endpoint->any.sa_family == AF_INET ? sizeof(endpoint->in4) : sizeof(endpoint->in6);
}

static inline uint16_t endpoint_port(const union endpoint *endpoint)
{
	return ntohs(endpoint->any.sa_family == AF_INET ? endpoint->in4.sin_port
							: endpoint->in6.sin6_port);
}

static inline struct address endpoint_address(const union endpoint *endpoint)
{
	struct address address = {.family = (uint8_t)endpoint->any.sa_family};

	if (address.family == AF_INET)
		memcpy(address.bytes, &endpoint->in4.sin_addr, 4);
	else
		memcpy(address.bytes, &endpoint->in6.sin6_addr, 16);
	return address;
}

static inline union endpoint endpoint_of(const struct address *address, uint16_t port)
{
	union endpoint endpoint = {0};

	endpoint.any.sa_family = address->family;
	if (address->family == AF_INET) {
		endpoint.in4.sin_port = htons(port);
		memcpy(&endpoint.in4.sin_addr, address->bytes, 4);
	} else {
		endpoint.in6.sin6_port = htons(port);
		memcpy(&endpoint.in6.sin6_addr, address->bytes, 16);
	}
	return endpoint;
}

static inline bool endpoint_is_equal(const union endpoint *a, const union endpoint *b)
{
	struct address left = endpoint_address(a), right = endpoint_address(b);

	return endpoint_port(a) == endpoint_port(b) && address_is_equal(&left, &right) &&
	       (a->any.sa_family == AF_INET || a->in6.sin6_scope_id == b->in6.sin6_scope_id);
}

/* "192.0.2.1:51890" or "[fd00::1]:51890". */
static inline const char *endpoint_format(char text[static ENDPOINT_TEXT_LEN],
					  const union endpoint *endpoint)
{
	struct address address = endpoint_address(endpoint);
	char host[ADDRESS_TEXT_LEN];

	snprintf(text, ENDPOINT_TEXT_LEN, address.family == AF_INET ? "%s:%u" : "[%s]:%u",
		 address_format(host, &address), endpoint_port(endpoint));
	return text;
}
