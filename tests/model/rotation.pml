/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rotation of long-term keys between podveil nodes: what keyd does in which order, what the tunnels then accept, and
 * what a registry and a network may do to them. Checked by spin (tests/model/run.sh), replayed against keyd/cluster/rotate.c.
 *
 * Nodes rotate whenever they like, all at once too. Handshake messages are sets that only grow: whatever was once sent
 * may arrive never, late, in any order and again and again. The registry serves any state it ever had, or is put back to
 * one. keyd holds nothing that matters but what stands in keyd's section below, so it may crash between any two steps.
 * Time is absent: with DEADLINES a node may stop waiting for proofs whenever it likes.
 *
 * Safety, after each step: the keys a node takes for its next handshake are ones its peer can open (else a session that
 * runs out is followed by none); no node was ever told a key that was not armed; nothing goes out in clear; no lower
 * epoch of a peer is taken. A node may only be cut off by a peer that named it as straggler, or that lost its keys.
 * Liveness: `calm` ends the faults; from then on every run ends (no accepting cycle), and ends with one epoch everywhere.
 *
 * Left out, and tested elsewhere: the three session slots of a peer, replay windows, timestamps, preshared keys.
 *
 * Few states, and no run less: what only adds a message (a handshake begun, an answer) disables nothing, so it is there as
 * soon as it may be, and "never" and "late" are when it is heard; a message that can change nothing any more is dropped,
 * so runs that differ in such messages alone are one. Of three nodes, the one with the lower number rotates first.
 *
 * OTHERS makes a pair stand for every pair of any number of nodes. All that is asserted of safety speaks of one pair, and a
 * third node touches it only by what it has not proved: each guard that asks all peers asks less here, and the one
 * that asks that a proof is missing is gone. Every run of more nodes, seen from one pair, is thus a run of this. After
 * `calm` no node promotes or clears, as others may hold it up, and each pair must still come to the newest epoch with all
 * proofs: so where nothing moves in many nodes, no node lacks a proof, and none is left in the middle.
 *
 * Size: NODES (2 or 3), KEYS (highest number a key may have, at most 3), ROTATING (nodes that rotate, from 0 on).
 * Faults: DEADLINES, LOSE_TUNNEL (one node loses all that its tunnel holds), SESSIONS (they run out, data is sent).
 * Wrong on purpose, each to be caught: PUBLISH_BEFORE_ARM, CLEAR_BEFORE_PROOF, PREFER_UNPROVED, FORGET_PEER_EPOCH,
 * TAKE_AS_SHOWN, SEND_CLEAR, SEND_CLEAR_TO_UNKNOWN, NO_REPUBLISH, REPUBLISH_OLD, NEVER_PROVE.
 */
#ifndef NODES
#define NODES 2
#endif
#ifndef KEYS
#define KEYS 2
#endif
#ifndef ROTATING
#define ROTATING NODES
#endif

#define EPOCHS (3 * KEYS + 2) /* three changes of keys for each rotation, one for keys lost, from 1 on */
#define PAIRS (NODES * NODES)
#define PAIR(n, p) ((n) * NODES + (p)) /* what n holds of p, and what it began with p */

/* A record, and what a tunnel knows of a peer: next, current, previous, two bits each; 0: none. */
#define RECORD(next, current, previous) (((next) << 4) | ((current) << 2) | (previous))
#define NEXT_OF(record) (((record) >> 4) & 3)
#define CURRENT_OF(record) (((record) >> 2) & 3)
#define PREVIOUS_OF(record) ((record) & 3)
#define HAS(record, key) ((key) != 0 && (NEXT_OF(record) == (key) || CURRENT_OF(record) == (key) || \
	PREVIOUS_OF(record) == (key)))
#define NEWEST_OF(record) (NEXT_OF(record) -> NEXT_OF(record) : CURRENT_OF(record))
#define SHARED(one, other) (HAS(one, NEXT_OF(other)) || HAS(one, CURRENT_OF(other)) || HAS(one, PREVIOUS_OF(other)))
#define MAXIMUM(a, b) ((a) > (b) -> (a) : (b))

/* -- the tunnel of each node: outlives keyd -- */
byte armed[NODES];	/* its own keys */
byte epoch[NODES];	/* beside them */
byte known[PAIRS];	/* the peer's keys */
byte known_epoch[PAIRS];
byte proved[PAIRS];	/* newest own key on which the peer's data came */
byte reached[PAIRS];	/* newest key of the peer with which a session was made and confirmed */
#ifdef SESSIONS
bit has_session[PAIRS];
#define HAVE_SESSION(n, p) has_session[PAIR(n, p)] = 1;
#define NO_SESSION(n, p) has_session[PAIR(n, p)] = 0;
#else
#define HAVE_SESSION(n, p)
#define NO_SESSION(n, p)
#endif

/* -- the wire: handshakes that n began with p, by (n's key, p's key) -- */
short initiations[PAIRS]; /* and p could not take it yet */
short answered[PAIRS];	/* p has taken it, and its response is on the way */
short made[PAIRS];	/* n has the session, and its data is on the way */
short confirmed[PAIRS]; /* p has seen that data, and its own is on the way */
#define BIT(a, b) (1 << (((a) - 1) * KEYS + (b) - 1))

/* -- the registry -- */
byte shown[NODES]; /* epoch of the record it shows */
byte newest[NODES]; /* greatest it ever showed */
byte records[NODES * (EPOCHS + 1)];
#define RECORD_AT(n, e) records[(n) * (EPOCHS + 1) + (e)]

/* -- keyd: gone with a crash -- */
byte holding[NODES]; /* a pair that is made and not in the tunnel: in the wrong order only */

/* -- what only the checker knows -- */
byte last_key[NODES]; /* greatest number given to a key */
byte last_armed[NODES];
byte taken[PAIRS];    /* greatest epoch of the peer that was taken */
bit cut_off[PAIRS];   /* n wiped the key by which p reaches it, named it straggler, and waits for its proof */
bit is_clear;
bit was_restored;
bit was_lost;
bit calm;
hidden byte draft, draft_epoch, own, theirs; /* within one step only */
hidden short useful;

/* The newest own key the peer has proved, the newest key of the peer that was reached: else what each calls current. */
#ifdef PREFER_UNPROVED
#define OWN_KEY(n, p) NEWEST_OF(armed[n])
#else
#define OWN_KEY(n, p) (HAS(armed[n], proved[PAIR(n, p)]) -> proved[PAIR(n, p)] : CURRENT_OF(armed[n]))
#endif
#define THEIR_KEY(n, p) (HAS(known[PAIR(n, p)], reached[PAIR(n, p)]) -> reached[PAIR(n, p)] : \
	CURRENT_OF(known[PAIR(n, p)]))

#define IS_CUT_OFF(n, p) (cut_off[PAIR(n, p)] || cut_off[PAIR(p, n)])
#define CAN_SPEAK(n, p) (armed[n] && known[PAIR(n, p)])
#if NODES == 3
#define FOR_NODES(step) step(0) step(1) step(2)
#define FOR_PAIRS(step) step(0, 1) step(0, 2) step(1, 0) step(1, 2) step(2, 0) step(2, 1)
#define ALL_PAIRS(is) (is(0, 1) && is(0, 2) && is(1, 0) && is(1, 2) && is(2, 0) && is(2, 1))
#define ALL_NODES(is) (is(0) && is(1) && is(2))
#define ALL_PEERS(n, is) (((n) == 0 || is(n, 0)) && ((n) == 1 || is(n, 1)) && ((n) == 2 || is(n, 2)))
#else
#define FOR_NODES(step) step(0) step(1)
#define FOR_PAIRS(step) step(0, 1) step(1, 0)
#define ALL_PAIRS(is) (is(0, 1) && is(1, 0))
#define ALL_NODES(is) (is(0) && is(1))
#define ALL_PEERS(n, is) is(n, 1 - (n))
#endif

#define CHECK(n, p) \
	own = OWN_KEY(n, p); \
	theirs = THEIR_KEY(n, p); \
	assert(NEWEST_OF(known[PAIR(n, p)]) <= last_armed[p]); /* nobody is told a key that cannot answer */ \
	assert(!CAN_SPEAK(n, p) || IS_CUT_OFF(n, p) || /* nobody sends under a key its peer cannot open */ \
		(HAS(armed[p], theirs) && HAS(known[PAIR(p, n)], own)));


/* -- what is sent without anybody's choice: by need with the key the peer is known to answer, to prove with its newest -- */

#define ROW(a) (((1 << KEYS) - 1) << (((a) - 1) * KEYS))
#define COLUMN_AT_0 (1 | (1 << KEYS) | (KEYS / 3 << (2 * KEYS)))
#define COLUMN(b) (COLUMN_AT_0 << ((b) - 1))
#define ROW_OR_NONE(a) ((a) -> ROW(a) : 0)
#define COLUMN_OR_NONE(b) ((b) -> COLUMN(b) : 0)
#define ROWS(record) (ROW_OR_NONE(NEXT_OF(record)) | ROW_OR_NONE(CURRENT_OF(record)) | ROW_OR_NONE(PREVIOUS_OF(record)))
#define COLUMNS(record) (COLUMN_OR_NONE(NEXT_OF(record)) | COLUMN_OR_NONE(CURRENT_OF(record)) | \
	COLUMN_OR_NONE(PREVIOUS_OF(record)))
#define ROWS_PAST(a) ((((1 << (KEYS * KEYS)) - 1) >> ((a) * KEYS)) << ((a) * KEYS))
#define COLUMNS_PAST(b) (((((1 << KEYS) - 1) >> (b)) << (b)) * COLUMN_AT_0)
#ifdef NEVER_PROVE
#define TRIED(n, p) COLUMN(THEIR_KEY(n, p))
#else
#define TRIED(n, p) (COLUMN(THEIR_KEY(n, p)) | COLUMN(NEWEST_OF(known[PAIR(n, p)])))
#endif

/* `useful`, from the last message of a handshake to its first: those that could still raise what one of the two knows. */
#define EXCHANGE(n, p) \
	confirmed[PAIR(n, p)] = confirmed[PAIR(n, p)] & ROWS_PAST(proved[PAIR(n, p)]); \
	useful = COLUMNS_PAST(proved[PAIR(p, n)]) | ROWS_PAST(reached[PAIR(p, n)]) | \
		(ROWS_PAST(proved[PAIR(n, p)]) & ~confirmed[PAIR(n, p)]); \
	made[PAIR(n, p)] = made[PAIR(n, p)] & useful; \
	useful = COLUMNS_PAST(reached[PAIR(n, p)]) | (useful & ~made[PAIR(n, p)]); \
	useful = useful & ROWS(armed[n]) & COLUMNS(known[PAIR(n, p)]); \
	answered[PAIR(n, p)] = answered[PAIR(n, p)] & useful; \
	useful = useful & ~answered[PAIR(n, p)] & COLUMNS(armed[p]); \
	if \
	:: CAN_SPEAK(n, p) -> initiations[PAIR(n, p)] = initiations[PAIR(n, p)] | (ROW(OWN_KEY(n, p)) & TRIED(n, p)) \
	:: else \
	fi; \
	initiations[PAIR(n, p)] = initiations[PAIR(n, p)] & useful; \
	useful = initiations[PAIR(n, p)] & ROWS(known[PAIR(p, n)]); \
	answered[PAIR(n, p)] = answered[PAIR(n, p)] | useful; \
	initiations[PAIR(n, p)] = initiations[PAIR(n, p)] & ~useful;

inline check()
{
	FOR_PAIRS(CHECK)
	assert(!is_clear); /* nothing goes out in clear */
	FOR_PAIRS(EXCHANGE)
	useful = 0
}

/* -- keyd: one step, one action on the tunnel or on the registry -- */

#define FRESH_EPOCH(n) (MAXIMUM(epoch[n], newest[n]) + 1) /* the clock is past every epoch that was made from it */

inline arm(n, next, current)
{
	armed[n] = RECORD(next, current, PREVIOUS_OF(armed[n]));
	epoch[n] = FRESH_EPOCH(n);
	last_armed[n] = MAXIMUM(next, current);
	printf("trace %d arm slot %d key %d epoch %d\n", n, (next -> 0 : 1), last_armed[n], epoch[n])
}

inline publish(n, e, record)
{
	RECORD_AT(n, e) = record;
	shown[n] = e;
	newest[n] = MAXIMUM(newest[n], e);
	printf("trace %d publish epoch %d record %d %d %d\n", n, e, NEXT_OF(record), CURRENT_OF(record),
		PREVIOUS_OF(record))
}

#define MAY_MAKE_KEY(n) (last_key[n] < KEYS && !holding[n])
#if NODES == 3
#define HAS_TURN(n) ((n) == 0 || last_key[(n) - ((n) > 0)] > 1)
#else
#define HAS_TURN(n) true
#endif
#define WANTS_ROTATION(n) (!calm && (n) < ROTATING && HAS_TURN(n) && armed[n] && !NEXT_OF(armed[n]) && shown[n] == epoch[n])

#ifdef PUBLISH_BEFORE_ARM
#define MAKE_KEY(n) \
	:: d_step { MAY_MAKE_KEY(n) && (WANTS_ROTATION(n) || !armed[n]) -> \
		last_key[n]++; \
		holding[n] = last_key[n]; \
		draft = (armed[n] -> RECORD(holding[n], CURRENT_OF(armed[n]), PREVIOUS_OF(armed[n])) : \
			RECORD(0, holding[n], 0)); \
		draft_epoch = FRESH_EPOCH(n); \
		publish(n, draft_epoch, draft) } \
	:: d_step { holding[n] -> \
		if \
		:: armed[n] -> armed[n] = RECORD(holding[n], CURRENT_OF(armed[n]), PREVIOUS_OF(armed[n])) \
		:: else -> armed[n] = RECORD(0, holding[n], 0) \
		fi; \
		printf("trace %d arm slot %d key %d epoch %d\n", n, (NEXT_OF(armed[n]) -> 0 : 1), holding[n], shown[n]); \
		last_armed[n] = holding[n]; \
		epoch[n] = shown[n]; \
		holding[n] = 0 }
#else
#define MAKE_KEY(n) \
	:: d_step { MAY_MAKE_KEY(n) && WANTS_ROTATION(n) -> \
		printf("trace %d request\n", n); \
		last_key[n]++; \
		arm(n, last_key[n], CURRENT_OF(armed[n])) } \
	:: d_step { MAY_MAKE_KEY(n) && !armed[n] -> \
		last_key[n]++; \
		arm(n, 0, last_key[n]) }
#endif

#ifdef NO_REPUBLISH
#define WANTS_PUBLISH(n) (newest[n] < epoch[n])
#else
#define WANTS_PUBLISH(n) (shown[n] != epoch[n])
#endif
#ifdef REPUBLISH_OLD
#define PUBLISH_OLD(n) :: d_step { armed[n] && shown[n] == epoch[n] && epoch[n] > 1 -> shown[n] = 1 }
#else
#define PUBLISH_OLD(n)
#endif
#define PUBLISH(n) \
	:: d_step { armed[n] && !holding[n] && WANTS_PUBLISH(n) -> \
		publish(n, epoch[n], armed[n]) } \
	PUBLISH_OLD(n)

/* A peer that proved none but what is wiped now has nothing left: it is named. */
#define NAME_STRAGGLER(n, p) if :: proved[PAIR(n, p)] < CURRENT_OF(armed[n]) -> cut_off[PAIR(n, p)] = 1 :: else fi;
#if NODES == 3
#define NAME_STRAGGLERS(n) NAME_STRAGGLER(n, ((n) + 1) % 3) NAME_STRAGGLER(n, ((n) + 2) % 3)
#else
#define NAME_STRAGGLERS(n) NAME_STRAGGLER(n, 1 - (n))
#endif

#define HAS_PROVED_NEXT(n, p) (proved[PAIR(n, p)] >= NEXT_OF(armed[n]))
#define HAS_PROVED_CURRENT(n, p) (proved[PAIR(n, p)] >= CURRENT_OF(armed[n]))
#ifdef DEADLINES
#define MAY_GIVE_UP !calm
#else
#define MAY_GIVE_UP false
#endif
#ifdef CLEAR_BEFORE_PROOF
#define MAY_CLEAR(n) true
#define MAY_PROMOTE(n) true
#else
#define MAY_CLEAR(n) ALL_PEERS(n, HAS_PROVED_CURRENT)
#define MAY_PROMOTE(n) (ALL_PEERS(n, HAS_PROVED_NEXT) || MAY_GIVE_UP)
#endif

#ifdef OTHERS
#define MAY_PROMOTE_FIRST(n) !calm
#define IS_UP_TO_OTHERS !calm
#else
#define MAY_PROMOTE_FIRST(n) !(PREVIOUS_OF(armed[n]) && MAY_CLEAR(n))
#define IS_UP_TO_OTHERS true
#endif

#define PROMOTE(n) \
	:: d_step { NEXT_OF(armed[n]) && shown[n] == epoch[n] && MAY_PROMOTE(n) && \
		MAY_PROMOTE_FIRST(n) -> \
		if :: PREVIOUS_OF(armed[n]) -> NAME_STRAGGLERS(n) :: else fi; \
		armed[n] = RECORD(0, NEXT_OF(armed[n]), CURRENT_OF(armed[n])); \
		epoch[n] = FRESH_EPOCH(n); \
		printf("trace %d promote epoch %d\n", n, epoch[n]) }
#define CLEAR_PREVIOUS(n) \
	:: d_step { PREVIOUS_OF(armed[n]) && shown[n] == epoch[n] && MAY_CLEAR(n) && IS_UP_TO_OTHERS -> \
		armed[n] = RECORD(NEXT_OF(armed[n]), CURRENT_OF(armed[n]), 0); \
		epoch[n] = FRESH_EPOCH(n); \
		printf("trace %d clear epoch %d\n", n, epoch[n]) }

/* -- keyd reads the peers' records -- */

inline take(n, p, e)
{
	if
	:: !SHARED(known[PAIR(n, p)], RECORD_AT(p, e)) -> /* it lost its keys, and what it knew of ours */
		NO_SESSION(n, p)
		proved[PAIR(n, p)] = 0
	:: else
	fi;
	known[PAIR(n, p)] = RECORD_AT(p, e);
	known_epoch[PAIR(n, p)] = e;
	if :: !HAS(known[PAIR(n, p)], reached[PAIR(n, p)]) -> reached[PAIR(n, p)] = 0 :: else fi;
	printf("trace %d take %d epoch %d\n", n, p, e);
	assert(e >= taken[PAIR(n, p)]); /* no lower epoch is taken */
	taken[PAIR(n, p)] = e
}

#define TAKE_AT(n, p, e) \
	:: d_step { armed[n] && !calm && e <= newest[p] && e > known_epoch[PAIR(n, p)] && RECORD_AT(p, e) -> take(n, p, e) }
#if KEYS == 3
#define TAKE_MORE(n, p) TAKE_AT(n, p, 9) TAKE_AT(n, p, 10) TAKE_AT(n, p, 11)
#else
#define TAKE_MORE(n, p)
#endif
#ifdef TAKE_AS_SHOWN
#define MAY_TAKE(n, p) shown[p] != known_epoch[PAIR(n, p)]
#else
#define MAY_TAKE(n, p) shown[p] > known_epoch[PAIR(n, p)]
#endif
#define TAKE(n, p) \
	:: d_step { armed[n] && shown[p] && MAY_TAKE(n, p) -> take(n, p, shown[p]) } \
	TAKE_AT(n, p, 1) TAKE_AT(n, p, 2) TAKE_AT(n, p, 3) TAKE_AT(n, p, 4) TAKE_AT(n, p, 5) TAKE_AT(n, p, 6) \
	TAKE_AT(n, p, 7) TAKE_AT(n, p, 8) TAKE_MORE(n, p)

/* -- the tunnels: handshakes -- */

inline prove(n, p, key)
{
	cut_off[PAIR(n, p)] = 0;
	printf("trace %d proof %d key %d\n", n, p, key)
}

#define FINISH(n, p, a, b) \
	:: d_step { (answered[PAIR(n, p)] & BIT(a, b)) -> \
		made[PAIR(n, p)] = made[PAIR(n, p)] | BIT(a, b); \
		reached[PAIR(n, p)] = MAXIMUM(reached[PAIR(n, p)], b); \
		HAVE_SESSION(n, p) }
#define HEAR_INITIATOR(n, p, a, b) \
	:: d_step { (made[PAIR(n, p)] & BIT(a, b)) && HAS(known[PAIR(p, n)], a) -> \
		confirmed[PAIR(n, p)] = confirmed[PAIR(n, p)] | BIT(a, b); \
		if :: b > proved[PAIR(p, n)] && HAS(armed[p], b) -> prove(p, n, b) :: else fi; \
		proved[PAIR(p, n)] = MAXIMUM(proved[PAIR(p, n)], b); \
		reached[PAIR(p, n)] = MAXIMUM(reached[PAIR(p, n)], a); \
		HAVE_SESSION(p, n) }
#define HEAR_RESPONDER(n, p, a, b) \
	:: d_step { (confirmed[PAIR(n, p)] & BIT(a, b)) -> \
		if :: HAS(armed[n], a) -> prove(n, p, a) :: else fi; \
		proved[PAIR(n, p)] = MAXIMUM(proved[PAIR(n, p)], a) }
#define HANDSHAKE(n, p, a, b) FINISH(n, p, a, b) HEAR_INITIATOR(n, p, a, b) HEAR_RESPONDER(n, p, a, b)
#if KEYS == 3
#define HANDSHAKES(n, p) HANDSHAKE(n, p, 1, 1) HANDSHAKE(n, p, 1, 2) HANDSHAKE(n, p, 1, 3) HANDSHAKE(n, p, 2, 1) \
	HANDSHAKE(n, p, 2, 2) HANDSHAKE(n, p, 2, 3) HANDSHAKE(n, p, 3, 1) HANDSHAKE(n, p, 3, 2) HANDSHAKE(n, p, 3, 3)
#else
#define HANDSHAKES(n, p) HANDSHAKE(n, p, 1, 1) HANDSHAKE(n, p, 1, 2) HANDSHAKE(n, p, 2, 1) HANDSHAKE(n, p, 2, 2)
#endif

/* -- faults -- */

#ifdef FORGET_PEER_EPOCH
#define FORGET(n, p) if :: (n) != (p) -> known_epoch[PAIR(n, p)] = 0 :: else fi;
#else
#define FORGET(n, p)
#endif
#define CRASH(n) \
	:: d_step { !calm && armed[n] -> \
		holding[n] = 0; \
		FORGET(n, 0) FORGET(n, 1) FORGET(n, NODES - 1) \
		printf("trace %d crash\n", n) }

#define RESTORE(n) \
	:: d_step { !calm && !was_restored && shown[n] > 1 && RECORD_AT(n, 1) -> \
		shown[n] = 1; \
		was_restored = 1; \
		printf("trace %d restore epoch 1\n", n) }

/* What was agreed with a peer is gone on both sides; the peer finds out when it takes the new record. */
inline unlearn(n, p)
{
	known[PAIR(n, p)] = 0;
	known_epoch[PAIR(n, p)] = 0;
	taken[PAIR(n, p)] = 0;
	proved[PAIR(n, p)] = 0;
	reached[PAIR(n, p)] = 0;
	NO_SESSION(n, p)
	initiations[PAIR(n, p)] = 0; answered[PAIR(n, p)] = 0; made[PAIR(n, p)] = 0; confirmed[PAIR(n, p)] = 0;
	initiations[PAIR(p, n)] = 0; answered[PAIR(p, n)] = 0; made[PAIR(p, n)] = 0; confirmed[PAIR(p, n)] = 0;
	cut_off[PAIR(n, p)] = 1;
	cut_off[PAIR(p, n)] = 1
}

#ifdef LOSE_TUNNEL
#define LOSE(n) \
	:: d_step { !calm && !was_lost && armed[n] && last_key[n] < KEYS -> \
		armed[n] = 0; \
		epoch[n] = 0; \
		was_lost = 1; \
		if :: (n) != 0 -> unlearn(n, 0) :: else fi; \
		if :: (n) != 1 -> unlearn(n, 1) :: else fi; \
		if :: NODES == 3 && (n) != 2 -> unlearn(n, (NODES - 1)) :: else fi; \
		printf("trace %d lose\n", n) }
#else
#define LOSE(n)
#endif

/* What has no session waits for one, or is dropped by name. */
#ifdef SESSIONS
#define EXPIRE(n, p) :: d_step { !calm && has_session[PAIR(n, p)] -> has_session[PAIR(n, p)] = 0 }
#else
#define EXPIRE(n, p)
#endif
#if defined(SEND_CLEAR)
#define SEND(n, p) :: d_step { !calm && !has_session[PAIR(n, p)] -> is_clear = 1 }
#elif defined(SEND_CLEAR_TO_UNKNOWN)
#define SEND(n, p) :: d_step { !calm && !CAN_SPEAK(n, p) -> is_clear = 1 }
#else
#define SEND(n, p)
#endif

/* -- all of it -- */

#define AGREES(n, p) (known_epoch[PAIR(n, p)] == epoch[p] && known[PAIR(n, p)] == armed[p] && \
	reached[PAIR(n, p)] == CURRENT_OF(armed[p]) && proved[PAIR(p, n)] == CURRENT_OF(armed[p]))
#define HAS_ONE_KEY(n) (armed[n] == RECORD(0, CURRENT_OF(armed[n]), 0) && shown[n] == epoch[n])
#define IS_READY(n, p) (known_epoch[PAIR(n, p)] == epoch[p] && known[PAIR(n, p)] == armed[p] && shown[p] == epoch[p] && \
	reached[PAIR(n, p)] == NEWEST_OF(armed[p]) && proved[PAIR(p, n)] == NEWEST_OF(armed[p]))

#define STEPS \
	FOR_NODES(MAKE_KEY) FOR_NODES(PUBLISH) FOR_NODES(PROMOTE) FOR_NODES(CLEAR_PREVIOUS) FOR_PAIRS(TAKE) \
	FOR_PAIRS(HANDSHAKES)
#define FAULTS FOR_NODES(CRASH) FOR_NODES(RESTORE) FOR_NODES(LOSE) FOR_PAIRS(EXPIRE) FOR_PAIRS(SEND)

#define BEGIN_NODE(n) \
	armed[n] = RECORD(0, 1, 0); epoch[n] = 1; last_key[n] = 1; last_armed[n] = 1; \
	RECORD_AT(n, 1) = armed[n]; shown[n] = 1; newest[n] = 1;
#define BEGIN_PAIR(n, p) \
	known[PAIR(n, p)] = RECORD(0, 1, 0); known_epoch[PAIR(n, p)] = 1; taken[PAIR(n, p)] = 1; \
	proved[PAIR(n, p)] = 1; reached[PAIR(n, p)] = 1; HAVE_SESSION(n, p)

#ifdef TRACED /* a random run is worth little if the faults end before a rotation began */
#define MAY_CALM last_key[0] == KEYS
#else
#define MAY_CALM true
#endif

init
{
	d_step { FOR_NODES(BEGIN_NODE) FOR_PAIRS(BEGIN_PAIR); check() };
	do
	:: atomic { if STEPS FAULTS fi; d_step { check() } }
	:: d_step { MAY_CALM -> calm = 1; printf("trace calm\n") }; break
	od;
accept_forever:
	do
	:: atomic { if STEPS fi; d_step { check() } }
	:: else -> break
	od;
#ifdef OTHERS
	assert(ALL_PAIRS(IS_READY));
#else
	assert(ALL_NODES(HAS_ONE_KEY));
	assert(ALL_PAIRS(AGREES));
#endif
	printf("trace agreed\n")
}
