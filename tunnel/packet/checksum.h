/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071). A sum is 64 bits wide, in the byte order of memory, and not folded: sums of
 * pieces are added up with +, provided that each piece but the last has an even length and no more than 64 KiB.
 */
#pragma once

#include "util.h"

uint64_t checksum_sum(const uint8_t *data, size_t len);

/* The same while copying: one pass over the payload instead of two. */
uint64_t checksum_copy(uint8_t *destination, const uint8_t *source, size_t len);

/* Pseudo header of a transport packet inside the given IP packet (RFC 9293, RFC 8200 section 8.1). */
uint64_t checksum_pseudo(const uint8_t *ip, uint8_t protocol, size_t transport_len);

/* True for the sum over data that contains its own, right checksum. */
bool checksum_is_valid(uint64_t sum);

/* Writes what completes the sum of everything else. */
void checksum_put(uint8_t field[static 2], uint64_t sum);

/* The same for TCP and UDP, where zero is written as all ones: for UDP zero means that there is none. */
void checksum_put_transport(uint8_t field[static 2], uint64_t sum);

/* What a device or the kernel completes later (VIRTIO_NET_HDR_F_NEEDS_CSUM): the folded sum itself. */
void checksum_put_partial(uint8_t field[static 2], uint64_t sum);

/* Fills in the checksum of an IPv4 header of this length. */
void checksum_put_ip4(uint8_t *ip, size_t ip_len);
