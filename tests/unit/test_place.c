// SPDX-License-Identifier: Apache-2.0
/*
 * tunnel/place.c: the memory of a peer's addresses, and the choice of the one to forget if they are
 * too many.
 */
#include "place.h"
#include "values.h"

static struct peer_place places[PEER_PLACES_MAX];

static int begin(void **state)
{
	memset(places, 0, sizeof(places));
	return 0;
}

/* 192.0.2.number */
static struct address numbered(unsigned int number)
{
	char text[ADDRESS_TEXT_LEN];

	snprintf(text, sizeof(text), "192.0.2.%u", number);
	return address(text);
}

static void ask(const struct address *at, uint64_t now_ns)
{
	place_note_asked(places, at, now_ns);
}

static void answer(const struct address *at, uint64_t now_ns)
{
	place_note_answered(places, at, now_ns);
}

/* NULL: nothing is remembered of it. */
static const struct peer_place *find(const struct address *at)
{
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++)
		if (places[i].address.family && address_is_equal(&places[i].address, at))
			return &places[i];
	return NULL;
}

static void assert_place(const struct address *at, struct peer_place expected)
{
	const struct peer_place *place = find(at);

	assert_non_null(place);
	assert_int_equal(place->proved_ns, expected.proved_ns);
	assert_int_equal(place->answered_ns, expected.answered_ns);
	assert_int_equal(place->asked_ns, expected.asked_ns);
	assert_int_equal(place->asked_count, expected.asked_count);
}

TEST(question_is_counted_from_the_first_without_an_answer, begin)
{
	struct address at = numbered(1);

	ask(&at, 10);
	ask(&at, 20);
	ask(&at, 30);
	assert_place(&at, (struct peer_place){.asked_ns = 10, .asked_count = 3});
}

TEST(answer_proves_the_address_and_ends_the_questions, begin)
{
	struct address at = numbered(1);

	ask(&at, 10);
	answer(&at, 20);
	assert_place(&at, (struct peer_place){.proved_ns = 20, .answered_ns = 20});
	ask(&at, 30);
	assert_place(&at,
		     (struct peer_place){
			     .proved_ns = 20, .answered_ns = 20, .asked_ns = 30, .asked_count = 1});
}

TEST(answer_again_leaves_the_first_proof, begin)
{
	struct address at = numbered(1);

	answer(&at, 20);
	answer(&at, 40);
	assert_place(&at, (struct peer_place){.proved_ns = 20, .answered_ns = 40});
}

TEST(addresses_of_both_families_are_distinguished, begin)
{
	struct address v4 = address("192.0.2.1"), v6 = address("fd00::1"),
		       other = address("192.0.2.2");

	answer(&v4, 10);
	ask(&v6, 20);
	assert_place(&v4, (struct peer_place){.proved_ns = 10, .answered_ns = 10});
	assert_place(&v6, (struct peer_place){.asked_ns = 20, .asked_count = 1});
	assert_null(find(&other));
}

TEST(address_that_is_forgotten_was_never_asked_or_reached, begin)
{
	struct address kept = numbered(1), forgotten = numbered(2), unknown = numbered(3);

	answer(&kept, 10);
	answer(&forgotten, 10);
	place_forget(places, &forgotten);
	place_forget(places, &unknown);
	assert_null(find(&forgotten));
	assert_place(&kept, (struct peer_place){.proved_ns = 10, .answered_ns = 10});
	ask(&forgotten, 30);
	assert_place(&forgotten, (struct peer_place){.asked_ns = 30, .asked_count = 1});
}

static void fill_with_proofs(void)
{
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++) {
		struct address at = numbered(i);

		answer(&at, 100 + i);
	}
}

TEST(free_place_is_taken_before_any_other, begin)
{
	struct address freed = numbered(PEER_PLACES_MAX - 1), added = numbered(100);

	fill_with_proofs();
	place_forget(places, &freed);
	ask(&added, 200);
	for (unsigned int i = 0; i < PEER_PLACES_MAX - 1; i++) {
		struct address at = numbered(i);

		assert_non_null(find(&at));
	}
	assert_non_null(find(&added));
}

TEST(place_that_answered_longest_ago_gives_way, begin)
{
	struct address oldest = numbered(1), first = numbered(0), added = numbered(100);

	fill_with_proofs();
	answer(&first, 1000);
	answer(&added, 2000);
	assert_null(find(&oldest));
	assert_non_null(find(&first));
	assert_non_null(find(&added));
}

TEST(place_without_a_proof_gives_way_before_one_with_a_proof, begin)
{
	struct address unproved = numbered(3), added = numbered(100);

	fill_with_proofs();
	place_forget(places, &unproved);
	ask(&unproved, 5000);
	ask(&added, 6000);
	assert_null(find(&unproved));
	assert_place(&added, (struct peer_place){.asked_ns = 6000, .asked_count = 1});
}

TEST(questions_never_push_more_than_one_proof_out, begin)
{
	unsigned int proofs = 0;

	fill_with_proofs();
	for (unsigned int i = 0; i < 50; i++) {
		struct address at = numbered(100 + i);

		ask(&at, 1000 + i);
	}
	for (unsigned int i = 0; i < PEER_PLACES_MAX; i++)
		proofs += places[i].proved_ns != 0;
	assert_int_equal(proofs, PEER_PLACES_MAX - 1);
}

/* keyd asks at fewer addresses than there are places, since handshakes go to the endpoint besides.
 * Each must come to be left in the end. */
TEST(questions_at_all_places_but_the_endpoints_are_all_counted, begin)
{
	struct address endpoint = numbered(100);

	for (unsigned int turn = 0; turn < 3; turn++) {
		ask(&endpoint, 1 + turn);
		for (unsigned int i = 0; i < PEER_PLACES_MAX - 1; i++) {
			struct address at = numbered(i);

			ask(&at, 1 + turn);
		}
	}
	for (unsigned int i = 0; i < PEER_PLACES_MAX - 1; i++) {
		struct address at = numbered(i);

		assert_place(&at, (struct peer_place){.asked_ns = 1, .asked_count = 3});
	}
}
