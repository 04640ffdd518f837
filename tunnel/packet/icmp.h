/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors to the sender of a packet that the tunnel cannot carry (RFC 792, 1191, 4443). The
 * source of an error is the destination of the packet that it answers: the kernel would drop an
 * error from one of the node's own addresses on podveil0 as a martian, and conntrack matches it to
 * the flow either way.
 */
#pragma once

#include "util.h"

#define ICMP_ERROR_MAX 1280 /* an IPv6 error never exceeds the minimum MTU */

/* Creates "Fragmentation needed" or "Packet too big", the latter never with less than 1280: no
 * sender goes below it (RFC 8200), and the tunnel itself fragments packets up to that size
 * (segment.h). Returns its length, or 0 if none may be sent (for an ICMP error, a fragment but the
 * first, multicast or unspecified addresses). */
size_t icmp_create_too_big(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			   size_t len, uint32_t mtu);

/* Creates "Host unreachable" or "Address unreachable", under the same rules. */
size_t icmp_create_unreachable(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			       size_t len);
