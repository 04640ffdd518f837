/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers and prefixes that are the same in every run. */
#pragma once

#include "address.h"

static uint64_t seed = 0x9e3779b97f4a7c15;

static inline uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % below;
}

/* The base up to a random bit and the drawn prefix after it: deep tries and near misses. */
static inline struct cidr draw_near(const struct cidr *base, struct cidr drawn)
{
	unsigned int kept = draw(address_bits(base->address.family));

	memcpy(drawn.address.bytes, base->address.bytes, kept / 8);
	for (unsigned int bit = kept / 8 * 8; bit < kept; bit++) {
		drawn.address.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		drawn.address.bytes[bit / 8] |= base->address.bytes[bit / 8] & (0x80 >> bit % 8);
	}
	return drawn;
}
