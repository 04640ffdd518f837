/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_send's first two steps: parse the inner header, then prepare the segments.
 */
#pragma once

#include "packet/inner.h"
#include "packet/segment.h"

static inline enum segment_verdict segment_packet(struct segmenter *segmenter,
						  const struct virtio_net_hdr *vnet,
						  const uint8_t *packet, size_t len, size_t mtu)
{
	struct inner inner;

	return inner_parse(&inner, packet, len) ? segment_init(segmenter, vnet, &inner, packet, mtu)
						: SEGMENT_MALFORMED;
}
