/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel without packets for the tests of its configuration: fresh state for each test, and a
 * device whose upcalls record each request.
 */
#pragma once

#include <errno.h>
#include <sys/mman.h>

#include "configure.h"
#include "crypto.h"
#include "manage.h"
#include "test.h"

static struct tunnel tunnel;
static struct outbox *outbox;

static struct {
	unsigned int persists, opens; /* calls */
	uint16_t port;
	uint32_t fwmark;
	int error; /* of the next opening */
} device_log;

static int log_set_device(void *context, uint16_t port, uint32_t fwmark)
{
	(void)context;
	device_log.opens++;
	device_log.port = port;
	device_log.fwmark = fwmark;
	if (device_log.error)
		return device_log.error;
	tunnel.state->port = port ? port : 40000;
	tunnel.state->fwmark = fwmark;
	return 0;
}

static void log_persist(void *context)
{
	(void)context;
	device_log.persists++;
}

static uint32_t find_interface(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "eth7") ? 0 : 7;
}

static const struct device_upcalls device = {
	.set_device = log_set_device,
	.persist = log_persist,
	.find_interface = find_interface,
	.interface = "podveil0",
	.ifindex = 5,
	.pid = 4321,
};

static void count_up(void *context, void *bytes, size_t len)
{
	static uint8_t next;

	(void)context;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = next++;
}

static void transmit_nothing(void *context, const struct outgoing *outgoing, uint32_t count)
{
	(void)context;
	(void)outgoing;
	(void)count;
}

static void deliver_nothing(void *context, uint8_t *packet, size_t len)
{
	(void)context;
	(void)packet;
	(void)len;
}

static void inject_nothing(void *context, const uint8_t *packet, size_t len)
{
	(void)context;
	(void)packet;
	(void)len;
}

static uint32_t know_no_path(void *context, const union endpoint *to)
{
	(void)context;
	(void)to;
	return 0;
}

static void *map_zeroed(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static int tunnel_begin(void **state)
{
	static const struct tunnel_upcalls upcalls = {transmit_nothing, deliver_nothing,
						      inject_nothing, count_up, know_no_path};

	assert_int_not_equal(sodium_init(), -1);
	memset(&device_log, 0, sizeof(device_log));
	outbox = map_zeroed(sizeof(*outbox));
	tunnel_init(&tunnel, map_zeroed(sizeof(struct tunnel_state)), outbox, &aead_sodium,
		    &upcalls, NULL);
	tunnel.now_ns = 1000 * NS_PER_S;
	tunnel.wall_ns = 1795348800 * NS_PER_S;
	return 0;
}

static int tunnel_end(void **state)
{
	munmap(tunnel.state, sizeof(struct tunnel_state));
	munmap(outbox, sizeof(*outbox));
	return 0;
}

#define TUNNEL_TEST(name) TEST(name, tunnel_begin, tunnel_end)

/* A key of which nothing is known but that it is no other. */
static struct public_key key_number(uint8_t number)
{
	struct public_key key;

	memset(key.bytes, number, sizeof(key.bytes));
	return key;
}

static inline uint32_t find_address(const char *text)
{
	struct address address = {0};

	assert_true(address_parse(&address, text));
	return allowedips_lookup(&tunnel.state->allowedips, address.family, address.bytes);
}

/* Fills the table of allowed IPs, but for `left` prefixes, on behalf of the peer. */
static inline void fill_allowed_ips(uint32_t peer, uint32_t left)
{
	struct allowedips *table = &tunnel.state->allowedips;
	struct cidr cidr;

	assert_true(cidr_parse(&cidr, "240.0.0.0/32"));
	for (uint32_t i = 0; table->count < ALLOWEDIPS_MAX - left; i++) {
		put_be32(cidr.address.bytes, 0xf0000000 + i);
		assert_int_equal(
			allowedips_insert(table, tunnel.state->allowedips_heads, &cidr, peer), 0);
	}
}

/* Of everything that can be configured, as far as these tests go (the first peers, the first
 * prefixes). */
struct fingerprint {
	uint8_t hash[32];
};

static struct fingerprint take_fingerprint(void)
{
	const struct tunnel_state *s = tunnel.state;
	struct fingerprint fingerprint;
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, sizeof(fingerprint.hash));
#define ADD(field, len) crypto_generichash_update(&hash, (const unsigned char *)(field), len)
	ADD(s->secrets.identities, sizeof(s->secrets.identities));
	ADD(s->secrets.pairs, 8 * sizeof(s->secrets.pairs[0]));
	ADD(s->pairs, 8 * sizeof(s->pairs[0]));
	ADD(&s->is_managed, sizeof(s->is_managed));
	ADD(s->uid, sizeof(s->uid));
	ADD(&s->epoch, sizeof(s->epoch));
	ADD(&s->port, sizeof(s->port));
	ADD(&s->fwmark, sizeof(s->fwmark));
	ADD(&s->peer_count, sizeof(s->peer_count));
	ADD(s->peers, 8 * sizeof(s->peers[0]));
	ADD(s->allowedips_heads, 8 * sizeof(s->allowedips_heads[0]));
	ADD(&s->allowedips.count, sizeof(s->allowedips.count));
	ADD(s->allowedips.nodes, 64 * sizeof(s->allowedips.nodes[0]));
#undef ADD
	crypto_generichash_final(&hash, fingerprint.hash, sizeof(fingerprint.hash));
	return fingerprint;
}

static void assert_unchanged(const struct fingerprint *before)
{
	struct fingerprint now = take_fingerprint();

	assert_memory_equal(&now, before, sizeof(now));
}
