// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/claim.c: the outcome of many random disputes is compared with that of a model that asks every pair of claims, by
 * the rules of claim.h.
 */
#include "claim_table.h"

#define OWNERS 5
#define ROUNDS 3000

struct wish {
	enum claim_kind kind;
	uint32_t owner;
	struct cidr prefix;
};

struct dispute {
	struct wish wishes
		[CLAIMS_MAX]; /* ours, then the owners' one after the other, the older first */
	uint32_t count;
	bool is_accepted[CLAIMS_MAX];
};

static uint32_t seed;

static uint32_t below(uint32_t bound)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % bound;
}

/* From few bits, so that much touches: hosts 10.0-3.0-3.0-3 and fd00:0-3:0-3::0-3, as they are or cut. */
static struct cidr random_prefix(bool is_host)
{
	static const uint8_t cuts[2][6] = {{7, 8, 16, 23, 24, 32}, {15, 16, 32, 47, 48, 128}};
	bool is_v6 = below(2);
	char text[CIDR_TEXT_LEN];
	struct cidr prefix;

	snprintf(text, sizeof(text), is_v6 ? "fd00:%u:%u::%u" : "10.%u.%u.%u", below(4), below(4),
		 below(4));
	prefix = cidr(text);
	if (!is_host)
		prefix.prefix_len = cuts[is_v6][below(6)];
	cidr_clear_host_bits(&prefix);
	return prefix;
}

static void wish(struct dispute *dispute, enum claim_kind kind, uint32_t owner, uint32_t most)
{
	bool is_host = kind == CLAIM_OWN_ADDRESS || kind == CLAIM_ADDRESS || kind == CLAIM_ENDPOINT;

	for (uint32_t n = below(most + 1); n > 0; n--)
		dispute->wishes[dispute->count++] =
			(struct wish){kind, owner, random_prefix(is_host)};
}

static void create_dispute(struct dispute *dispute)
{
	static const enum claim_kind theirs[] = {CLAIM_POD, CLAIM_ADDRESS, CLAIM_ENDPOINT};

	*dispute = (struct dispute){
		.wishes = {{CLAIM_RANGE, CLAIM_SELF, cidr("10.0.0.0/14")},
			   {CLAIM_RANGE, CLAIM_SELF, cidr("fd00::/30")}},
		.count = 2,
	};
	wish(dispute, CLAIM_OWN_POD, CLAIM_SELF, 2);
	wish(dispute, CLAIM_OWN_ADDRESS, CLAIM_SELF, 2);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		for (unsigned int i = 0; i < ARRAY_SIZE(theirs); i++)
			wish(dispute, theirs[i], owner, 4);
}

/* The three rules of claim.h, as they are written there. */
static bool stands_against(const struct wish *held, const struct wish *wanted)
{
	bool is_ours = held->kind == CLAIM_OWN_POD || held->kind == CLAIM_OWN_ADDRESS;
	bool is_anothers = held->owner != wanted->owner;

	if (!cidr_overlaps(&held->prefix, &wanted->prefix))
		return false;
	if (wanted->kind == CLAIM_POD)
		return is_ours || held->kind == CLAIM_ADDRESS ||
		       (held->kind == CLAIM_POD && is_anothers);
	if (wanted->kind == CLAIM_ADDRESS)
		return is_ours || (held->kind == CLAIM_ADDRESS && is_anothers);
	return is_ours || held->kind == CLAIM_POD;
}

static bool is_in_a_range(const struct dispute *dispute, const struct wish *wanted)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (dispute->wishes[i].kind == CLAIM_RANGE &&
		    cidr_contains(&dispute->wishes[i].prefix, &wanted->prefix))
			return true;
	return false;
}

static bool model_accepts(const struct dispute *dispute, const struct wish *wanted)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (dispute->is_accepted[i] && stands_against(&dispute->wishes[i], wanted))
			return false;
	return wanted->kind != CLAIM_POD || is_in_a_range(dispute, wanted);
}

/* Wishes of one owner and kind stand together, and none of them is in another's way. */
static void decide_by_model(struct dispute *dispute)
{
	static const enum claim_kind steps[] = {CLAIM_ADDRESS, CLAIM_POD, CLAIM_ENDPOINT};

	for (uint32_t i = 0; i < dispute->count; i++)
		dispute->is_accepted[i] = dispute->wishes[i].owner == CLAIM_SELF;
	for (unsigned int step = 0; step < ARRAY_SIZE(steps); step++)
		for (uint32_t i = 0; i < dispute->count; i++)
			if (dispute->wishes[i].kind == steps[step])
				dispute->is_accepted[i] =
					model_accepts(dispute, &dispute->wishes[i]);
}

/* The owners' wishes are added in the order of `owners`, decided in the order of their age. ret_number[i]: wish i's. */
static void decide_by_claims(const struct dispute *dispute,
			     const uint32_t owners[static OWNERS + 1],
			     uint32_t ret_number[static CLAIMS_MAX])
{
	static const enum claim_kind steps[] = {CLAIM_ADDRESS, CLAIM_POD, CLAIM_ENDPOINT};
	uint32_t first[OWNERS] = {0}, count[OWNERS] = {0};

	begin(NULL);
	for (unsigned int at = 0; at < OWNERS + 1; at++)
		for (uint32_t i = 0; i < dispute->count; i++) {
			const struct wish *of = &dispute->wishes[i];

			if (of->owner != owners[at])
				continue;
			ret_number[i] = claims.count;
			if (of->owner != CLAIM_SELF && !count[of->owner]++)
				first[of->owner] = claims.count;
			claims_add(&claims, of->kind, of->owner, &of->prefix);
		}
	claims_nest(&claims);
	for (unsigned int step = 0; step < ARRAY_SIZE(steps); step++)
		for (uint32_t owner = 0; owner < OWNERS; owner++)
			decide(steps[step], first[owner], count[owner]);
}

static void assert_same_verdicts(const struct dispute *dispute,
				 const uint32_t number[static CLAIMS_MAX])
{
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < dispute->count; i++)
		if (is_accepted(number[i]) != dispute->is_accepted[i])
			fail_msg("kind %d, owner %u, %s: %s", dispute->wishes[i].kind,
				 dispute->wishes[i].owner,
				 cidr_format(text, &dispute->wishes[i].prefix),
				 dispute->is_accepted[i] ? "refused" : "accepted");
}

static void shuffle(uint32_t *owners, uint32_t count)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t other = below(i), spare = owners[i - 1];

		owners[i - 1] = owners[other];
		owners[other] = spare;
	}
}

static void claim_verdicts_are_those_of_asking_every_pair_in_any_order_of_adding(void **state)
{
	uint32_t owners[OWNERS + 1] = {CLAIM_SELF, 0, 1, 2, 3, 4}, number[CLAIMS_MAX];
	struct dispute dispute;
	uint32_t accepted = 0, refused = 0;

	seed = 1;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		create_dispute(&dispute);
		decide_by_model(&dispute);
		shuffle(owners, ARRAY_SIZE(owners));
		decide_by_claims(&dispute, owners, number);
		assert_same_verdicts(&dispute, number);
		for (uint32_t i = 0; i < dispute.count; i++)
			*(dispute.is_accepted[i] ? &accepted : &refused) +=
				dispute.wishes[i].owner != CLAIM_SELF;
	}
	assert_true(accepted > ROUNDS && refused > ROUNDS); /* else it proved little */
}

static void assert_refusal_has_a_reason(const struct dispute *dispute, uint32_t wish_number,
					const struct claim *claim)
{
	const struct claim *opponent;

	if (claim->opponent == CLAIM_NONE) {
		assert_int_equal(claim->kind, CLAIM_POD);
		assert_false(is_in_a_range(dispute, &dispute->wishes[wish_number]));
		return;
	}
	opponent = &items[claim->opponent];
	assert_true(opponent->is_accepted);
	assert_true(prefix_key_contains(&opponent->key, &claim->key) ||
		    prefix_key_contains(&claim->key, &opponent->key));
}

static void claim_refused_names_an_accepted_one_that_it_touches_or_lies_outside(void **state)
{
	uint32_t owners[OWNERS + 1] = {CLAIM_SELF, 0, 1, 2, 3, 4}, number[CLAIMS_MAX];
	struct dispute dispute;

	seed = 2;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		create_dispute(&dispute);
		decide_by_claims(&dispute, owners, number);
		for (uint32_t i = 0; i < dispute.count; i++)
			if (!is_accepted(number[i]))
				assert_refusal_has_a_reason(&dispute, i, &items[number[i]]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			claim_verdicts_are_those_of_asking_every_pair_in_any_order_of_adding,
			begin),
		cmocka_unit_test_setup(
			claim_refused_names_an_accepted_one_that_it_touches_or_lies_outside, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
