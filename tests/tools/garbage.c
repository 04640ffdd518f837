// SPDX-License-Identifier: Apache-2.0
/*
 * Throws garbage at a WireGuard port: random bytes, and real messages from a capture (tcpdump -w,
 * Ethernet), which are sent truncated, lengthened, with each bit flipped, and unchanged;
 * initiations and responses also with a correct mac1 (paper, 5.4.4), since the port's public key is
 * no secret. The random bytes are the same in every run. "throw" is paced, so that the tunnel is
 * not under load, when it would rightly send cookies; it prints how much it threw and fails if
 * anything answers. "flood" sends the captured initiation repeatedly, as fast as possible.
 *
 *   garbage throw --to ADDRESS --port PORT --from-port PORT --capture FILE --key KEY
 *   garbage flood --to ADDRESS --port PORT --from-port PORT --capture FILE
 *
 * It links no code of the tunnel: the code under test must not decide which mac1 is correct.
 */
#include <blake2.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/time.h>

#include "../../tunnel/wire.h"
#include "address.h"
#include "common/value.h"

/* Over IPv4 in one frame; a longer one in a capture is a super-packet. */
#define DATAGRAM_MAX   1472
#define LENGTHENED_MAX 100
/* Bytes of a message that have their bits flipped: all bytes except data. */
#define TURNED_MAX	  160

#define RANDOM_DATAGRAMS  3000
#define RANDOM_HANDSHAKES 200
#define FLOOD_DATAGRAMS	  20000

#define PACE_DATAGRAMS	  16
#define PACE_PAUSE_NS	  (8 * NS_PER_MS)
#define ANSWER_WAIT_MS	  500

/* draft-ietf-opsawg-pcap, in the byte order of the machine that wrote it: here it is our own. */
#define PCAP_MAGIC    0xa1b2c3d4
#define PCAP_ETHERNET 1

struct pcap_head {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t reserved[2], snap_len, link_type;
};

struct pcap_record {
	uint32_t seconds, microseconds, captured_len, original_len;
};

struct settings {
	struct address to;
	uint16_t port, from_port;
	const char *capture;
	struct public_key key;
	bool has_key;
};

struct message {
	uint8_t bytes[DATAGRAM_MAX];
	size_t len; /* 0: none was captured */
};

/* By enum message_type: the longest data message, of the others the first. */
struct capture {
	struct message messages[MESSAGE_DATA + 1];
};

struct thrower {
	int fd, error; /* the first of send's, after which nothing is sent */
	uint64_t sent, draws;
};

/* -- command line -- */

static bool take_to(void *settings, const char *value, char *error, size_t size)
{
	return value_take_address(value, &((struct settings *)settings)->to, error, size);
}

static bool take_port(void *settings, const char *value, char *error, size_t size)
{
	return value_take_port(value, &((struct settings *)settings)->port, error, size);
}

static bool take_from_port(void *settings, const char *value, char *error, size_t size)
{
	return value_take_port(value, &((struct settings *)settings)->from_port, error, size);
}

static bool take_capture(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->capture = value;
	return true;
}

static bool take_key(void *settings, const char *value, char *error, size_t size)
{
	struct settings *s = settings;

	s->has_key = public_key_decode(&s->key, value);
	return s->has_key || flags_refuse(error, size, "expected a public key in base64");
}

static const struct flag flags[] = {
	{"to", "ADDRESS", "whom to throw at", false, take_to},
	{"port", "PORT", "its WireGuard port", false, take_port},
	{"from-port", "PORT", "our own", false, take_from_port},
	{"capture", "FILE", "real messages on their way to that port", false, take_capture},
	{"key", "KEY", "throw: the public key that the port answers for", false, take_key},
	{0},
};

/* -- the capture -- */

static size_t ip_header_len(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HLEN;

	if (len < ETH_HLEN + sizeof(struct ip6_hdr))
		return 0;
	if (get_be16(frame + ETH_HLEN - 2) == ETH_P_IP && ip[9] == IPPROTO_UDP)
		return (ip[0] & 15U) * 4;
	if (get_be16(frame + ETH_HLEN - 2) == ETH_P_IPV6 && ip[6] == IPPROTO_UDP)
		return sizeof(struct ip6_hdr);
	return 0;
}

static void take_message(struct capture *capture, const uint8_t *bytes, size_t len)
{
	struct message *message;

	if (len < 4 || len > DATAGRAM_MAX || bytes[0] < MESSAGE_INITIATION ||
	    bytes[0] > MESSAGE_DATA)
		return;
	message = &capture->messages[bytes[0]];
	if (message->len && (bytes[0] != MESSAGE_DATA || len <= message->len))
		return;
	memcpy(message->bytes, bytes, len);
	message->len = len;
}

static void take_frame(struct capture *capture, const uint8_t *frame, size_t len)
{
	size_t ip_len = ip_header_len(frame, len);
	size_t before = ETH_HLEN + ip_len + sizeof(struct udphdr);

	if (ip_len && before < len)
		take_message(capture, frame + before, len - before);
}

static bool read_frames(struct capture *capture, FILE *file)
{
	static uint8_t frame[ETH_HLEN + 65536];
	struct pcap_head head;
	struct pcap_record record;

	if (fread(&head, sizeof(head), 1, file) != 1 || head.magic != PCAP_MAGIC ||
	    head.link_type != PCAP_ETHERNET)
		return false;
	while (fread(&record, sizeof(record), 1, file) == 1) {
		if (record.captured_len > sizeof(frame) ||
		    fread(frame, 1, record.captured_len, file) != record.captured_len)
			return false;
		take_frame(capture, frame, record.captured_len);
	}
	return true;
}

static bool read_capture(struct capture *capture, const char *path)
{
	FILE *file = fopen(path, "re");
	bool is_whole;

	if (!file) {
		log_error("cannot open '%s': %s", path, strerror(errno));
		return false;
	}
	is_whole = read_frames(capture, file);
	fclose(file);
	if (!is_whole) {
		log_error("'%s': expected a whole capture of Ethernet frames", path);
		return false;
	}
	if (capture->messages[MESSAGE_INITIATION].len != sizeof(struct message_initiation) ||
	    capture->messages[MESSAGE_DATA].len < MESSAGE_DATA_MIN) {
		log_error("'%s': expected an initiation and a data message in it", path);
		return false;
	}
	return true;
}

/* -- sending -- */

static int open_sender(const struct settings *settings)
{
	struct address any = {.family = settings->to.family};
	union endpoint to = endpoint_of(&settings->to, settings->port);
	union endpoint from = endpoint_of(&any, settings->from_port);
	CLEANUP_CLOSE int fd = socket(any.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[ENDPOINT_TEXT_LEN];

	if (fd >= 0 && !bind(fd, &from.any, endpoint_len(&from)) &&
	    !connect(fd, &to.any, endpoint_len(&to)))
		return TAKE_FD(fd);
	log_error("cannot send to %s from port %u: %s", endpoint_format(text, &to),
		  settings->from_port, strerror(errno));
	return -1;
}

static void throw_bytes(struct thrower *thrower, const void *bytes, size_t len)
{
	static const struct timespec pause = {.tv_nsec = PACE_PAUSE_NS};

	if (thrower->error)
		return;
	if (send(thrower->fd, bytes, len, 0) < 0) {
		thrower->error = errno;
		return;
	}
	if (++thrower->sent % PACE_DATAGRAMS == 0)
		nanosleep(&pause, NULL);
}

/* True for a datagram, and for an ICMP error, which a connected socket reports. */
static bool is_answered(const struct thrower *thrower)
{
	static const struct timeval patience = {.tv_usec = ANSWER_WAIT_MS * 1000};
	uint8_t bytes[DATAGRAM_MAX];
	int error = thrower->error;

	if (!error) {
		ssize_t len;

		setsockopt(thrower->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		len = recv(thrower->fd, bytes, sizeof(bytes), MSG_TRUNC);
		if (len >= 0) {
			log_error("answered with %zd bytes", len);
			return true;
		}
		error = errno;
	}
	if (error != EAGAIN)
		log_error("an error instead of silence: %s", strerror(error));
	return error != EAGAIN;
}

/* -- garbage -- */

static void draw(struct thrower *thrower, void *ret_bytes, size_t len)
{
	uint8_t seed[randombytes_SEEDBYTES] = {0};

	put_le64(seed, ++thrower->draws);
	randombytes_buf_deterministic(ret_bytes, len, seed);
}

static uint32_t draw_below(struct thrower *thrower, uint32_t limit)
{
	uint32_t number;

	draw(thrower, &number, sizeof(number));
	return number % limit;
}

static void throw_random(struct thrower *thrower)
{
	uint8_t bytes[DATAGRAM_MAX];

	for (unsigned int i = 0; i < RANDOM_DATAGRAMS; i++) {
		size_t len = draw_below(thrower, DATAGRAM_MAX + 1);

		draw(thrower, bytes, len);
		throw_bytes(thrower, bytes, len);
	}
	throw_bytes(thrower, NULL, 0);
}

/* Every possible first byte, at the lengths of real messages and next to them. */
static void throw_every_type(struct thrower *thrower)
{
	static const uint16_t lens[] = {1,  4,	16, 31, 32,  48,  63,  64,
					65, 91, 92, 93, 147, 148, 149, DATAGRAM_MAX};
	uint8_t bytes[DATAGRAM_MAX];

	for (uint32_t type = 0; type <= UINT8_MAX; type++)
		for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
			draw(thrower, bytes, lens[i]);
			put_le32(bytes, type);
			throw_bytes(thrower, bytes, lens[i]);
		}
}

/* The unchanged message comes last: it may be accepted. */
static void throw_deformed(struct thrower *thrower, const struct message *message)
{
	static const size_t more[] = {1, 16, LENGTHENED_MAX};
	uint8_t bytes[DATAGRAM_MAX + LENGTHENED_MAX] = {0};

	memcpy(bytes, message->bytes, message->len);
	for (size_t len = 0; len < message->len; len++)
		throw_bytes(thrower, bytes, len);
	for (unsigned int i = 0; i < ARRAY_SIZE(more); i++)
		throw_bytes(thrower, bytes, message->len + more[i]);
	for (size_t bit = 0; bit < MIN(message->len, TURNED_MAX) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		throw_bytes(thrower, bytes, message->len);
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	throw_bytes(thrower, bytes, message->len);
}

static void throw_with_mac1(struct thrower *thrower, uint8_t *message, size_t len,
			    const struct public_key *key)
{
	size_t covered = len - sizeof(struct message_macs);
	struct message_macs macs = {0};
	uint8_t label[sizeof(NOISE_LABEL_MAC1) - 1 + KEY_LEN], mac_key[HASH_LEN];

	memcpy(label, NOISE_LABEL_MAC1, sizeof(label) - KEY_LEN);
	memcpy(label + sizeof(label) - KEY_LEN, key->bytes, KEY_LEN);
	blake2s(mac_key, label, NULL, HASH_LEN, sizeof(label), 0);
	blake2s(macs.mac1, message, mac_key, MAC_LEN, covered, HASH_LEN);
	memcpy(message + covered, &macs, sizeof(macs));
	throw_bytes(thrower, message, len);
}

/* The captured initiation with each of its bytes wrong in turn, and a correct mac1. */
static void throw_wrong_initiations(struct thrower *thrower, const struct message *initiation,
				    const struct public_key *key)
{
	uint8_t bytes[sizeof(struct message_initiation)];

	for (size_t at = 4; at < sizeof(bytes) - sizeof(struct message_macs); at++) {
		memcpy(bytes, initiation->bytes, sizeof(bytes));
		bytes[at] ^= (uint8_t)(1 + draw_below(thrower, UINT8_MAX));
		throw_with_mac1(thrower, bytes, sizeof(bytes), key);
	}
}

static void throw_random_handshakes(struct thrower *thrower, const struct public_key *key)
{
	uint8_t initiation[sizeof(struct message_initiation)];
	uint8_t response[sizeof(struct message_response)];

	for (unsigned int i = 0; i < RANDOM_HANDSHAKES; i++) {
		draw(thrower, initiation, sizeof(initiation));
		put_le32(initiation, MESSAGE_INITIATION);
		throw_with_mac1(thrower, initiation, sizeof(initiation), key);
		draw(thrower, response, sizeof(response));
		put_le32(response, MESSAGE_RESPONSE);
		throw_with_mac1(thrower, response, sizeof(response), key);
	}
}

/* -- verbs -- */

static int run_throw(struct thrower *thrower, const struct capture *capture,
		     const struct public_key *key)
{
	throw_random(thrower);
	throw_every_type(thrower);
	throw_wrong_initiations(thrower, &capture->messages[MESSAGE_INITIATION], key);
	throw_random_handshakes(thrower, key);
	for (unsigned int type = MESSAGE_INITIATION; type <= MESSAGE_DATA; type++)
		if (capture->messages[type].len)
			throw_deformed(thrower, &capture->messages[type]);
	printf("%ju datagrams\n", (uintmax_t)thrower->sent);
	return is_answered(thrower);
}

static int run_flood(const struct thrower *thrower, const struct message *initiation)
{
	for (unsigned int i = 0; i < FLOOD_DATAGRAMS; i++)
		if (send(thrower->fd, initiation->bytes, initiation->len, 0) < 0) {
			log_error("cannot send: %s", strerror(errno));
			return 1;
		}
	return 0;
}

static bool is_complete(const struct settings *settings, bool is_flood)
{
	if (settings->to.family && settings->port && settings->from_port && settings->capture &&
	    (settings->has_key || is_flood))
		return true;
	log_error(
		"expected --to, --port, --from-port, --capture and, to throw, --key (see --help)");
	return false;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: garbage throw|flood FLAGS";
	static struct capture capture;
	struct settings settings = {0};
	struct thrower thrower = {.fd = -1};
	bool is_flood = argc > 1 && !strcmp(argv[1], "flood");
	enum flags_outcome outcome;

	log_settings.program = "garbage";
	if (argc < 2 || (!is_flood && strcmp(argv[1], "throw"))) {
		log_error("expected throw or flood");
		return 2;
	}
	outcome = flags_parse(flags, usage, &settings, argc - 1, argv + 1, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!is_complete(&settings, is_flood))
		return 2;
	if (sodium_init() < 0 || !read_capture(&capture, settings.capture))
		return 1;
	thrower.fd = open_sender(&settings);
	if (thrower.fd < 0)
		return 1;
	return is_flood ? run_flood(&thrower, &capture.messages[MESSAGE_INITIATION])
			: run_throw(&thrower, &capture, &settings.key);
}
