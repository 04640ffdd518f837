/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors about packets from the TUN. Packets that must not be answered: RFC 1122 section
 * 3.2.2, RFC 4443 section 2.4 (e). Length of the quotation: RFC 1812 section 4.3.2.3, RFC 4443
 * section 3. An error is never answered, so two tunnels cannot exchange errors for ever.
 */
#include "icmp.h"

#include "checksum.h"
#include "inner.h"

#define ICMP_LEN       8   /* of either version, before the quotation */
#define ICMP4_MAX      576 /* every IPv4 host accepts it */
#define HOP_LIMIT      64
#define TOS_NETWORK    0xc0 /* internetwork control, as the kernel's own errors */
#define ICMP6_INFO     128  /* types below are errors */
#define ICMP6_REDIRECT 137

enum { ICMP4_UNREACHABLE = 3, ICMP4_HOST_UNREACHABLE = 1, ICMP4_FRAGMENTATION_NEEDED = 4 };

enum { ICMP6_UNREACHABLE = 1, ICMP6_ADDRESS_UNREACHABLE = 3, ICMP6_TOO_BIG = 2 };

struct icmp_error {
	uint8_t type, code;
	uint32_t value; /* the second word of the header */
};

/* Excludes loopback too: it never leaves a node, so a packet from or to it here was forged. */
static bool ip4_is_unicast(const uint8_t *address)
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

static bool ip6_is_unicast(const uint8_t *address)
{
	static const uint8_t zeros[15];

	return address[0] != 0xff && (memcmp(address, zeros, 15) || address[15] > 1);
}

/* Only the known query types (RFC 792, 950, 1256) may be answered: any other may be an error. */
static bool icmp4_is_query(uint8_t type)
{
	return type == 0 || type == 8 || type == 9 || type == 10 || (type >= 13 && type <= 18);
}

static bool icmp6_is_query(uint8_t type)
{
	return type >= ICMP6_INFO && type != ICMP6_REDIRECT;
}

/* A later fragment has no transport header here: its protocol is 0. */
static bool may_answer(const struct inner *inner, const uint8_t *packet)
{
	const uint8_t *source = inner_addresses(packet);
	const uint8_t *destination = source + inner_address_len(inner->version);

	if (inner->version == 4 && (!ip4_is_unicast(source) || !ip4_is_unicast(destination)))
		return false;
	if (inner->version == 6 && (!ip6_is_unicast(source) || !ip6_is_unicast(destination)))
		return false;
	if (inner->is_fragment && !inner->protocol)
		return false;
	if (inner->version == 4 && inner->protocol == IPPROTO_ICMP)
		return inner->ip_len < inner->len && icmp4_is_query(packet[inner->ip_len]);
	if (inner->version == 6 && inner->protocol == IPPROTO_ICMPV6)
		return inner->ip_len < inner->len && icmp6_is_query(packet[inner->ip_len]);
	return true;
}

/* From the destination to the source of the packet that it answers. */
static void turn_addresses(uint8_t *ret_addresses, const uint8_t *packet, uint8_t version)
{
	size_t length = inner_address_len(version);
	const uint8_t *addresses = inner_addresses(packet);

	memcpy(ret_addresses, addresses + length, length);
	memcpy(ret_addresses + length, addresses, length);
}

static void write_icmp(uint8_t *icmp, const struct icmp_error *error, const uint8_t *quoted,
		       size_t quoted_len)
{
	icmp[0] = error->type;
	icmp[1] = error->code;
	memset(icmp + 2, 0, 2);
	put_be32(icmp + 4, error->value);
	memcpy(icmp + ICMP_LEN, quoted, quoted_len);
}

static size_t create_error4(uint8_t *ret_packet, const uint8_t *packet, size_t len,
			    const struct icmp_error *error)
{
	uint8_t *icmp = ret_packet + INNER_IP4_LEN;
	size_t quoted_len = MIN(len, (size_t)ICMP4_MAX - INNER_IP4_LEN - ICMP_LEN);
	size_t total = INNER_IP4_LEN + ICMP_LEN + quoted_len;

	memset(ret_packet, 0, INNER_IP4_LEN);
	ret_packet[0] = 0x45;
	ret_packet[1] = TOS_NETWORK;
	put_be16(ret_packet + 2, (uint16_t)total);
	put_be16(ret_packet + 6, IP4_DONT_FRAGMENT); /* so an id of zero is right (RFC 6864) */
	ret_packet[8] = HOP_LIMIT;
	ret_packet[9] = IPPROTO_ICMP;
	turn_addresses(ret_packet + 12, packet, 4);
	checksum_put_ip4(ret_packet, INNER_IP4_LEN);
	write_icmp(icmp, error, packet, quoted_len);
	checksum_put(icmp + 2, checksum_sum(icmp, ICMP_LEN + quoted_len));
	return total;
}

static size_t create_error6(uint8_t *ret_packet, const uint8_t *packet, size_t len,
			    const struct icmp_error *error)
{
	uint8_t *icmp = ret_packet + INNER_IP6_LEN;
	size_t quoted_len = MIN(len, (size_t)ICMP_ERROR_MAX - INNER_IP6_LEN - ICMP_LEN);
	size_t icmp_len = ICMP_LEN + quoted_len;

	memset(ret_packet, 0, INNER_IP6_LEN);
	ret_packet[0] = 0x60;
	put_be16(ret_packet + 4, (uint16_t)icmp_len);
	ret_packet[6] = IPPROTO_ICMPV6;
	ret_packet[7] = HOP_LIMIT;
	turn_addresses(ret_packet + 8, packet, 6);
	write_icmp(icmp, error, packet, quoted_len);
	checksum_put(icmp + 2, checksum_pseudo(ret_packet, IPPROTO_ICMPV6, icmp_len) +
				       checksum_sum(icmp, icmp_len));
	return INNER_IP6_LEN + icmp_len;
}

static size_t create_error(uint8_t *ret_packet, const uint8_t *packet, size_t len,
			   const struct icmp_error *error4, const struct icmp_error *error6)
{
	struct inner inner;

	if (!inner_parse(&inner, packet, len) || !may_answer(&inner, packet))
		return 0;
	if (inner.version == 4)
		return create_error4(ret_packet, packet, inner.len, error4);
	return create_error6(ret_packet, packet, inner.len, error6);
}

size_t icmp_create_too_big(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			   size_t len, uint32_t mtu)
{
	return create_error(
		ret_packet, packet, len,
		&(struct icmp_error){ICMP4_UNREACHABLE, ICMP4_FRAGMENTATION_NEEDED,
				     MIN(mtu, UINT16_MAX)},
		&(struct icmp_error){ICMP6_TOO_BIG, 0, MAX(mtu, (uint32_t)IP6_MTU_MIN)});
}

size_t icmp_create_unreachable(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			       size_t len)
{
	return create_error(ret_packet, packet, len,
			    &(struct icmp_error){ICMP4_UNREACHABLE, ICMP4_HOST_UNREACHABLE, 0},
			    &(struct icmp_error){ICMP6_UNREACHABLE, ICMP6_ADDRESS_UNREACHABLE, 0});
}
