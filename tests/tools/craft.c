// SPDX-License-Identifier: Apache-2.0
/*
 * Sends IP packets that no ordinary socket makes: of any protocol (SCTP even if the kernel lacks
 * it), with IPv4 options (RFC 791) or IPv6 extension headers (RFC 8200), in fragments, from any
 * source, as packets inside packets. Each carries the whole marker, even a fragment, and each
 * checksum is correct. It only sends; prints one JSON line.
 *
 *   craft --shape SHAPE --from ADDR --to ADDR --marker HEX32 [--number N] [--count N] [--port PORT]
 *         [--ttl N] [--device DEV] [--inner-from ADDR --inner-to ADDR]
 */
#include <linux/if_ether.h>

#include "common/probe.h"

#define PACKET_MAX 4096
#define FRAGMENT_LEN \
	1232 /* with an IPv6 and a fragment header 1280: no router may fragment it further */
#define MORE_FRAGMENTS	   0x2000
#define FRAGMENTS_DATA_LEN (FRAGMENT_LEN + 512)
#define PROTOCOL_UNKNOWN   253 /* RFC 3692: for experiments */
#define DEFAULT_TTL	   64
#define SOURCE_PORT	   9
#define VXLAN_PORT	   4789
#define GENEVE_PORT	   6081

/* The encapsulation of a packet that is the payload of another. */
enum wrap { WRAP_NONE, WRAP_IP, WRAP_GRE, WRAP_VXLAN, WRAP_GENEVE };

/* The headers in front of the payload, and the kind of payload. */
struct shape {
	const char *name;
	uint8_t protocol;
	bool has_options; /* IPv4 */
	/* IPv6: the type of the one extension header; 0 with has_options: hop-by-hop options. */
	uint8_t extension;
	bool is_fragmented;
	enum wrap wrap;
};

static const struct shape shapes[] = {
	{.name = "udp", .protocol = IPPROTO_UDP},
	{.name = "sctp", .protocol = IPPROTO_SCTP},
	{.name = "gre", .protocol = IPPROTO_GRE},
	{.name = "esp", .protocol = IPPROTO_ESP},
	{.name = "unknown", .protocol = PROTOCOL_UNKNOWN},
	{.name = "options",
	 .protocol = IPPROTO_UDP,
	 .has_options = true,
	 .extension = IPPROTO_HOPOPTS},
	{.name = "destination-options",
	 .protocol = IPPROTO_UDP,
	 .has_options = true,
	 .extension = IPPROTO_DSTOPTS},
	{.name = "routing",
	 .protocol = IPPROTO_UDP,
	 .has_options = true,
	 .extension = IPPROTO_ROUTING},
	{.name = "fragments", .protocol = IPPROTO_UDP, .is_fragmented = true},
	{.name = "in-ip", .wrap = WRAP_IP},
	{.name = "in-gre", .protocol = IPPROTO_GRE, .wrap = WRAP_GRE},
	{.name = "in-vxlan", .protocol = IPPROTO_UDP, .wrap = WRAP_VXLAN},
	{.name = "in-geneve", .protocol = IPPROTO_UDP, .wrap = WRAP_GENEVE},
};

struct settings {
	struct probe probe; /* first */
	const struct shape *shape;
	struct address inner_from, inner_to;
	unsigned int count;
	uint16_t port;
	uint8_t ttl;
	const char *device;
};

struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t len;
};

/* -- command line -- */

static bool take_shape(void *settings, const char *value, char *error, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (!strcmp(shapes[i].name, value)) {
			((struct settings *)settings)->shape = &shapes[i];
			return true;
		}
	return flags_refuse(error, size, "expected a shape, such as udp or fragments");
}

static bool take_inner_from(void *settings, const char *value, char *error, size_t size)
{
	return value_take_address(value, &((struct settings *)settings)->inner_from, error, size);
}

static bool take_inner_to(void *settings, const char *value, char *error, size_t size)
{
	return value_take_address(value, &((struct settings *)settings)->inner_to, error, size);
}

static bool take_count(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, 1000, &((struct settings *)settings)->count, error, size);
}

static bool take_port(void *settings, const char *value, char *error, size_t size)
{
	return value_take_port(value, &((struct settings *)settings)->port, error, size);
}

static bool take_ttl(void *settings, const char *value, char *error, size_t size)
{
	unsigned int ttl;

	if (!value_take_amount(value, UINT8_MAX, &ttl, error, size))
		return false;
	((struct settings *)settings)->ttl = (uint8_t)ttl;
	return true;
}

static bool take_device(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->device = value;
	return true;
}

static const struct flag flags[] = {
	{"shape", "SHAPE", "what to send", false, take_shape},
	{"from", "ADDR", "source, whosever it is", false, probe_take_from},
	{"to", "ADDR", "destination", false, probe_take_to},
	{"marker", "HEX32", "16 bytes that all of it carries", false, probe_take_marker},
	{"number", "N", "the marker's last four bytes; after --marker", false, probe_take_number},
	{"count", "N", "packets (5)", false, take_count},
	{"port", "PORT", "destination port (9)", false, take_port},
	{"ttl", "N", "TTL or hop limit (64)", false, take_ttl},
	{"device", "DEV", "leave by this device, as multicast must", false, take_device},
	{"inner-from", "ADDR", "source of the packet inside", false, take_inner_from},
	{"inner-to", "ADDR", "destination of the packet inside", false, take_inner_to},
	{0},
};

/* -- checksums -- */

static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get_be16(bytes + i);
	return len & 1 ? sum + ((uint32_t)bytes[len - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* RFC 9260 appendix A: CRC32c, stored with its lowest byte first. */
static void put_sctp_checksum(uint8_t *sctp, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= sctp[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	put_le32(sctp + 8, ~crc);
}

static void put_udp_checksum(uint8_t *udp, size_t len, const struct address *from,
			     const struct address *to)
{
	size_t address_len = address_bits(from->family) / 8;
	uint32_t sum = IPPROTO_UDP + (uint32_t)len;
	uint16_t checksum;

	sum = add_words(sum, from->bytes, address_len);
	sum = add_words(sum, to->bytes, address_len);
	checksum = fold(add_words(sum, udp, len));
	put_be16(udp + 6, checksum ? checksum : 0xffff);
}

/* -- building, front to back -- */

static uint8_t *append(struct packet *packet, size_t len)
{
	uint8_t *at = packet->bytes + packet->len;

	packet->len += len;
	return at;
}

static void put_ip4(struct packet *packet, const struct address *from, const struct address *to,
		    uint8_t ttl, uint8_t protocol, bool has_options, size_t payload_len)
{
	size_t header_len = has_options ? 28 : 20;
	uint8_t *ip = append(packet, header_len);

	ip[0] = (uint8_t)(0x40 | header_len / 4);
	put_be16(ip + 2, (uint16_t)(header_len + payload_len));
	ip[8] = ttl;
	ip[9] = protocol;
	memcpy(ip + 12, from->bytes, 4);
	memcpy(ip + 16, to->bytes, 4);
	if (has_options) /* record route, room for one address; then the end of the list */
		memcpy(ip + 20, "\x07\x07\x04\0\0\0\0\0", 8);
	put_be16(ip + 10, fold(add_words(0, ip, header_len)));
}

static void put_ip6(struct packet *packet, const struct address *from, const struct address *to,
		    uint8_t ttl, uint8_t next, size_t payload_len)
{
	uint8_t *ip = append(packet, 40);

	ip[0] = 0x60;
	put_be16(ip + 4, (uint16_t)payload_len);
	ip[6] = next;
	ip[7] = ttl;
	memcpy(ip + 8, from->bytes, 16);
	memcpy(ip + 24, to->bytes, 16);
}

/* Only padding; a routing header of an experimental type with no segments left. */
static void put_extension(struct packet *packet, uint8_t type, uint8_t next)
{
	uint8_t *extension = append(packet, 8);

	extension[0] = next;
	memcpy(extension + 2, type == IPPROTO_ROUTING ? "\xfd\0\0\0\0\0" : "\x01\x04\0\0\0\0", 6);
}

static void put_ip(struct packet *packet, const struct settings *settings, uint8_t protocol,
		   size_t payload_len)
{
	const struct shape *shape = settings->shape;

	if (settings->probe.to.family == AF_INET) {
		put_ip4(packet, &settings->probe.from, &settings->probe.to, settings->ttl, protocol,
			shape->has_options, payload_len);
		return;
	}
	put_ip6(packet, &settings->probe.from, &settings->probe.to, settings->ttl,
		shape->has_options ? shape->extension : protocol,
		payload_len + (shape->has_options ? 8 : 0));
	if (shape->has_options)
		put_extension(packet, shape->extension, protocol);
}

static void put_marker(struct packet *packet, const struct settings *settings)
{
	memcpy(append(packet, MARKER_LEN), settings->probe.marker, MARKER_LEN);
}

static size_t transport_header_len(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_SCTP:
		return 12 + 16; /* and a DATA chunk's header */
	case IPPROTO_GRE:
		return 4;
	default:
		return 8;
	}
}

/* In ESP and in unknown protocols a node would not interpret the first bytes. GRE carries a payload
 * that is not IP. */
static void put_transport_header(uint8_t *at, const struct settings *settings, uint8_t protocol,
				 size_t len)
{
	put_be16(at, SOURCE_PORT);
	put_be16(at + 2, settings->port);
	switch (protocol) {
	case IPPROTO_UDP:
		put_be16(at + 4, (uint16_t)len);
		break;
	case IPPROTO_SCTP:
		memcpy(at + 12, "\0\x03\0\x20", 4); /* DATA, whole, 16 + 16 bytes */
		break;
	case IPPROTO_GRE:
		put_be16(at, 0);
		put_be16(at + 2, 0x88b5); /* IEEE: for experiments */
		break;
	}
}

static void put_transport(struct packet *packet, const struct settings *settings, uint8_t protocol,
			  const struct address *from, const struct address *to)
{
	size_t start = packet->len, len = transport_header_len(protocol) + MARKER_LEN;
	uint8_t *at = append(packet, transport_header_len(protocol));

	put_transport_header(at, settings, protocol, len);
	put_marker(packet, settings);
	if (protocol == IPPROTO_UDP)
		put_udp_checksum(packet->bytes + start, len, from, to);
	if (protocol == IPPROTO_SCTP)
		put_sctp_checksum(packet->bytes + start, len);
}

static void build_whole(struct packet *packet, const struct settings *settings)
{
	uint8_t protocol = settings->shape->protocol;

	put_ip(packet, settings, protocol, transport_header_len(protocol) + MARKER_LEN);
	put_transport(packet, settings, protocol, &settings->probe.from, &settings->probe.to);
}

static size_t wrap_len(enum wrap wrap)
{
	switch (wrap) {
	case WRAP_NONE:
	case WRAP_IP:
		return 0;
	case WRAP_GRE:
		return 4;
	case WRAP_VXLAN: /* after UDP's header the overlay's own, and Ethernet's */
		return 8 + 8 + 14;
	case WRAP_GENEVE:
		return 8 + 8;
	}
	return 0;
}

/* RFC 2784, 7348, 8926. `len` includes the wrapped packet. */
static void put_wrap(uint8_t *at, enum wrap wrap, uint16_t ethertype, size_t len)
{
	switch (wrap) {
	case WRAP_NONE:
	case WRAP_IP:
		return;
	case WRAP_GRE:
		put_be16(at + 2, ethertype);
		return;
	case WRAP_VXLAN:
		put_be16(at + 2, VXLAN_PORT);
		put_be16(at + 4, (uint16_t)len);
		at[8] = 0x08;
		put_be16(at + 16 + 12, ethertype);
		return;
	case WRAP_GENEVE:
		put_be16(at + 2, GENEVE_PORT);
		put_be16(at + 4, (uint16_t)len);
		put_be16(at + 8 + 2, ethertype);
		return;
	}
}

static void build_wrapped(struct packet *packet, const struct settings *settings)
{
	const struct address *from = &settings->inner_from, *to = &settings->inner_to;
	bool is_ip4 = to->family == AF_INET;
	size_t udp_len = transport_header_len(IPPROTO_UDP) + MARKER_LEN, start;
	size_t header_len = wrap_len(settings->shape->wrap);
	size_t len = header_len + (is_ip4 ? 20 : 40) + udp_len;
	uint8_t protocol = settings->shape->protocol;

	if (settings->shape->wrap == WRAP_IP)
		protocol = is_ip4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	put_ip(packet, settings, protocol, len);
	start = packet->len;
	put_wrap(append(packet, header_len), settings->shape->wrap, is_ip4 ? ETH_P_IP : ETH_P_IPV6,
		 len);
	if (is_ip4)
		put_ip4(packet, from, to, DEFAULT_TTL, IPPROTO_UDP, false, udp_len);
	else
		put_ip6(packet, from, to, DEFAULT_TTL, IPPROTO_UDP, udp_len);
	put_transport(packet, settings, IPPROTO_UDP, from, to);
	if (protocol == IPPROTO_UDP)
		put_udp_checksum(packet->bytes + start, len, &settings->probe.from,
				 &settings->probe.to);
}

/* One datagram that has its marker in both of its fragments. */
static void build_datagram(struct packet *packet, const struct settings *settings)
{
	memset(append(packet, FRAGMENTS_DATA_LEN), 0, FRAGMENTS_DATA_LEN);
	put_transport_header(packet->bytes, settings, IPPROTO_UDP, FRAGMENTS_DATA_LEN);
	memcpy(packet->bytes + 8, settings->probe.marker, MARKER_LEN);
	memcpy(packet->bytes + FRAGMENT_LEN, settings->probe.marker, MARKER_LEN);
	put_udp_checksum(packet->bytes, packet->len, &settings->probe.from, &settings->probe.to);
}

static void build_fragment(struct packet *packet, const struct settings *settings,
			   const struct packet *datagram, size_t start, uint16_t id)
{
	size_t len = MIN(datagram->len - start, FRAGMENT_LEN);
	bool has_more = start + len < datagram->len;

	if (settings->probe.to.family == AF_INET) {
		put_ip(packet, settings, IPPROTO_UDP, len);
		put_be16(packet->bytes + 4, id);
		put_be16(packet->bytes + 6,
			 (uint16_t)((has_more ? MORE_FRAGMENTS : 0) | start / 8));
	} else {
		uint8_t *fragment;

		put_ip(packet, settings, IPPROTO_FRAGMENT, 8 + len);
		fragment = append(packet, 8);
		fragment[0] = IPPROTO_UDP;
		put_be16(fragment + 2, (uint16_t)(start | has_more));
		put_be32(fragment + 4, id);
	}
	memcpy(append(packet, len), datagram->bytes + start, len);
}

/* -- sending -- */

/* The kernel fills in an IPv4 header's checksum. */
static bool send_packet(int fd, const struct settings *settings, const struct packet *packet)
{
	union endpoint to = endpoint_of(&settings->probe.to, 0);

	if (sendto(fd, packet->bytes, packet->len, 0, &to.any, endpoint_len(&to)) ==
	    (ssize_t)packet->len)
		return true;
	log_error("cannot send %zu bytes: %s", packet->len, strerror(errno));
	return false;
}

static bool send_fragments(int fd, const struct settings *settings, uint16_t id)
{
	struct packet datagram = {0};

	build_datagram(&datagram, settings);
	for (size_t start = 0; start < datagram.len; start += FRAGMENT_LEN) {
		struct packet packet = {0};

		build_fragment(&packet, settings, &datagram, start, id);
		if (!send_packet(fd, settings, &packet))
			return false;
	}
	return true;
}

static bool send_one(int fd, const struct settings *settings, uint16_t id)
{
	struct packet packet = {0};

	if (settings->shape->is_fragmented)
		return send_fragments(fd, settings, id);
	if (settings->shape->wrap)
		build_wrapped(&packet, settings);
	else
		build_whole(&packet, settings);
	return send_packet(fd, settings, &packet);
}

static int open_raw(const struct settings *settings)
{
	int fd = socket(settings->probe.to.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd >= 0 && settings->device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, settings->device,
		       (socklen_t)strlen(settings->device)) < 0)
		fd_close(&fd);
	if (fd < 0)
		log_error("no raw socket: %s", strerror(errno));
	return fd;
}

static bool is_complete(const struct settings *settings)
{
	if (settings->shape && settings->probe.has_marker && settings->probe.to.family &&
	    settings->probe.from.family == settings->probe.to.family &&
	    (!settings->shape->wrap || (settings->inner_to.family &&
					settings->inner_from.family == settings->inner_to.family)))
		return true;
	log_error(
		"expected --shape, --marker, --from and --to of one family, and the same for the inner addresses");
	return false;
}

int main(int argc, char **argv)
{
	struct settings settings = {.count = 5, .port = 9, .ttl = DEFAULT_TTL};
	uint16_t id = (uint16_t)getpid();
	enum flags_outcome outcome;
	CLEANUP_CLOSE int fd = -1;

	log_settings.program = "craft";
	outcome = flags_parse(flags, "craft: sends IP packets that no ordinary socket makes",
			      &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!is_complete(&settings))
		return 2;
	fd = open_raw(&settings);
	if (fd < 0)
		return 1;
	for (unsigned int i = 0; i < settings.count; i++)
		if (!send_one(fd, &settings, (uint16_t)(id + i)))
			return 1;
	printf("{\"sent\":%u}\n", settings.count);
	return 0;
}
