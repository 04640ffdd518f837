/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071). A sum is 64 bits wide, in the byte order of memory, and not
 * folded: add the sums of pieces with +, provided that each piece but the last has an even length
 * and no more than 64 KiB.
 */
#pragma once

#include "util.h"

uint64_t checksum_sum(const uint8_t *data, size_t len);

/* The same while copying: one pass over the payload instead of two. */
uint64_t checksum_copy(uint8_t *destination, const uint8_t *source, size_t len);

/* Sum of the pseudo header of a transport packet inside the given IP packet (RFC 9293, RFC 8200
 * section 8.1). */
uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, size_t transport_len);

/* True if the data of this sum contains its own, correct checksum. */
bool checksum_is_valid(uint64_t sum);

/* Writes the checksum that completes the sum of all other data. */
void checksum_put(uint8_t field[static 2], uint64_t sum);

/* The same for TCP and UDP, where zero is written as all ones: in UDP, zero means no checksum. */
void checksum_put_transport(uint8_t field[static 2], uint64_t sum);

/* Writes the folded sum itself, for a device or the kernel to complete later
 * (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
void checksum_put_partial(uint8_t field[static 2], uint64_t sum);

/* Writes the checksum of an IPv4 header of this length. */
void checksum_put_ip4(uint8_t *ip, size_t ip_len);
