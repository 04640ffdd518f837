/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins decrypted packets by the rules of the kernel's own GRO (tcp_gro_receive, inet_gro_receive,
 * ipv6_gro_receive, udp_gro_receive_segment): packets that the kernel would not join are not joined
 * here. The kernel trusts a joined packet's checksum (NEEDS_CSUM), so packets are joined only after
 * theirs was verified. A flow's packets leave in order of arrival.
 */
#include "coalesce.h"

#include "checksum.h"
#include "inner.h"

#define TCP_LEN_MIN	    20
#define TCP_CHECKSUM_OFFSET 16
#define UDP_LEN		    8
#define UDP_CHECKSUM_OFFSET 6
#define PORTS_LEN	    4

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_CWR = 0x80
};

/* A packet with the fields of its headers that matter here. */
struct segment {
	uint8_t *packet;
	struct inner inner;
	size_t head_len, payload_len;
	bool is_last; /* no packet may follow it in a super-packet */
};

void coalesce_init(struct coalescer *coalescer, coalesce_write_fn *write, void *context,
		   bool joins_tcp, bool joins_udp)
{
	*coalescer = (struct coalescer){
		.write = write, .context = context, .joins_tcp = joins_tcp, .joins_udp = joins_udp};
}

/* -- writing -- */

static void write_alone(const struct coalescer *coalescer, uint8_t *packet, size_t len)
{
	struct virtio_net_hdr vnet = {0};
	struct iovec vector[2] = {{&vnet, sizeof(vnet)}, {packet, len}};

	coalescer->write(coalescer->context, vector, ARRAY_SIZE(vector), 1);
}

static uint8_t *flow_head(const struct coalesce_flow *flow)
{
	return flow->vector[1].iov_base;
}

static uint8_t gso_type(const struct coalesce_flow *flow)
{
	if (flow->protocol == IPPROTO_UDP)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return flow->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/* The first packet's headers become those of the super-packet. */
static void complete_head(struct coalesce_flow *flow)
{
	uint16_t offset = flow->protocol == IPPROTO_TCP ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET;
	uint8_t *ip = flow_head(flow), *transport = ip + flow->ip_len;
	size_t transport_len = flow->len - flow->ip_len;

	if (flow->version == 4) {
		put_be16(ip + 2, (uint16_t)flow->len);
		checksum_put_ip4(ip, flow->ip_len);
	} else {
		put_be16(ip + 4, (uint16_t)transport_len);
	}
	if (flow->protocol == IPPROTO_UDP)
		put_be16(transport + 4, (uint16_t)transport_len);
	checksum_put_partial(transport + offset,
			     checksum_pseudo(ip, flow->protocol, transport_len));
	flow->vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_type(flow),
		.hdr_len = flow->head_len,
		.gso_size = flow->segment_len,
		.csum_start = flow->ip_len,
		.csum_offset = offset,
	};
}

static void write_flow(const struct coalescer *coalescer, struct coalesce_flow *flow)
{
	unsigned int pieces = flow->pieces;

	if (!pieces)
		return;
	if (pieces > 1)
		complete_head(flow);
	flow->vector[0] = (struct iovec){&flow->vnet, sizeof(flow->vnet)};
	flow->pieces = 0;
	coalescer->write(coalescer->context, flow->vector, 1 + pieces, pieces);
}

void coalesce_flush(struct coalescer *coalescer)
{
	for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
		write_flow(coalescer, &coalescer->flows[i]);
}

/* -- flows -- */

static uint32_t ports_of(const struct inner *inner, const uint8_t *packet)
{
	uint32_t ports;

	memcpy(&ports, packet + inner->ip_len, sizeof(ports));
	return ports;
}

static bool shares_addresses(const struct coalesce_flow *flow, const struct inner *inner,
			     const uint8_t *packet)
{
	return flow->pieces && flow->version == inner->version &&
	       !memcmp(inner_addresses(flow_head(flow)), inner_addresses(packet),
		       2 * inner_address_len(inner->version));
}

static struct coalesce_flow *find_flow(struct coalescer *coalescer, const struct inner *inner,
				       const uint8_t *packet)
{
	uint32_t ports = ports_of(inner, packet);

	for (unsigned int i = 0; i < COALESCE_FLOWS; i++) {
		struct coalesce_flow *flow = &coalescer->flows[i];

		if (flow->pieces && flow->ports == ports && flow->protocol == inner->protocol &&
		    shares_addresses(flow, inner, packet))
			return flow;
	}
	return NULL;
}

/* For a packet without visible ports, which may belong to any flow between its addresses. */
static void write_flows_between(struct coalescer *coalescer, const struct inner *inner,
				const uint8_t *packet)
{
	for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
		if (shares_addresses(&coalescer->flows[i], inner, packet))
			write_flow(coalescer, &coalescer->flows[i]);
}

static struct coalesce_flow *take_free_flow(struct coalescer *coalescer)
{
	struct coalesce_flow *flow;

	for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
		if (!coalescer->flows[i].pieces)
			return &coalescer->flows[i];
	flow = &coalescer->flows[coalescer->oldest];
	coalescer->oldest = (coalescer->oldest + 1) % COALESCE_FLOWS;
	write_flow(coalescer, flow);
	return flow;
}

/* -- packets that may be joined -- */

static bool parse_tcp(struct segment *segment)
{
	const uint8_t *tcp = segment->packet + segment->inner.ip_len;
	size_t left = segment->inner.len - segment->inner.ip_len, length;

	if (left < TCP_LEN_MIN)
		return false;
	length = (size_t)(tcp[12] >> 4) * 4;
	if (length < TCP_LEN_MIN || length >= left)
		return false;
	if ((tcp[13] & (TCP_SYN | TCP_RST | TCP_ACK | TCP_URG | TCP_CWR)) != TCP_ACK)
		return false;
	segment->is_last = tcp[13] & (TCP_FIN | TCP_PSH);
	segment->head_len = segment->inner.ip_len + length;
	segment->payload_len = left - length;
	return true;
}

/* A datagram without checksum stays alone: segmenting it again would add one. */
static bool parse_udp(struct segment *segment)
{
	const uint8_t *udp = segment->packet + segment->inner.ip_len;
	size_t left = segment->inner.len - segment->inner.ip_len;

	if (left <= UDP_LEN || get_be16(udp + 4) != left || !get_be16(udp + UDP_CHECKSUM_OFFSET))
		return false;
	segment->head_len = segment->inner.ip_len + UDP_LEN;
	segment->payload_len = left - UDP_LEN;
	return true;
}

/* True if the headers allow the packet to be a piece of a super-packet. */
static bool parse_transport(const struct coalescer *coalescer, struct segment *segment)
{
	size_t plain_len = segment->inner.version == 4 ? INNER_IP4_LEN : INNER_IP6_LEN;

	if (segment->inner.ip_len != plain_len || segment->inner.is_fragment)
		return false;
	if (segment->inner.protocol == IPPROTO_TCP)
		return coalescer->joins_tcp && parse_tcp(segment);
	return coalescer->joins_udp && parse_udp(segment);
}

static bool is_verified(const struct segment *segment)
{
	const struct inner *inner = &segment->inner;
	size_t length = inner->len - inner->ip_len;

	if (inner->version == 4 && !checksum_is_valid(checksum_sum(segment->packet, inner->ip_len)))
		return false;
	return checksum_is_valid(checksum_pseudo(segment->packet, inner->protocol, length) +
				 checksum_sum(segment->packet + inner->ip_len, length));
}

/* The kernel increments ids when it segments a super-packet again. With DF an id is meaningless
 * (RFC 6864). */
static bool ip_agrees(const struct coalesce_flow *flow, const uint8_t *packet)
{
	const uint8_t *head = flow_head(flow);

	if (flow->version == 6)
		return !memcmp(head, packet, 4) && head[7] == packet[7];
	if (head[1] != packet[1] || head[8] != packet[8] || memcmp(head + 6, packet + 6, 2))
		return false;
	return get_be16(packet + 6) & IP4_DONT_FRAGMENT ||
	       get_be16(packet + 4) == (uint16_t)(get_be16(head + 4) + flow->pieces);
}

/* The same acknowledgement, window, flags (but PSH and FIN, which end it) and options. */
static bool tcp_agrees(const struct coalesce_flow *flow, const struct segment *segment)
{
	const uint8_t *head = flow_head(flow) + flow->ip_len, *tcp = segment->packet + flow->ip_len;
	size_t options_len = segment->head_len - flow->ip_len - TCP_LEN_MIN;

	return flow->head_len == segment->head_len && get_be32(tcp + 4) == flow->next_sequence &&
	       !memcmp(head + 8, tcp + 8, 5) && head[13] == (tcp[13] & ~(TCP_FIN | TCP_PSH)) &&
	       !memcmp(head + 14, tcp + 14, 2) &&
	       !memcmp(head + TCP_LEN_MIN, tcp + TCP_LEN_MIN, options_len);
}

static bool may_join(const struct coalesce_flow *flow, const struct segment *segment)
{
	return flow->pieces < COALESCE_PIECES && segment->payload_len <= flow->segment_len &&
	       flow->len + segment->payload_len <= UINT16_MAX && ip_agrees(flow, segment->packet) &&
	       (flow->protocol == IPPROTO_UDP || tcp_agrees(flow, segment)) && is_verified(segment);
}

/* -- joining -- */

static void join(const struct coalescer *coalescer, struct coalesce_flow *flow,
		 const struct segment *segment)
{
	flow->vector[1 + flow->pieces++] =
		(struct iovec){segment->packet + segment->head_len, segment->payload_len};
	flow->len += segment->payload_len;
	flow->next_sequence += (uint32_t)segment->payload_len;
	if (flow->protocol == IPPROTO_TCP)
		flow_head(flow)[flow->ip_len + 13] = segment->packet[flow->ip_len + 13];
	if (segment->is_last || segment->payload_len < flow->segment_len)
		write_flow(coalescer, flow);
}

static void hold(struct coalescer *coalescer, const struct segment *segment)
{
	const struct inner *inner = &segment->inner;
	struct coalesce_flow *flow = take_free_flow(coalescer);

	flow->vnet = (struct virtio_net_hdr){0};
	flow->vector[1] = (struct iovec){segment->packet, inner->len};
	flow->pieces = 1;
	flow->len = inner->len;
	flow->version = inner->version;
	flow->protocol = inner->protocol;
	flow->ports = ports_of(inner, segment->packet);
	flow->ip_len = (uint16_t)inner->ip_len;
	flow->head_len = (uint16_t)segment->head_len;
	flow->segment_len = (uint16_t)segment->payload_len;
	if (flow->protocol == IPPROTO_TCP)
		flow->next_sequence =
			get_be32(segment->packet + inner->ip_len + 4) + flow->segment_len;
}

static void add_with_ports(struct coalescer *coalescer, struct segment *segment)
{
	struct coalesce_flow *flow = find_flow(coalescer, &segment->inner, segment->packet);
	bool is_joinable = parse_transport(coalescer, segment);

	if (flow && is_joinable && may_join(flow, segment)) {
		join(coalescer, flow, segment);
		return;
	}
	if (flow)
		write_flow(coalescer, flow);
	if (is_joinable && !segment->is_last && is_verified(segment))
		hold(coalescer, segment);
	else
		write_alone(coalescer, segment->packet, segment->inner.len);
}

void coalesce_add(struct coalescer *coalescer, uint8_t *packet, size_t len)
{
	struct segment segment = {.packet = packet};
	struct inner *inner = &segment.inner;
	bool has_ports;

	if (!inner_parse(inner, packet, len)) {
		write_alone(coalescer, packet, len);
		return;
	}
	has_ports = (inner->protocol == IPPROTO_TCP || inner->protocol == IPPROTO_UDP) &&
		    !inner->is_fragment && inner->len >= inner->ip_len + PORTS_LEN;
	if (has_ports) {
		add_with_ports(coalescer, &segment);
		return;
	}
	if (inner->is_fragment || !inner->protocol)
		write_flows_between(coalescer, inner, packet);
	write_alone(coalescer, packet, inner->len);
}
