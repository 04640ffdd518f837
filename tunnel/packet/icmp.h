/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tunnel tells the sender of a packet it cannot carry (RFC 792, 1191, 4443). The source of an error is the
 * destination of the packet it answers: the kernel takes an error from one of the node's own addresses on podveil0
 * for a martian, and conntrack matches it to the flow either way.
 */
#pragma once

#include "util.h"

#define ICMP_ERROR_MAX 1280 /* an IPv6 error never exceeds the minimum MTU */

/* "Fragmentation needed" or "Packet too big", the latter never with less than 1280: no sender goes below it (RFC 8200),
 * and the tunnel cuts what is no larger itself (segment.h). Returns its length, 0 where none may be sent (an ICMP error, a
 * fragment but the first, multicast or unspecified addresses). */
size_t icmp_create_too_big(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			   size_t len, uint32_t mtu);

/* "Host unreachable" or "address unreachable", under the same rules. */
size_t icmp_create_unreachable(uint8_t ret_packet[static ICMP_ERROR_MAX], const uint8_t *packet,
			       size_t len);
