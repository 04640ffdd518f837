/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlay packets around other frames: every kind inside which wire_guard and from_wire look, over
 * both outer families, and for each kind the form of its inner packet (with an Ethernet header or
 * without).
 */
#pragma once

#include "datapath.h"

#define GRE_CHECKSUM_BIT 0x8000
#define GRE_KEY_BIT	 0x2000
#define GRE_SEQUENCE_BIT 0x1000

typedef void put_header_fn(struct frame *outer, const struct frame *inner);

static inline void put_inner(struct frame *outer, const struct frame *inner)
{
	memcpy(frame_put(outer, inner->len), inner->bytes, inner->len);
}

/* UDP with room for the overlay's header and the inner frame; returns the offset of that header. */
static inline uint8_t *put_overlay_udp(struct frame *outer, uint16_t port, size_t header_len,
				       const struct frame *inner)
{
	uint8_t *payload;

	frame_put_udp(outer, 50000, port, header_len + inner->len);
	payload = outer->bytes + outer->transport + sizeof(struct udphdr);
	memset(payload, 0, header_len);
	memcpy(payload + header_len, inner->bytes, inner->len);
	return payload;
}

static inline void put_vxlan(struct frame *outer, const struct frame *inner)
{
	put_overlay_udp(outer, VXLAN_PORT, 8, inner)[0] = 0x08;
}

static inline void put_vxlan_other_port(struct frame *outer, const struct frame *inner)
{
	put_overlay_udp(outer, VXLAN_PORT_OTHER, 8, inner)[0] = 0x08;
}

static inline void put_geneve(struct frame *outer, const struct frame *inner)
{
	put_be16(put_overlay_udp(outer, GENEVE_PORT, 8, inner) + 2, ETH_P_TEB);
}

static inline void put_geneve_options(struct frame *outer, const struct frame *inner)
{
	uint8_t *geneve = put_overlay_udp(outer, GENEVE_PORT, 8 + 63 * 4, inner);

	geneve[0] = 63;
	put_be16(geneve + 2, ETH_P_TEB);
}

static inline uint16_t type_of(const struct frame *inner)
{
	return inner->family == AF_INET ? ETH_P_IP : ETH_P_IPV6;
}

static inline void put_geneve_bare(struct frame *outer, const struct frame *inner)
{
	put_be16(put_overlay_udp(outer, GENEVE_PORT, 8, inner) + 2, type_of(inner));
}

static inline void put_gre_with(struct frame *outer, const struct frame *inner, uint16_t flags,
				uint16_t type, size_t extra)
{
	uint8_t *gre = frame_put_payload(outer, IPPROTO_GRE, 4 + extra);

	put_be16(gre, flags);
	put_be16(gre + 2, type);
	put_inner(outer, inner);
}

static inline void put_gre(struct frame *outer, const struct frame *inner)
{
	put_gre_with(outer, inner, 0, type_of(inner), 0);
}

static inline void put_gre_all_fields(struct frame *outer, const struct frame *inner)
{
	put_gre_with(outer, inner, GRE_CHECKSUM_BIT | GRE_KEY_BIT | GRE_SEQUENCE_BIT,
		     type_of(inner), 12);
}

static inline void put_gretap(struct frame *outer, const struct frame *inner)
{
	put_gre_with(outer, inner, GRE_KEY_BIT, ETH_P_TEB, 4);
}

static inline void put_ip_in_ip(struct frame *outer, const struct frame *inner)
{
	frame_put_payload(outer, inner->family == AF_INET ? IPPROTO_IPIP : IPPROTO_IPV6, 0);
	put_inner(outer, inner);
}

static const struct overlay_kind {
	const char *name;
	put_header_fn *put;
	bool has_ethernet;
} overlay_kinds[] = {
	{"VXLAN", put_vxlan, true},
	{"VXLAN on another port", put_vxlan_other_port, true},
	{"Geneve", put_geneve, true},
	{"Geneve with options", put_geneve_options, true},
	{"Geneve with bare IP", put_geneve_bare, false},
	{"GRE", put_gre, false},
	{"GRE with checksum, key and sequence", put_gre_all_fields, false},
	{"GRE with Ethernet", put_gretap, true},
	{"IP in IP", put_ip_in_ip, false},
};

/* An ordinary inner packet in the form that the kind needs, to be changed before overlay_wrap. */
static inline void overlay_begin_inner(struct frame *inner, const struct overlay_kind *kind,
				       bool has_tag)
{
	if (!kind->has_ethernet) {
		frame_begin_bare(inner);
		return;
	}
	frame_begin(inner);
	if (has_tag)
		frame_put_tag(inner, ETH_P_8021Q, 12);
}

static inline void overlay_make_inner(struct frame *inner, const struct overlay_kind *kind,
				      const char *source, const char *destination)
{
	overlay_begin_inner(inner, kind, false);
	frame_put_ip(inner, source, destination);
	frame_put_udp(inner, 4000, 5000, 64);
	frame_end(inner);
}

/* Wraps the inner packet into one between two nodes. */
static inline void overlay_wrap(struct frame *outer, const struct overlay_kind *kind,
				const struct frame *inner, const char *source,
				const char *destination)
{
	frame_begin(outer);
	frame_put_ip(outer, source, destination);
	kind->put(outer, inner);
	frame_end(outer);
}
