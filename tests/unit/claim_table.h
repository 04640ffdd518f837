/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of claims for the tests of keyd/cluster/claim.c, empty at the beginning of each, or with
 * a cluster range in it. Node 1 is the oldest, node 2 the next one, and so on; each has a record
 * unless the test says otherwise.
 */
#pragma once

#include "either_family.h"

#include "cluster/claim.h"

#define CLAIMS_MAX 256

static struct claim items[CLAIMS_MAX];
static uint32_t order[CLAIMS_MAX];
static struct claim_place places[CLAIMS_MAX];
static struct claims claims;

static inline int begin(void **state)
{
	claims = (struct claims){.items = items, .order = order, .places = places};
	return 0;
}

static inline void judge(void)
{
	claims_judge(&claims);
}

static inline bool is_accepted(uint32_t index)
{
	return items[index].is_accepted;
}

#define EARLY (100 * NS_PER_S)
#define LATE  (200 * NS_PER_S)

/* -- evidence -- */

static inline struct claim_evidence aged(uint32_t owner)
{
	return (struct claim_evidence){.has_record = true, .is_askable = true, .age = owner};
}

static inline struct claim_evidence published(uint32_t owner)
{
	struct claim_evidence evidence = aged(owner);

	evidence.is_pod_cidr = true;
	return evidence;
}

static inline struct claim_evidence proved(uint32_t owner, uint64_t when_ns)
{
	struct claim_evidence evidence = aged(owner);

	evidence.proved_ns = evidence.answered_ns = when_ns;
	return evidence;
}

static inline struct claim_evidence direct(uint32_t owner)
{
	struct claim_evidence evidence = aged(owner);

	evidence.is_direct = true;
	return evidence;
}

static inline struct claim_evidence incumbent(struct claim_evidence evidence)
{
	evidence.is_incumbent = true;
	return evidence;
}

static inline struct claim_evidence silent(struct claim_evidence evidence)
{
	evidence.is_silent = true;
	return evidence;
}

static inline struct claim_evidence left(struct claim_evidence evidence, uint64_t when_ns)
{
	evidence.left_ns = when_ns;
	return evidence;
}

static inline struct claim_evidence without_record(uint32_t owner)
{
	return (struct claim_evidence){.age = owner};
}

/* -- the table -- */

/* The number of the claim. */
static inline uint32_t add_with(enum claim_kind kind, const char *text, uint32_t owner,
				struct claim_evidence evidence)
{
	struct cidr prefix = cidr(text);

	assert_true(claims.count < CLAIMS_MAX);
	claims_add(&claims, kind, owner, &prefix, &evidence);
	return claims.count - 1;
}

static inline uint32_t add(enum claim_kind kind, uint32_t owner, const char *text)
{
	return add_with(kind, text, owner, aged(owner));
}

static inline uint32_t add_own(enum claim_kind kind, const char *text)
{
	struct cidr prefix = cidr(text);

	assert_true(claims.count < CLAIMS_MAX);
	claims_add(&claims, kind, CLAIM_SELF, &prefix, NULL);
	return claims.count - 1;
}

/* The cluster range is 10.0.0.0/8. */
static inline int begin_in_range(void **state)
{
	begin(state);
	add_own(CLAIM_RANGE, "10.0.0.0/8");
	return 0;
}

static inline int begin_ipv4(void **state)
{
	family = AF_INET;
	return begin_in_range(state);
}

static inline int begin_ipv6(void **state)
{
	family = AF_INET6;
	return begin_in_range(state);
}

static inline void assert_accepted(uint32_t index)
{
	if (!is_accepted(index))
		fail_msg("claim %u was refused because of %u", index, items[index].opponent);
}

static inline void assert_refused_because_of(uint32_t index, uint32_t opponent)
{
	assert_false(is_accepted(index));
	assert_int_equal(items[index].opponent, opponent);
}

static inline void assert_stands_except(uint32_t index, uint32_t opponent)
{
	assert_accepted(index);
	assert_int_equal(items[index].opponent, opponent);
}

/* Two claims of the same prefix by different nodes: one wins, in either order of adding. */
static inline void assert_beats(enum claim_kind kind, struct claim_evidence winner,
				enum claim_kind other, struct claim_evidence loser)
{
	for (unsigned int is_last = 0; is_last < 2; is_last++) {
		uint32_t wins = 0, loses;

		begin_in_range(NULL);
		if (!is_last)
			wins = add_with(kind, "10.1.2.7/32", winner.age, winner);
		loses = add_with(other, "10.1.2.7/32", loser.age, loser);
		if (is_last)
			wins = add_with(kind, "10.1.2.7/32", winner.age, winner);
		judge();
		assert_accepted(wins);
		assert_refused_because_of(loses, wins);
	}
}

static inline void add_route(const char *destination, const char *gateway)
{
	struct cidr prefix = cidr(destination);
	struct address hop;

	assert_true(claims.count + 2 <= CLAIMS_MAX);
	if (gateway)
		hop = address(gateway);
	claims_add_route(&claims, &prefix, gateway ? &hop : NULL);
}

/* A test for each family. */
#define CLAIM_TEST(name)                                         \
	DEFINE_TEST(name, {#name, name, begin_ipv4, NULL, NULL}, \
		    {#name "_in_ipv6", name, begin_ipv6, NULL, NULL})
