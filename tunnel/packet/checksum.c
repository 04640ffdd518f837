/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum of RFC 1071, at the speed of the first-level cache: 32 bytes a step, as
 * four lanes of 64 bits that add the halves of four words each, so no carry is ever lost. Written
 * with the compiler's vectors; on x86-64 one clone uses AVX2, chosen when the program starts. Reads
 * nothing beyond len.
 */
#include "checksum.h"

#include "inner.h"

typedef uint64_t lanes __attribute__((vector_size(32)));

#if defined(__x86_64__) && !defined(__clang__) /* other files cannot call its clones */
#define CLONE_FOR_CPU __attribute__((target_clones("avx2", "default")))
#else
#define CLONE_FOR_CPU
#endif

/* destination NULL: no copy. Inlined into each clone, so that the clone's instructions are used. */
static inline __attribute__((always_inline)) uint64_t
sum_and_copy(uint8_t *destination, const uint8_t *source, size_t len)
{
	lanes low = {0}, high = {0}, block;
	size_t at = 0;

#pragma GCC unroll 4
	for (; len - at >= sizeof(block); at += sizeof(block)) {
		memcpy(&block, source + at, sizeof(block));
		if (destination)
			memcpy(destination + at, &block, sizeof(block));
		low += block & UINT32_MAX;
		high += block >> 32;
	}
	if (at < len) {
		block = (lanes){0}; /* an odd last byte is paired with zero */
		memcpy(&block, source + at, len - at);
		if (destination)
			memcpy(destination + at, &block, len - at);
		low += block & UINT32_MAX;
		high += block >> 32;
	}
	low += high;
	return low[0] + low[1] + low[2] + low[3];
}

CLONE_FOR_CPU uint64_t checksum_sum(const uint8_t *data, size_t len)
{
	return sum_and_copy(NULL, data, len);
}

CLONE_FOR_CPU uint64_t checksum_copy(uint8_t *destination, const uint8_t *source, size_t len)
{
	return sum_and_copy(destination, source, len);
}

uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, size_t transport_len)
{
	size_t addresses_len = 2 * inner_address_len(inner_version(ip));

	return checksum_sum(inner_addresses(ip), addresses_len) + htobe16(protocol) +
	       htobe16((uint16_t)transport_len);
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

bool checksum_is_valid(uint64_t sum)
{
	return fold(sum) == 0xffff;
}

void checksum_put(uint8_t field[static 2], uint64_t sum)
{
	uint16_t checksum = (uint16_t)~fold(sum);

	memcpy(field, &checksum, sizeof(checksum));
}

void checksum_put_transport(uint8_t field[static 2], uint64_t sum)
{
	checksum_put(field, sum);
	if (!field[0] && !field[1])
		memset(field, 0xff, 2);
}

void checksum_put_partial(uint8_t field[static 2], uint64_t sum)
{
	uint16_t checksum = fold(sum);

	memcpy(field, &checksum, sizeof(checksum));
}

void checksum_put_ip4(uint8_t *ip, size_t ip_len)
{
	memset(ip + 10, 0, 2);
	checksum_put(ip + 10, checksum_sum(ip, ip_len));
}
