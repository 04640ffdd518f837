// SPDX-License-Identifier: Apache-2.0
/*
 * Floods a UDP port from forged IPv4 sources at an even rate. "random" sends random bytes of all
 * lengths, four in five with a type that WireGuard has. "initiations" sends the most expensive
 * input for a responder: messages of that type and length with a correct mac1 for --key (paper,
 * 5.4.4) and nothing else correct. The sources are in the /16 of --from. Prints how much it sent,
 * as JSON.
 *
 *   flood random --to ADDRESS --port PORT --from ADDRESS --rate PPS --seconds N
 *   flood initiations --to ADDRESS --port PORT --from ADDRESS --rate PPS --seconds N --key KEY
 */
#include <blake2.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include "../../tunnel/wire.h"
#include "address.h"
#include "common/tool.h"
#include "common/value.h"

#define MESSAGES     4096 /* made once, sent in turn */
#define DATAGRAM_MAX 1400
#define BATCH	     32
#define TICK_NS	     (1 * NS_PER_MS)
#define BACKLOG_NS   (20 * NS_PER_MS)
#define FROM_PORT    40000
#define RATE_MAX     1000000U
#define SECONDS_MAX  3600U

struct settings {
	struct address to, from;
	struct public_key key;
	bool has_key;
	uint32_t port, rate, seconds;
};

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t payload[DATAGRAM_MAX];
};

struct flood {
	const struct settings *settings;
	int fd;
	struct packet packets[BATCH];
	uint8_t (*messages)[DATAGRAM_MAX];
	uint16_t lens[MESSAGES];
	uint64_t sent, refused;
};

/* -- command line -- */

static bool take_address(struct address *ret_address, const char *value, char *error, size_t size)
{
	return (address_parse(ret_address, value) && ret_address->family == AF_INET) ||
	       flags_refuse(error, size, "expected an IPv4 address");
}

static bool take_to(void *settings, const char *value, char *error, size_t size)
{
	return take_address(&((struct settings *)settings)->to, value, error, size);
}

static bool take_from(void *settings, const char *value, char *error, size_t size)
{
	return take_address(&((struct settings *)settings)->from, value, error, size);
}

static bool take_port(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, UINT16_MAX, &((struct settings *)settings)->port, error,
				 size);
}

static bool take_rate(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, RATE_MAX, &((struct settings *)settings)->rate, error,
				 size);
}

static bool take_seconds(void *settings, const char *value, char *error, size_t size)
{
	return value_take_amount(value, SECONDS_MAX, &((struct settings *)settings)->seconds, error,
				 size);
}

static bool take_key(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_key = public_key_decode(&s->key, value);
	return s->has_key || flags_refuse(error, size, "expected a public key in base64");
}

static const struct flag flags[] = {
	{"to", "ADDRESS", "whom to flood", false, take_to},
	{"port", "PORT", "its port", false, take_port},
	{"from", "ADDRESS", "first address of the /16 of forged sources", false, take_from},
	{"rate", "PPS", "datagrams a second", false, take_rate},
	{"seconds", "N", "for how long", false, take_seconds},
	{"key", "KEY", "initiations: the public key that the port answers for", false, take_key},
	{0},
};

/* -- messages -- */

static void make_random(struct flood *flood, unsigned int i)
{
	flood->lens[i] = (uint16_t)(4 + randombytes_uniform(DATAGRAM_MAX - 4));
	randombytes_buf(flood->messages[i], flood->lens[i]);
	if (i % 5)
		put_le32(flood->messages[i], i % 5);
}

static void make_initiation(struct flood *flood, unsigned int i, const uint8_t mac_key[HASH_LEN])
{
	struct message_macs macs = {0};
	size_t covered = sizeof(struct message_initiation) - sizeof(macs);

	flood->lens[i] = sizeof(struct message_initiation);
	randombytes_buf(flood->messages[i], covered);
	put_le32(flood->messages[i], MESSAGE_INITIATION);
	blake2s(macs.mac1, flood->messages[i], mac_key, MAC_LEN, covered, HASH_LEN);
	memcpy(flood->messages[i] + covered, &macs, sizeof(macs));
}

static void make_messages(struct flood *flood)
{
	uint8_t label[sizeof(NOISE_LABEL_MAC1) - 1 + KEY_LEN], mac_key[HASH_LEN];
	const struct settings *settings = flood->settings;

	memcpy(label, NOISE_LABEL_MAC1, sizeof(label) - KEY_LEN);
	memcpy(label + sizeof(label) - KEY_LEN, settings->key.bytes, KEY_LEN);
	blake2s(mac_key, label, NULL, HASH_LEN, sizeof(label), 0);
	for (unsigned int i = 0; i < MESSAGES; i++)
		if (settings->has_key)
			make_initiation(flood, i, mac_key);
		else
			make_random(flood, i);
}

/* -- sending -- */

/* The kernel fills in the lengths and the header's checksum; UDP over IPv4 may go without. */
static size_t make_packet(struct flood *flood, struct packet *packet, unsigned int message)
{
	uint16_t len = flood->lens[message];
	uint32_t source = randombytes_random();

	packet->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
	memcpy(&packet->ip.daddr, flood->settings->to.bytes, 4);
	memcpy(&packet->ip.saddr, flood->settings->from.bytes, 2);
	memcpy((uint8_t *)&packet->ip.saddr + 2, &source, 2);
	packet->udp.source = htons((uint16_t)(FROM_PORT + message % 20000));
	packet->udp.dest = htons((uint16_t)flood->settings->port);
	packet->udp.len = htons((uint16_t)(sizeof(packet->udp) + len));
	memcpy(packet->payload, flood->messages[message], len);
	return sizeof(packet->ip) + sizeof(packet->udp) + len;
}

static void send_batch(struct flood *flood, unsigned int count)
{
	union endpoint to = endpoint_of(&flood->settings->to, 0);
	struct mmsghdr messages[BATCH] = {0};
	struct iovec vectors[BATCH];
	int taken;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int message = (unsigned int)((flood->sent + i) % MESSAGES);

		vectors[i] = (struct iovec){&flood->packets[i],
					    make_packet(flood, &flood->packets[i], message)};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &to,
						      .msg_namelen = endpoint_len(&to),
						      .msg_iov = &vectors[i],
						      .msg_iovlen = 1};
	}
	taken = sendmmsg(flood->fd, messages, count, 0);
	if (taken < (int)count)
		flood->refused += count - (unsigned int)MAX(taken, 0);
	flood->sent += count;
}

/* A tick that comes much too late skips the backlog: making up for it would be a burst at another
 * rate. */
static void run(struct flood *flood)
{
	const struct settings *settings = flood->settings;
	uint64_t began = tool_now_ns(), last, now = began, owed = 0;
	uint64_t end = began + settings->seconds * NS_PER_S;
	struct timespec tick = {.tv_nsec = TICK_NS};

	while (!is_stopping && now < end) {
		for (; owed >= NS_PER_S; owed -= MIN(owed / NS_PER_S, BATCH) * NS_PER_S)
			send_batch(flood, (unsigned int)MIN(owed / NS_PER_S, BATCH));
		nanosleep(&tick, NULL);
		last = now;
		now = tool_now_ns();
		owed += MIN(now - last, BACKLOG_NS) *
			settings->rate; /* in datagrams, times NS_PER_S */
	}
	printf("{\"sent\":%ju,\"refused\":%ju,\"seconds\":%.3f}\n", (uintmax_t)flood->sent,
	       (uintmax_t)flood->refused, (double)(tool_now_ns() - began) / 1e9);
}

static bool is_complete(const struct settings *settings, bool has_initiations)
{
	if (settings->to.family && settings->from.family && settings->port && settings->rate &&
	    settings->seconds && settings->has_key == has_initiations)
		return true;
	log_error(
		"expected --to, --port, --from, --rate, --seconds and, for initiations, --key (see --help)");
	return false;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: flood random|initiations FLAGS";
	static struct flood flood;
	struct settings settings = {0};
	bool has_initiations = argc > 1 && !strcmp(argv[1], "initiations");
	enum flags_outcome outcome;

	log_settings.program = "flood";
	if (argc < 2 || (!has_initiations && strcmp(argv[1], "random"))) {
		log_error("expected random or initiations");
		return 2;
	}
	outcome = flags_parse(flags, usage, &settings, argc - 1, argv + 1, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!is_complete(&settings, has_initiations))
		return 2;
	tool_catch_signals();
	flood.settings = &settings;
	flood.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	flood.messages = calloc(MESSAGES, DATAGRAM_MAX);
	if (sodium_init() < 0 || flood.fd < 0 || !flood.messages) {
		log_error("cannot forge packets: %s", strerror(errno));
		return 1;
	}
	make_messages(&flood);
	run(&flood);
	return 0;
}
