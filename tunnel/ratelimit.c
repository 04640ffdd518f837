// SPDX-License-Identifier: Apache-2.0
/*
 * Token buckets for handshakes under load (paper, 5.3), one for each source that proved its address
 * with a cookie. Chained hashing under a secret key in fixed storage: the attacker chooses the
 * addresses, but cannot affect the length of chains or the memory used. The rates are those of the
 * kernel's ratelimiter.c.
 */
#include "ratelimit.h"

#include <assert.h>
#include <sodium.h>

#define TOKEN_NS (NS_PER_S / RATELIMIT_PER_SECOND)
#define FULL_NS	 (TOKEN_NS * RATELIMIT_BURST)
/* After this time a bucket is full again, so forgetting it changes nothing. */
#define IDLE_NS	 NS_PER_S
#define NO_ENTRY 0

static_assert(FULL_NS <= IDLE_NS, "forgetting an entry must not add tokens");

static struct ratelimit_entry *entry_at(struct ratelimit *limit, uint32_t number)
{
	return &limit->entries[number - 1];
}

/* An IPv6 host owns its /64, an IPv4 host its address. */
static void make_source(uint8_t ret_source[static 9], const union endpoint *endpoint)
{
	struct address address = endpoint_address(endpoint);
	bool is_4 = address.family == AF_INET;

	memset(ret_source, 0, 9);
	ret_source[0] = is_4 ? 4 : 6;
	memcpy(ret_source + 1, address.bytes, is_4 ? 4 : 8);
}

static uint32_t *bucket_of(struct ratelimit *limit, const uint8_t source[static 9])
{
	uint8_t hash[crypto_shorthash_BYTES];

	crypto_shorthash(hash, source, 9, limit->hash_key);
	return &limit->buckets[get_le32(hash) % RATELIMIT_BUCKETS];
}

static uint32_t find_entry(struct ratelimit *limit, uint32_t number, const uint8_t source[static 9])
{
	while (number != NO_ENTRY && memcmp(entry_at(limit, number)->source, source, 9))
		number = entry_at(limit, number)->next;
	return number;
}

/* NO_ENTRY: all are in use. */
static uint32_t take_free_entry(struct ratelimit *limit)
{
	uint32_t number = limit->free;

	if (number != NO_ENTRY)
		limit->free = entry_at(limit, number)->next;
	else if (limit->used_end < RATELIMIT_ENTRIES)
		number = ++limit->used_end;
	return number;
}

static uint32_t add_entry(struct ratelimit *limit, uint32_t *bucket, const uint8_t source[static 9],
			  uint64_t now_ns)
{
	uint32_t number = take_free_entry(limit);
	struct ratelimit_entry *entry;

	if (number == NO_ENTRY)
		return NO_ENTRY;
	entry = entry_at(limit, number);
	memcpy(entry->source, source, 9);
	entry->tokens_ns = FULL_NS;
	entry->last_ns = now_ns;
	entry->next = *bucket;
	*bucket = number;
	limit->used++;
	return number;
}

static void sweep_bucket(struct ratelimit *limit, uint32_t *link, uint64_t now_ns)
{
	while (*link != NO_ENTRY) {
		uint32_t number = *link;
		struct ratelimit_entry *entry = entry_at(limit, number);

		if (now_ns - entry->last_ns < IDLE_NS) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		entry->source[0] = 0;
		entry->next = limit->free;
		limit->free = number;
		limit->used--;
	}
}

/* Runs at most once a second, so that a full table costs each call little. */
static void sweep(struct ratelimit *limit, uint64_t now_ns)
{
	if (now_ns - limit->last_sweep_ns < IDLE_NS)
		return;
	limit->last_sweep_ns = now_ns;
	for (uint32_t i = 0; i < RATELIMIT_BUCKETS && limit->used; i++)
		sweep_bucket(limit, &limit->buckets[i], now_ns);
}

static bool take_token(struct ratelimit_entry *entry, uint64_t now_ns)
{
	uint64_t tokens_ns = MIN(FULL_NS, entry->tokens_ns + (now_ns - entry->last_ns));
	bool is_allowed = tokens_ns >= TOKEN_NS;

	entry->tokens_ns = is_allowed ? tokens_ns - TOKEN_NS : tokens_ns;
	entry->last_ns = now_ns;
	return is_allowed;
}

void ratelimit_init(struct ratelimit *limit, const uint8_t hash_key[static 16])
{
	memset(limit, 0, offsetof(struct ratelimit, entries));
	memcpy(limit->hash_key, hash_key, sizeof(limit->hash_key));
}

bool ratelimit_allow(struct ratelimit *limit, const union endpoint *source, uint64_t now_ns)
{
	uint8_t key[9];
	uint32_t *bucket, number;

	sweep(limit, now_ns);
	make_source(key, source);
	bucket = bucket_of(limit, key);
	number = find_entry(limit, *bucket, key);
	if (number == NO_ENTRY)
		number = add_entry(limit, bucket, key, now_ns);
	return number != NO_ENTRY && take_token(entry_at(limit, number), now_ns);
}
