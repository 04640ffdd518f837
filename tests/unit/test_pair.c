// SPDX-License-Identifier: Apache-2.0
/*
 * The pairs of statics: their pool, the products that are computed for them, and the parts that go
 * or stay when keys change. An own key or a peer's key that moves to another slot must not disturb
 * a pair.
 */
#include "world.h"

static const uint8_t mark[KEY_LEN] = "no product of any keys";

static struct tunnel_state *state_of_a(void)
{
	return tunnel_of_a()->state;
}

static struct pair *pair_at(uint32_t pair)
{
	return &state_of_a()->pairs[pair];
}

static struct noise_pair *noise_at(uint32_t pair)
{
	return &state_of_a()->secrets.pairs[pair];
}

static struct private_key set_own_key(enum key_slot slot)
{
	struct private_key key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	tunnel_set_private_key(tunnel_of_a(), slot, &key);
	return key;
}

static struct public_key make_public_key(void)
{
	struct private_key private_key;
	struct public_key key;

	world_fill_random(NULL, private_key.bytes, KEY_LEN);
	crypto_make_pair(private_key.bytes, key.bytes);
	return key;
}

/* B's record at A: these keys in these slots, NULL for none. */
static void set_keys_of_b(const struct public_key *next, const struct public_key *current,
			  const struct public_key *previous)
{
	const struct public_key *given[KEY_SLOTS] = {
		[KEY_NEXT] = next, [KEY_CURRENT] = current, [KEY_PREVIOUS] = previous};
	struct peer_keys keys = {0};

	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++) {
		keys.has_key[slot] = given[slot];
		if (given[slot])
			keys.keys[slot] = *given[slot];
	}
	assert_int_equal(tunnel_check_peer_keys(tunnel_of_a(), world->nodes[A].peer, &keys), 0);
	tunnel_change_peer_keys(tunnel_of_a(), world->nodes[A].peer, &keys, 300 * NS_PER_S);
}

/* Of every pair of the peer something that is its own alone. */
static void mark_all_pairs(void)
{
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
			uint32_t pair = peer_of(A)->pairs[own][remote];

			if (pair == NO_PAIR)
				continue;
			(void)pair_derive(tunnel_of_a(), pair);
			world_fill_random(NULL, &noise_at(pair)->preshared, KEY_LEN);
			world_fill_random(NULL, noise_at(pair)->latest_timestamp, TIMESTAMP_LEN);
			world_fill_random(NULL, noise_at(pair)->ephemeral_private, KEY_LEN);
			world_fill_random(NULL, pair_at(pair)->jar.cookie, COOKIE_LEN);
			pair_at(pair)->initiated_ns = world_random();
			pair_at(pair)->last_initiation_sent_ns = world_random();
		}
}

static void assert_shares(uint32_t pair, const struct private_key *own,
			  const struct public_key *remote)
{
	uint8_t shared[KEY_LEN];

	assert_true(crypto_dh(shared, own->bytes, remote->bytes));
	assert_true(pair_derive(tunnel_of_a(), pair)->is_usable);
	assert_memory_equal(noise_at(pair)->static_static, shared, KEY_LEN);
}

/* Nothing is known of it but whose it is. */
static void assert_has_no_past(uint32_t pair, enum key_slot own)
{
	static const struct cookie_jar empty;

	assert_true(pair_at(pair)->is_used);
	assert_int_equal(pair_at(pair)->peer_index, world->nodes[A].peer);
	assert_int_equal(pair_at(pair)->own, own);
	assert_int_equal(pair_at(pair)->remote, KEY_CURRENT);
	assert_false(pair_at(pair)->is_derived);
	assert_int_equal(pair_at(pair)->handshake_index, 0);
	assert_int_equal(pair_at(pair)->initiated_ns, 0);
	assert_int_equal(pair_at(pair)->last_initiation_sent_ns, 0);
	assert_memory_equal(&pair_at(pair)->jar, &empty, sizeof(empty));
}

struct snapshot {
	struct noise_pair noise;
	struct pair pair;
};

static struct snapshot take_snapshot(uint32_t pair)
{
	return (struct snapshot){*noise_at(pair), *pair_at(pair)};
}

static void assert_unchanged(uint32_t pair, const struct snapshot *before)
{
	const struct pair *now = pair_at(pair);

	assert_memory_equal(noise_at(pair), &before->noise, sizeof(before->noise));
	assert_memory_equal(&now->jar, &before->pair.jar, sizeof(now->jar));
	assert_int_equal(now->peer_index, before->pair.peer_index);
	assert_int_equal(now->own, before->pair.own);
	assert_int_equal(now->remote, before->pair.remote);
	assert_int_equal(now->is_derived, before->pair.is_derived);
	assert_int_equal(now->handshake_index, before->pair.handshake_index);
	assert_int_equal(now->initiated_ns, before->pair.initiated_ns);
	assert_int_equal(now->last_initiation_sent_ns, before->pair.last_initiation_sent_ns);
}

/* -- the pool -- */

SILENT_TEST(pair_that_is_added_knows_its_keys_and_has_no_past)
{
	uint32_t slot = world->nodes[A].peer, pair;
	struct noise_pair noise = {.remote = world->nodes[B].public_key};

	pair = pair_add(tunnel_of_a(), slot, KEY_CURRENT, KEY_CURRENT);
	world_fill_random(NULL, noise_at(pair)->latest_timestamp, TIMESTAMP_LEN);
	world_fill_random(NULL, &noise_at(pair)->preshared, KEY_LEN);
	pair_at(pair)->last_initiation_sent_ns = 1;
	pair_at(pair)->jar.cookie_birth_ns = 1;
	(void)pair_derive(tunnel_of_a(), pair);
	pair_remove(tunnel_of_a(), pair);
	assert_int_equal(pair_add(tunnel_of_a(), slot, KEY_PREVIOUS, KEY_CURRENT), pair);
	assert_has_no_past(pair, KEY_PREVIOUS);
	assert_memory_equal(noise_at(pair), &noise, sizeof(noise));
}

SILENT_TEST(pool_that_is_full_has_no_room_until_a_pair_goes)
{
	const struct peer_keys keys = {.has_key[KEY_CURRENT] = true,
				       .keys[KEY_CURRENT] = make_public_key()};
	uint32_t slot = world->nodes[A].peer, room = pair_room(state_of_a()), last = NO_PAIR;

	assert_int_equal(room, PAIRS_MAX - 1);
	for (; room; room--) {
		last = pair_add(tunnel_of_a(), slot, KEY_CURRENT, KEY_CURRENT);
		assert_int_equal(pair_room(state_of_a()), room - 1);
	}
	assert_in_range(last, 0, PAIRS_MAX - 1);
	assert_int_equal(tunnel_check_peer_keys(tunnel_of_a(), NO_PEER, &keys), -ENOSPC);
	assert_false(tunnel_has_room_for_identity(tunnel_of_a(), KEY_NEXT));
	pair_remove(tunnel_of_a(), 4711);
	assert_int_equal(pair_room(state_of_a()), 1);
	assert_int_equal(tunnel_check_peer_keys(tunnel_of_a(), NO_PEER, &keys), 0);
	assert_true(tunnel_has_room_for_identity(tunnel_of_a(), KEY_NEXT));
	assert_int_equal(pair_add(tunnel_of_a(), slot, KEY_CURRENT, KEY_CURRENT), 4711);
	assert_int_equal(pair_room(state_of_a()), 0);
}

SILENT_TEST(pool_never_gives_a_used_slot_and_grows_only_when_none_is_free)
{
	static bool is_taken[PAIRS_MAX];
	static uint32_t taken[1000];
	uint32_t count = 0, most = 0;

	memset(is_taken, 0, sizeof(is_taken));
	is_taken[pair_number(A)] = true;
	for (unsigned int step = 0; step < 20000; step++) {
		if (count < ARRAY_SIZE(taken) && (!count || world_random() % 2)) {
			uint32_t pair = pair_add(tunnel_of_a(), world->nodes[A].peer, KEY_CURRENT,
						 KEY_CURRENT);

			assert_false(is_taken[pair]);
			is_taken[pair] = true;
			taken[count++] = pair;
		} else {
			uint32_t place = (uint32_t)(world_random() % count);

			pair_remove(tunnel_of_a(), taken[place]);
			assert_false(pair_at(taken[place])->is_used);
			is_taken[taken[place]] = false;
			taken[place] = taken[--count];
		}
		most = MAX(most, count);
		assert_int_equal(pair_room(state_of_a()), PAIRS_MAX - 1 - count);
		assert_int_equal(state_of_a()->pairs_used_end, 1 + most);
	}
}

SILENT_TEST(pairs_are_found_by_our_slot_and_the_peers_key_where_both_keys_are_set)
{
	struct public_key next = make_public_key(), stranger = make_public_key();
	const struct public_key *current = &world->nodes[B].public_key;
	uint32_t pair;

	set_keys_of_b(&next, current, NULL);
	(void)set_own_key(KEY_NEXT);
	assert_int_equal(state_of_a()->pair_count, 4);
	pair = peer_find_pair(tunnel_of_a(), KEY_NEXT, current);
	assert_int_equal(pair, peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT]);
	assert_true(public_key_is_equal(&noise_at(pair)->remote, current));
	pair = peer_find_pair(tunnel_of_a(), KEY_CURRENT, &next);
	assert_int_equal(pair, peer_of(A)->pairs[KEY_CURRENT][KEY_NEXT]);
	assert_true(public_key_is_equal(&noise_at(pair)->remote, &next));
	assert_int_equal(peer_find_pair(tunnel_of_a(), KEY_PREVIOUS, &next), NO_PAIR);
	assert_int_equal(peer_find_pair(tunnel_of_a(), KEY_CURRENT, &stranger), NO_PAIR);
}

SILENT_TEST(pairs_of_a_peer_that_goes_are_freed_and_anothers_stay_untouched)
{
	struct public_key keys[2] = {make_public_key(), make_public_key()};
	struct snapshot snapshot;
	uint32_t other;

	(void)set_own_key(KEY_NEXT);
	(void)set_own_key(KEY_PREVIOUS);
	mark_all_pairs();
	snapshot = take_snapshot(pair_number(A));
	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &keys[0], &other), 0);
	assert_int_equal(state_of_a()->pair_count, 6);
	tunnel_remove_peer(tunnel_of_a(), other);
	assert_int_equal(state_of_a()->pair_count, 3);
	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &keys[1], &other), 0);
	assert_int_equal(state_of_a()->pairs_used_end, 6);
	assert_unchanged(pair_number(A), &snapshot);
}

/* -- what the statics share -- */

SILENT_TEST(product_of_the_statics_is_computed_at_the_first_use)
{
	uint32_t pair = pair_number(A);

	assert_false(pair_at(pair)->is_derived);
	assert_false(noise_at(pair)->is_usable);
	assert_true(sodium_is_zero(noise_at(pair)->static_static, KEY_LEN));
	assert_ptr_equal(pair_derive(tunnel_of_a(), pair), noise_at(pair));
	assert_true(pair_at(pair)->is_derived);
	assert_shares(pair, &world->nodes[A].private_key, &world->nodes[B].public_key);
}

SILENT_TEST(product_of_the_statics_is_computed_once)
{
	uint32_t pair = pair_number(A);

	(void)pair_derive(tunnel_of_a(), pair);
	memcpy(noise_at(pair)->static_static, mark, KEY_LEN);
	(void)pair_derive(tunnel_of_a(), pair);
	assert_memory_equal(noise_at(pair)->static_static, mark, KEY_LEN);
	ping(A, 1); /* the handshake takes what is there */
	assert_memory_equal(noise_at(pair)->static_static, mark, KEY_LEN);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), 1);
}

SILENT_TEST(new_own_key_costs_no_product_until_a_handshake_needs_it)
{
	struct private_key next = set_own_key(KEY_NEXT), current;
	uint32_t pair = peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT];

	(void)pair_derive(tunnel_of_a(), pair_number(A));
	current = set_own_key(KEY_CURRENT);
	assert_false(pair_at(pair)->is_derived);
	assert_false(handshake_of(A)->is_derived);
	assert_shares(pair, &next, &world->nodes[B].public_key);
	assert_shares(pair_number(A), &current, &world->nodes[B].public_key);
}

SILENT_TEST(pair_is_derived_with_our_key_in_its_own_slot)
{
	const enum key_slot slots[] = {KEY_NEXT, KEY_PREVIOUS};

	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++) {
		struct private_key key = set_own_key(slots[i]);

		assert_shares(peer_of(A)->pairs[slots[i]][KEY_CURRENT], &key,
			      &world->nodes[B].public_key);
	}
}

SILENT_TEST(pair_with_a_key_of_low_order_is_unusable_for_good)
{
	struct preshared_key preshared;

	world_fill_random(NULL, &preshared, KEY_LEN);
	for (uint8_t first = 0; first <= 1; first++) {
		struct public_key key = {.bytes = {first}};
		uint32_t slot, pair;

		assert_int_equal(tunnel_add_peer(tunnel_of_a(), &key, &slot), 0);
		tunnel_set_preshared(tunnel_of_a(), slot, KEY_CURRENT, KEY_CURRENT, &preshared);
		pair = peer_find_pair(tunnel_of_a(), KEY_CURRENT, &key);
		assert_false(pair_derive(tunnel_of_a(), pair)->is_usable);
		assert_true(pair_at(pair)->is_derived); /* not tried for each packet */
		assert_false(pair_derive(tunnel_of_a(), pair)->is_usable);
		assert_memory_equal(&noise_at(pair)->preshared, &preshared, KEY_LEN);
		(void)set_own_key(KEY_CURRENT);
		assert_false(pair_derive(tunnel_of_a(), pair)->is_usable);
	}
}

SILENT_TEST(pair_without_an_own_key_is_unusable_until_one_is_set)
{
	struct private_key key;

	tunnel_set_private_key(tunnel_of_a(), KEY_CURRENT, NULL);
	assert_false(pair_derive(tunnel_of_a(), pair_number(A))->is_usable);
	key = set_own_key(KEY_CURRENT);
	assert_shares(pair_number(A), &key, &world->nodes[B].public_key);
}

/* -- what goes, and what stays -- */

SILENT_TEST(pair_that_goes_takes_every_secret_along)
{
	struct noise_pair noise;
	struct pair pair;

	tunnel_set_preshared(tunnel_of_a(), world->nodes[A].peer, KEY_CURRENT, KEY_CURRENT,
			     &(struct preshared_key){.bytes = "a preshared key of 31 letters.."});
	send_inner(A, 4, 100, 1);
	tunnel_flush(tunnel_of_a());
	world_fill_random(NULL, handshake_of(A)->jar.cookie, COOKIE_LEN);
	world_fill_random(NULL, pair_of(A)->remote_ephemeral, KEY_LEN);
	noise = *pair_of(A);
	pair = *handshake_of(A);
	assert_int_equal(noise.state, HANDSHAKE_INITIATION_SENT);
	assert_true(state_holds(A, noise.static_static, KEY_LEN));
	assert_true(state_holds(A, noise.ephemeral_private, KEY_LEN));

	pair_remove(tunnel_of_a(), pair_number(A));
	assert_false(state_holds(A, &noise.preshared, KEY_LEN));
	assert_false(state_holds(A, noise.static_static, KEY_LEN));
	assert_false(state_holds(A, noise.ephemeral_private, KEY_LEN));
	assert_false(state_holds(A, noise.remote_ephemeral, KEY_LEN));
	assert_false(state_holds(A, noise.chaining_key, HASH_LEN));
	assert_false(state_holds(A, noise.hash, HASH_LEN));
	assert_false(state_holds(A, pair.jar.cookie, COOKIE_LEN));
	assert_true(sodium_is_zero((const uint8_t *)pair_of(A), sizeof(noise)));
	assert_null(index_find(state_of_a(), pair.handshake_index));
}

TALKING_TEST(sessions_go_on_without_the_pair_that_they_were_made_with)
{
	uint32_t session = peer_of(A)->current, pair = pair_number(A);

	assert_int_equal(state_of_a()->sessions[session].pair_index, pair);
	pair_remove(tunnel_of_a(), pair);
	assert_int_equal(state_of_a()->sessions[session].pair_index, NO_PAIR);
	ping(A, 1);
	ping(B, 2);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(came(A, 2), 1);
	assert_int_equal(peer_of(A)->current, session);
}

TALKING_TEST(sessions_that_were_made_with_another_pair_keep_it)
{
	uint32_t session = peer_of(A)->current, pair = pair_number(A);

	(void)set_own_key(KEY_NEXT);
	pair_renew(tunnel_of_a(), peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT]);
	pair_remove(tunnel_of_a(), peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT]);
	assert_int_equal(state_of_a()->sessions[session].pair_index, pair);
}

TALKING_TEST(renewed_pair_keeps_only_preshared_key_and_greatest_timestamp)
{
	uint32_t pair = pair_number(A), index, session = peer_of(A)->current;
	struct noise_pair before;

	world_sleep(130 * NS_PER_S);
	mark_all_pairs();
	send_inner(A, 4, 100, 1); /* the session is old: a handshake begins */
	tunnel_flush(tunnel_of_a());
	before = *noise_at(pair);
	index = pair_at(pair)->handshake_index;
	assert_int_equal(before.state, HANDSHAKE_INITIATION_SENT);
	assert_non_null(index_find(state_of_a(), index));

	pair_renew(tunnel_of_a(), pair);
	assert_true(public_key_is_equal(&noise_at(pair)->remote, &before.remote));
	assert_memory_equal(&noise_at(pair)->preshared, &before.preshared, KEY_LEN);
	assert_memory_equal(noise_at(pair)->latest_timestamp, before.latest_timestamp,
			    TIMESTAMP_LEN);
	assert_int_equal(noise_at(pair)->state, HANDSHAKE_NONE);
	assert_false(noise_at(pair)->is_usable);
	assert_false(state_holds(A, before.static_static, KEY_LEN));
	assert_false(state_holds(A, before.ephemeral_private, KEY_LEN));
	assert_false(state_holds(A, before.chaining_key, HASH_LEN));
	assert_null(index_find(state_of_a(), index));
	assert_int_equal(state_of_a()->sessions[session].pair_index, NO_PAIR);
	assert_has_no_past(pair, KEY_CURRENT);
}

TALKING_TEST(greatest_timestamp_outlives_a_new_own_key_and_its_first_use)
{
	uint32_t pair = pair_number(B); /* B has accepted an initiation of A's */
	struct tunnel *tunnel = &world->nodes[B].tunnel;
	uint8_t timestamp[TIMESTAMP_LEN];
	struct private_key key;

	memcpy(timestamp, pair_of(B)->latest_timestamp, TIMESTAMP_LEN);
	assert_false(sodium_is_zero(timestamp, TIMESTAMP_LEN));
	world_fill_random(NULL, key.bytes, KEY_LEN);
	tunnel_set_private_key(tunnel, KEY_CURRENT, &key);
	assert_memory_equal(pair_of(B)->latest_timestamp, timestamp, TIMESTAMP_LEN);
	assert_true(pair_derive(tunnel, pair)->is_usable);
	assert_memory_equal(pair_of(B)->latest_timestamp, timestamp, TIMESTAMP_LEN);
}

SILENT_TEST(preshared_key_belongs_to_one_pair_alone)
{
	struct preshared_key keys[KEY_SLOTS][KEY_SLOTS];
	struct public_key next = make_public_key();
	struct noise_pair *noise = state_of_a()->secrets.pairs;
	struct peer *peer = peer_of(A);

	set_keys_of_b(&next, &world->nodes[B].public_key, NULL);
	(void)set_own_key(KEY_NEXT);
	world_fill_random(NULL, keys, sizeof(keys));
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
			tunnel_set_preshared(tunnel_of_a(), world->nodes[A].peer, own, remote,
					     &keys[own][remote]);
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
			bool has_pair = own != KEY_PREVIOUS && remote != KEY_PREVIOUS;

			assert_int_equal(peer->pairs[own][remote] != NO_PAIR, has_pair);
			assert_int_equal(state_holds(A, &keys[own][remote], KEY_LEN), has_pair);
			if (has_pair)
				assert_memory_equal(&noise[peer->pairs[own][remote]].preshared,
						    &keys[own][remote], KEY_LEN);
		}
}

/* -- keys that move -- */

SILENT_TEST(pairs_follow_our_keys_from_slot_to_slot_untouched)
{
	uint32_t next, current = pair_number(A);
	struct snapshot snapshots[2];

	(void)set_own_key(KEY_NEXT);
	next = peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT];
	mark_all_pairs();
	snapshots[0] = take_snapshot(next);
	snapshots[1] = take_snapshot(current);

	assert_int_equal(tunnel_promote_identity(tunnel_of_a()), 0);
	assert_int_equal(peer_of(A)->pairs[KEY_NEXT][KEY_CURRENT], NO_PAIR);
	assert_int_equal(peer_of(A)->pairs[KEY_CURRENT][KEY_CURRENT], next);
	assert_int_equal(peer_of(A)->pairs[KEY_PREVIOUS][KEY_CURRENT], current);
	snapshots[0].pair.own = KEY_CURRENT;
	snapshots[1].pair.own = KEY_PREVIOUS;
	assert_unchanged(next, &snapshots[0]);
	assert_unchanged(current, &snapshots[1]);
}

SILENT_TEST(pairs_follow_a_peers_keys_from_slot_to_slot_untouched)
{
	const struct public_key *old = &world->nodes[B].public_key;
	struct public_key fresh = make_public_key();
	uint32_t next, current = pair_number(A);
	struct snapshot snapshots[2];

	set_keys_of_b(&fresh, old, NULL);
	next = peer_find_pair(tunnel_of_a(), KEY_CURRENT, &fresh);
	mark_all_pairs();
	snapshots[0] = take_snapshot(next);
	snapshots[1] = take_snapshot(current);

	set_keys_of_b(NULL, &fresh, old);
	assert_int_equal(pair_number(A), next);
	assert_int_equal(peer_find_pair(tunnel_of_a(), KEY_CURRENT, &fresh), next);
	assert_int_equal(peer_find_pair(tunnel_of_a(), KEY_CURRENT, old), current);
	snapshots[0].pair.remote = KEY_CURRENT;
	snapshots[1].pair.remote = KEY_PREVIOUS;
	assert_unchanged(next, &snapshots[0]);
	assert_unchanged(current, &snapshots[1]);
}

SILENT_TEST(handshake_under_way_is_finished_after_its_keys_have_moved)
{
	uint32_t pair = pair_number(A);

	(void)set_own_key(KEY_NEXT);
	send_inner(A, 4, 100, 1);
	tunnel_flush(tunnel_of_a());
	assert_int_equal(tunnel_promote_identity(tunnel_of_a()), 0);
	world_settle();
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(current_of(A)->pair_index, pair);
	assert_int_equal(pair_at(pair)->own, KEY_PREVIOUS);
}

/* -- the handshake under way -- */

SILENT_TEST(new_handshake_index_frees_the_one_before)
{
	uint32_t pair = pair_number(A), first, second;

	first = index_add(tunnel_of_a(), INDEX_HANDSHAKE, pair);
	pair_set_handshake_index(tunnel_of_a(), pair, first);
	assert_int_equal(index_find(state_of_a(), first)->owner, pair);
	second = index_add(tunnel_of_a(), INDEX_HANDSHAKE, pair);
	pair_set_handshake_index(tunnel_of_a(), pair, second);
	assert_null(index_find(state_of_a(), first));
	assert_non_null(index_find(state_of_a(), second));
	assert_int_equal(pair_at(pair)->handshake_index, second);
	pair_set_handshake_index(tunnel_of_a(), pair, 0);
	assert_null(index_find(state_of_a(), second));
	assert_int_equal(pair_at(pair)->handshake_index, 0);
}

SILENT_TEST(forgotten_handshake_is_wiped_and_the_pair_stays_ready)
{
	uint32_t pair = pair_number(A), index;
	struct noise_pair before;
	struct cookie_jar jar;

	mark_all_pairs();
	send_inner(A, 4, 100, 1);
	tunnel_flush(tunnel_of_a());
	before = *noise_at(pair);
	jar = pair_at(pair)->jar;
	index = pair_at(pair)->handshake_index;

	pair_forget_handshake(tunnel_of_a(), pair);
	assert_null(index_find(state_of_a(), index));
	assert_int_equal(noise_at(pair)->state, HANDSHAKE_NONE);
	assert_false(state_holds(A, before.ephemeral_private, KEY_LEN));
	assert_false(state_holds(A, before.chaining_key, HASH_LEN));
	assert_false(state_holds(A, before.hash, HASH_LEN));
	assert_memory_equal(noise_at(pair)->static_static, before.static_static, KEY_LEN);
	assert_memory_equal(&noise_at(pair)->preshared, &before.preshared, KEY_LEN);
	assert_memory_equal(noise_at(pair)->latest_timestamp, before.latest_timestamp,
			    TIMESTAMP_LEN);
	assert_true(noise_at(pair)->is_usable && pair_at(pair)->is_derived);
	assert_memory_equal(&pair_at(pair)->jar, &jar, sizeof(jar));
	assert_int_not_equal(pair_at(pair)->last_initiation_sent_ns, 0);
}
