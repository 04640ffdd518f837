/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leak detector. Searches every frame that crosses the named devices, in both directions and
 * whole (super-packets too), for a 16-byte marker at any offset and for IP headers with a source or
 * destination inside the named nets, in any encapsulation. A frame that it could not see whole is
 * counted as missed, never silently skipped. When its time is over or at SIGTERM/SIGINT, prints one
 * JSON line to stdout and samples of leaked frames to stderr, and exits with 0: the test judges the
 * numbers.
 *
 *   wirewatch --interface DEV... --marker HEX32 --net CIDR... --port UDPPORT [--ready-file FILE]
 *             [--seconds N] [--numbered]
 *
 * --numbered: searches for all markers that differ from this one only in their last four bytes, and
 * counts each for each device.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "address.h"
#include "common/marker.h"
#include "common/tool.h"
#include "common/value.h"

#define INTERFACES_MAX 8
#define NETS_MAX       16
#define SAMPLES_MAX    5
#define SAMPLE_BYTES   192
/* Bytes of a frame that are searched for an IP header at any offset. */
#define SCAN_BYTES  512
#define NESTING_MAX 8

#define BLOCK_BYTES (4U << 20) /* a block holds many frames of 64 KiB, and any frame whole */
#define BLOCK_COUNT 24
/* BLOCK_COUNT times this is how long the CPU may be busy elsewhere before frames are missed. */
#define BLOCK_AGE_MS 50
#define DRAIN_MS     100 /* after the end, to search the frames that are still in the ring */

struct settings {
	const char *interfaces[INTERFACES_MAX];
	unsigned int interface_count;
	uint8_t marker[MARKER_LEN];
	bool has_marker, is_numbered;
	struct cidr nets[NETS_MAX];
	unsigned int net_count;
	uint16_t port;
	const char *ready_file;
	unsigned int seconds;
};

struct tally {
	uint64_t frames, bytes, marker, addresses, tunnel, handshakes, ip_fragments, missed;
	uint64_t largest; /* IP packet of the tunnel; a super-packet is one packet */
};

struct ring {
	const char *interface;
	int fd;
	bool has_ethernet;
	uint8_t *blocks;
	unsigned int next;
};

/* The findings in one frame. */
struct findings {
	bool address, tunnel, handshake, fragment;
	size_t address_at;
	size_t tunnel_len; /* of the IP packet; 0: not one of the tunnel */
};

struct watch {
	struct settings settings;
	struct tally tally;
	struct ring rings[INTERFACES_MAX];
	uint64_t numbers[INTERFACES_MAX]
			[MARKER_NUMBERS]; /* frames with each marker of --numbered */
	unsigned int samples;
};

/* -- command line -- */

static bool take_interface(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (!*value || s->interface_count == INTERFACES_MAX)
		return flags_refuse(error, size, "expected at most %d names of devices",
				    INTERFACES_MAX);
	s->interfaces[s->interface_count++] = value;
	return true;
}

static bool take_marker(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_marker = marker_take(s->marker, value, error, size);
	return s->has_marker;
}

static bool take_net(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	if (s->net_count == NETS_MAX || !cidr_parse(&s->nets[s->net_count], value))
		return flags_refuse(error, size,
				    "expected a prefix such as 10.244.0.0/16, at most %d",
				    NETS_MAX);
	s->net_count++;
	return true;
}

static bool take_port(void *settings, const char *value, char *error, size_t size)
{
	return value_take_port(value, &((struct settings *)settings)->port, error, size);
}

static bool take_ready_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->ready_file = value;
	return true;
}

static bool take_seconds(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, 86400, &((struct settings *)settings)->seconds, error,
				 size);
}

static bool take_numbered(void *settings, const char *value, char *error, size_t size)
{
	(void)value, (void)error, (void)size;
	((struct settings *)settings)->is_numbered = true;
	return true;
}

static const struct flag flags[] = {
	{"interface", "DEV", "device to watch", true, take_interface},
	{"marker", "HEX32", "16 bytes that no frame may carry", false, take_marker},
	{"net", "CIDR", "addresses that no IP header may carry", true, take_net},
	{"port", "PORT", "the tunnel's UDP port", false, take_port},
	{"ready-file", "FILE", "created once frames are captured", false, take_ready_file},
	{"seconds", "N", "end after this time (60)", false, take_seconds},
	{"numbered", NULL, "count the markers by their last four bytes", false, take_numbered},
	{0},
};

/* -- capturing -- */

static bool set_ring(struct ring *ring)
{
	int version = TPACKET_V3;
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCK_COUNT,
		.tp_frame_size = TPACKET_ALIGNMENT << 7,
		.tp_frame_nr = BLOCK_BYTES / (TPACKET_ALIGNMENT << 7) * BLOCK_COUNT,
		.tp_retire_blk_tov = BLOCK_AGE_MS,
	};

	if (setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
	    setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0)
		return false;
	ring->blocks = mmap(NULL, (size_t)BLOCK_BYTES * BLOCK_COUNT, PROT_READ | PROT_WRITE,
			    MAP_SHARED, ring->fd, 0);
	return ring->blocks != MAP_FAILED;
}

static bool has_ethernet(const struct ring *ring)
{
	struct ifreq request = {0};

	copy_text(request.ifr_name, sizeof(request.ifr_name), ring->interface);
	if (ioctl(ring->fd, SIOCGIFHWADDR, &request) < 0)
		return true;
	return request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
	       request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
}

/* The socket receives nothing until it is bound, so no frame of another device ever gets in. */
static bool open_ring(struct ring *ring, const char *interface)
{
	unsigned int index = if_nametoindex(interface);
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)index};
	struct packet_mreq promiscuous = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};

	ring->interface = interface;
	ring->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ring->fd >= 0 && index && set_ring(ring) &&
	    bind(ring->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    setsockopt(ring->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
		       sizeof(promiscuous)) == 0) {
		ring->has_ethernet = has_ethernet(ring);
		return true;
	}
	log_error("cannot watch '%s': %s", interface, strerror(errno));
	return false;
}

/* -- content of a frame -- */

static bool is_watched(const struct watch *watch, uint8_t family, const uint8_t *bytes)
{
	struct address address = {.family = family};

	memcpy(address.bytes, bytes, family == AF_INET ? 4 : 16);
	for (unsigned int i = 0; i < watch->settings.net_count; i++)
		if (cidr_contains_address(&watch->settings.nets[i], &address))
			return true;
	return false;
}

static bool ip_has_watched_address(const struct watch *watch, const uint8_t *ip)
{
	if (ip[0] >> 4 == 4)
		return is_watched(watch, AF_INET, ip + 12) || is_watched(watch, AF_INET, ip + 16);
	return is_watched(watch, AF_INET6, ip + 8) || is_watched(watch, AF_INET6, ip + 24);
}

static bool is_ip_header(const uint8_t *at, size_t left)
{
	return left >= 20 &&
	       ((at[0] >> 4 == 4 && (at[0] & 15) >= 5) || (at[0] >> 4 == 6 && left >= 40));
}

static bool ip4_sum_is_right(const uint8_t *ip, size_t left)
{
	size_t length = (size_t)(ip[0] & 15) * 4;
	uint32_t sum = 0;

	if (length > left)
		return false;
	for (size_t i = 0; i < length; i += 2)
		sum += get_be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16)) == 0xffff;
}

/* Any header may start at any offset, behind unknown encapsulations. By chance, sealed payload also
 * contains bytes that look like an address in a net, so an IPv4 header must have a correct
 * checksum; an IPv6 address has enough bits to exclude chance. */
static void scan_for_headers(const struct watch *watch, const uint8_t *frame, size_t len,
			     struct findings *findings)
{
	size_t end = MIN(len, SCAN_BYTES);

	for (size_t at = 0; at + 20 <= end && !findings->address; at++) {
		const uint8_t *ip = frame + at;

		if (!is_ip_header(ip, len - at) || !ip_has_watched_address(watch, ip))
			continue;
		if (ip[0] >> 4 == 4 && !ip4_sum_is_right(ip, len - at))
			continue;
		findings->address = true;
		findings->address_at = at;
	}
}

static void look_at_udp(const struct watch *watch, const uint8_t *udp, size_t left,
			struct findings *findings)
{
	uint16_t port = watch->settings.port;

	if (left < 8 || !port || (get_be16(udp) != port && get_be16(udp + 2) != port))
		return;
	findings->tunnel = true;
	findings->handshake =
		left >= 12 && udp[8] >= 1 && udp[8] <= 3 && !udp[9] && !udp[10] && !udp[11];
}

/* The offset and the protocol of the payload of an IPv6 packet. */
static size_t skip_extensions(const uint8_t *ip, size_t left, uint8_t *ret_protocol,
			      bool *ret_is_fragment)
{
	size_t at = 40;
	uint8_t type = ip[6];

	while (at + 8 <= left && (type == 0 || type == 43 || type == 44 || type == 60)) {
		size_t length = type == 44 ? 8 : ((size_t)ip[at + 1] + 1) * 8;

		*ret_is_fragment |= type == 44;
		type = ip[at];
		at += length;
	}
	*ret_protocol = type;
	return MIN(at, left);
}

static void look_at_ip(const struct watch *watch, const uint8_t *frame, size_t at, size_t len,
		       struct findings *findings)
{
	const uint8_t *ip = frame + at;
	size_t left = len - at, head_len;
	uint8_t protocol;

	if (!is_ip_header(ip, left))
		return;
	if (ip[0] >> 4 == 4) {
		head_len = MIN((size_t)(ip[0] & 15) * 4, left);
		protocol = ip[9];
		findings->fragment = get_be16(ip + 6) & 0x3fff;
	} else {
		head_len = skip_extensions(ip, left, &protocol, &findings->fragment);
	}
	if (ip_has_watched_address(watch, ip)) {
		findings->address = true;
		findings->address_at = at;
	}
	if (protocol == IPPROTO_UDP &&
	    !(findings->fragment && ip[0] >> 4 == 4 && get_be16(ip + 6) & 0x1fff))
		look_at_udp(watch, ip + head_len, left - head_len, findings);
	if (findings->tunnel)
		findings->tunnel_len = left;
}

/* Skips Ethernet and VLAN tags; returns len if no IP packet follows. */
static size_t find_ip(const struct ring *ring, const uint8_t *frame, size_t len)
{
	size_t at = ETH_HLEN;

	if (!ring->has_ethernet)
		return 0;
	for (unsigned int depth = 0; depth < NESTING_MAX && at <= len; depth++) {
		switch (get_be16(frame + at - 2)) {
		case ETH_P_8021Q:
		case ETH_P_8021AD:
			at += 4;
			continue;
		case ETH_P_IP:
		case ETH_P_IPV6:
			return at;
		default:
			return len;
		}
	}
	return len;
}

static void hex_dump(const uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += 16) {
		char text[17] = "";

		fprintf(stderr, "  %04zx ", at);
		for (size_t i = at; i < at + 16; i++) {
			fprintf(stderr, i < len ? " %02x" : "   ", i < len ? bytes[i] : 0);
			text[i - at] = i >= len				     ? ' '
				       : bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i]
									     : '.';
		}
		fprintf(stderr, "  %s\n", text);
	}
}

static void show_sample(struct watch *watch, const struct ring *ring,
			const struct sockaddr_ll *origin, const uint8_t *frame, size_t len,
			const char *what, size_t at)
{
	if (watch->samples++ >= SAMPLES_MAX)
		return;
	fprintf(stderr, "%s: %s frame of %zu bytes has %s at %zu\n", ring->interface,
		origin->sll_pkttype == PACKET_OUTGOING ? "outgoing" : "incoming", len, what, at);
	hex_dump(frame, MIN(len, SAMPLE_BYTES));
}

static void count_number(struct watch *watch, const struct ring *ring, const uint8_t *frame,
			 size_t len)
{
	int64_t number = marker_number(watch->settings.marker, frame, len);

	if (number >= 0 && number < MARKER_NUMBERS)
		watch->numbers[ring - watch->rings][number]++;
}

/* NULL: it is not in the frame. */
static const uint8_t *find_marker(const struct settings *settings, const uint8_t *frame, size_t len)
{
	return settings->has_marker ? memmem(frame, len, settings->marker,
					     settings->is_numbered ? MARKER_NUMBER_AT : MARKER_LEN)
				    : NULL;
}

static void look_at_frame(struct watch *watch, const struct ring *ring,
			  const struct sockaddr_ll *origin, const uint8_t *frame, size_t len)
{
	const uint8_t *marker = find_marker(&watch->settings, frame, len);
	struct findings findings = {0};

	look_at_ip(watch, frame, find_ip(ring, frame, len), len, &findings);
	scan_for_headers(watch, frame, len, &findings);
	watch->tally.frames++;
	watch->tally.bytes += len;
	watch->tally.marker += marker != NULL;
	watch->tally.addresses += findings.address;
	watch->tally.tunnel += findings.tunnel;
	watch->tally.handshakes += findings.handshake;
	watch->tally.ip_fragments += findings.fragment;
	if (watch->settings.is_numbered)
		count_number(watch, ring, frame, len);
	watch->tally.largest = MAX(watch->tally.largest, findings.tunnel_len);
	if (marker)
		show_sample(watch, ring, origin, frame, len, "the marker",
			    (size_t)(marker - frame));
	else if (findings.address)
		show_sample(watch, ring, origin, frame, len, "a watched address in the IP header",
			    findings.address_at);
}

/* -- the loop -- */

static void look_at_block(struct watch *watch, const struct ring *ring, uint8_t *block)
{
	struct tpacket_block_desc *description = (struct tpacket_block_desc *)block;
	uint8_t *at = block + description->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < description->hdr.bh1.num_pkts; i++) {
		struct tpacket3_hdr *header = (struct tpacket3_hdr *)at;
		const struct sockaddr_ll *origin =
			(const struct sockaddr_ll *)(at + ROUND_UP(sizeof(*header),
								   (size_t)TPACKET_ALIGNMENT));

		look_at_frame(watch, ring, origin, at + header->tp_mac, header->tp_snaplen);
		watch->tally.missed += header->tp_snaplen < header->tp_len;
		at += header->tp_next_offset;
	}
}

static bool take_block(struct watch *watch, struct ring *ring)
{
	uint8_t *block = ring->blocks + (size_t)ring->next * BLOCK_BYTES;
	struct tpacket_block_desc *description = (struct tpacket_block_desc *)block;

	if (!(__atomic_load_n(&description->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
	      TP_STATUS_USER))
		return false;
	look_at_block(watch, ring, block);
	__atomic_store_n(&description->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	ring->next = (ring->next + 1) % BLOCK_COUNT;
	return true;
}

/* One block of each ring in turn, so that no ring waits for a busy one. */
static bool take_blocks(struct watch *watch)
{
	bool took_any = false;

	for (unsigned int i = 0; i < watch->settings.interface_count; i++)
		took_any |= take_block(watch, &watch->rings[i]);
	return took_any;
}

/* Reading the error clears it. A device that comes up again is captured again by itself; a device
 * that is gone sends nothing. */
static void take_error(const struct ring *ring)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	log_warning("%s: %s", ring->interface, strerror(error));
}

static void wait_for_blocks(const struct watch *watch, int timeout_ms)
{
	struct pollfd fds[INTERFACES_MAX];

	for (unsigned int i = 0; i < watch->settings.interface_count; i++)
		fds[i] = (struct pollfd){.fd = watch->rings[i].fd, .events = POLLIN};
	if (poll(fds, watch->settings.interface_count, timeout_ms) <= 0)
		return;
	for (unsigned int i = 0; i < watch->settings.interface_count; i++)
		if (fds[i].revents & ~POLLIN)
			take_error(&watch->rings[i]);
}

static void run(struct watch *watch)
{
	uint64_t deadline = tool_now_ms() + watch->settings.seconds * 1000ULL;

	while (!is_stopping && tool_now_ms() < deadline)
		if (!take_blocks(watch))
			wait_for_blocks(watch, 100);
	deadline = tool_now_ms() + DRAIN_MS;
	while (tool_now_ms() < deadline || take_blocks(watch)) {
		wait_for_blocks(watch, BLOCK_AGE_MS);
		take_blocks(watch);
		if (tool_now_ms() > deadline + 20ULL * DRAIN_MS)
			break;
	}
}

static void count_missed(struct watch *watch)
{
	for (unsigned int i = 0; i < watch->settings.interface_count; i++) {
		struct tpacket_stats_v3 statistics = {0};
		socklen_t length = sizeof(statistics);

		if (getsockopt(watch->rings[i].fd, SOL_PACKET, PACKET_STATISTICS, &statistics,
			       &length) == 0)
			watch->tally.missed += statistics.tp_drops;
	}
}

static void print_numbers(const struct watch *watch)
{
	const char *comma = "";

	printf(",\"numbers\":[");
	for (unsigned int i = 0; i < watch->settings.interface_count; i++)
		for (unsigned int number = 0; number < MARKER_NUMBERS; number++)
			if (watch->numbers[i][number]) {
				printf("%s{\"interface\":\"%s\",\"number\":%u,\"frames\":%ju}",
				       comma, watch->rings[i].interface, number,
				       (uintmax_t)watch->numbers[i][number]);
				comma = ",";
			}
	printf("]");
}

static void print_tally(const struct watch *watch)
{
	const struct tally *tally = &watch->tally;

	printf("{\"frames\":%ju,\"bytes\":%ju,\"marker\":%ju,\"addresses\":%ju,\"tunnel\":%ju,\"handshakes\":%ju,"
	       "\"ip_fragments\":%ju,\"missed\":%ju,\"largest\":%ju",
	       (uintmax_t)tally->frames, (uintmax_t)tally->bytes, (uintmax_t)tally->marker,
	       (uintmax_t)tally->addresses, (uintmax_t)tally->tunnel, (uintmax_t)tally->handshakes,
	       (uintmax_t)tally->ip_fragments, (uintmax_t)tally->missed, (uintmax_t)tally->largest);
	if (watch->settings.is_numbered)
		print_numbers(watch);
	puts("}");
}

int main(int argc, char **argv)
{
	static struct watch watch = {.settings.seconds = 60};
	enum flags_outcome outcome;

	log_settings.program = "wirewatch";
	outcome = flags_parse(flags, "wirewatch: counts frames that must not be there",
			      &watch.settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!watch.settings.interface_count) {
		log_error("--interface is missing: expected the devices to watch");
		return 2;
	}
	tool_catch_signals();
	for (unsigned int i = 0; i < watch.settings.interface_count; i++)
		if (!open_ring(&watch.rings[i], watch.settings.interfaces[i]))
			return 1;
	if (!tool_announce(watch.settings.ready_file))
		return 1;
	run(&watch);
	count_missed(&watch);
	print_tally(&watch);
	return 0;
}
