/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits a packet of the TUN into packets that fit the tunnel, each complete with lengths, sequence
 * numbers and checksums: TCP and UDP super-packets (virtio header, gso_size), TCP packets larger
 * than the MTU because their connection is older than the agent, IPv4 packets without DF
 * (fragments), IPv6 packets of at most 1280 bytes if the tunnel is narrower (fragments too), and
 * plain packets that only lack their checksum. For a packet that cannot be split, the sender gets
 * an error (icmp.h).
 */
#pragma once

#include <linux/virtio_net.h>

#include "inner.h"
#include "util.h"

enum segment_verdict {
	SEGMENT_READY, /* count packets come out of segment_next */
	/* IPv6 of more than 1280 bytes, or IPv4 with DF, unless it is TCP that may be segmented */
	SEGMENT_TOO_BIG,
	SEGMENT_MALFORMED, /* a virtio header that contradicts the packet */
};

struct segmenter {
	const uint8_t *packet; /* borrowed until the last segment_next */
	size_t len;	       /* by the IP header: excludes padding behind it */
	uint8_t ip_version;
	/* of the segments or datagrams to produce; 0: the packet as it is, or its fragments */
	uint8_t protocol;
	uint16_t ip_len;   /* IP header with options or extension headers */
	uint16_t head_len; /* IP and transport headers: repeated in each segment */
	uint16_t payload_max;
	bool is_fragmenting; /* produces fragments of the packet or of each datagram */
	bool clears_cwr;     /* in all segments but the first (RFC 3168 section 6.1.2) */
	bool needs_checksum;
	uint16_t checksum_start, checksum_offset; /* where protocol is 0 */
	uint8_t checksum[2];			  /* of the packet that is fragmented */
	uint16_t fragment_max;			  /* transport bytes in each, a multiple of 8 */
	/* IPv6: length of the fragment header behind ip_len; 0: ip_len includes it */
	uint16_t fragment_header_len;
	uint16_t next_header_at; /* IPv6: position of the byte that announces the fragment header */
	uint32_t fragment_id;	 /* IPv6: set by the caller before segment_next */
	uint32_t fragments_each; /* per full datagram */
	uint32_t count;		 /* packets in all; right for SEGMENT_TOO_BIG too, else 1 */
	uint32_t done;
};

/* `inner` is the packet's parsed header; mtu is the greatest length of a packet to produce. */
enum segment_verdict segment_init(struct segmenter *segmenter, const struct virtio_net_hdr *vnet,
				  const struct inner *inner, const uint8_t *packet, size_t mtu);

/* Length of the next packet, without producing it; 0: none is left. */
size_t segment_peek_len(const struct segmenter *segmenter);

/* Writes the next packet to destination (at least segment_peek_len bytes) and returns its length;
 * 0: none is left. */
size_t segment_next(struct segmenter *segmenter, uint8_t *destination);
