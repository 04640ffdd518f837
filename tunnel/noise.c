// SPDX-License-Identifier: Apache-2.0
/*
 * Noise_IKpsk2 as WireGuard uses it (paper, 5.4.1-5.4.5; Noise, revision 34). Steps are labelled
 * with the paper's tokens: e, s for the keys sent, es, ss, ee, se for the products, psk, and {} for
 * the data sealed under them.
 *
 * Every message is processed in a copy of the handshake, which is committed to the pair only after
 * the whole message proved good. Anyone who saw an index can forge a response; if it could disturb
 * the pair, one forged response would end the handshake under way.
 */
#include "noise.h"

#include "crypto.h"

#define TAI64_EPOCH 0x400000000000000aULL /* 1970-01-01 in TAI64: 2^62 and ten leap seconds */

/* All secrets of one message in progress, so that one wipe covers them. */
struct noise_work {
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	uint8_t key[KEY_LEN]; /* of the next {} */
	uint8_t shared[KEY_LEN];
	uint8_t preshared_hash[HASH_LEN];
	uint8_t ephemeral_private[KEY_LEN];
	uint8_t timestamp[TIMESTAMP_LEN];
};

static void mix_hash(struct noise_work *work, const void *bytes, size_t len)
{
	crypto_digest(work->hash, work->hash, HASH_LEN, bytes, len);
}

/* The pre-message: the construction, WireGuard's identifier, and the responder's static key, which
 * the initiator knows. */
static void begin(struct noise_work *work, const struct public_key *responder)
{
	memset(work, 0, sizeof(*work));
	crypto_digest(work->chaining_key, NOISE_CONSTRUCTION, strlen(NOISE_CONSTRUCTION), NULL, 0);
	crypto_digest(work->hash, work->chaining_key, HASH_LEN, NOISE_IDENTIFIER,
		      strlen(NOISE_IDENTIFIER));
	mix_hash(work, responder->bytes, KEY_LEN);
}

static void resume(struct noise_work *work, const uint8_t hash[static HASH_LEN],
		   const uint8_t chaining_key[static HASH_LEN])
{
	memset(work, 0, sizeof(*work));
	memcpy(work->hash, hash, HASH_LEN);
	memcpy(work->chaining_key, chaining_key, HASH_LEN);
}

/* e: the public ephemeral key in the message. With a preshared key it also enters the chaining
 * key. */
static void mix_ephemeral(struct noise_work *work, const uint8_t ephemeral[static KEY_LEN])
{
	mix_hash(work, ephemeral, KEY_LEN);
	crypto_kdf(work->chaining_key, NULL, NULL, work->chaining_key, ephemeral, KEY_LEN);
}

static void mix_shared(struct noise_work *work, const uint8_t shared[static KEY_LEN])
{
	crypto_kdf(work->chaining_key, work->key, NULL, work->chaining_key, shared, KEY_LEN);
}

/* es, ee, se: false if the other side sent a low-order point, whose product anyone knows. */
MUST_CHECK static bool mix_dh(struct noise_work *work, const uint8_t private_key[static KEY_LEN],
			      const uint8_t public_key[static KEY_LEN])
{
	if (!crypto_dh(work->shared, private_key, public_key))
		return false;
	mix_shared(work, work->shared);
	return true;
}

static void mix_preshared(struct noise_work *work, const struct preshared_key *preshared)
{
	crypto_kdf(work->chaining_key, work->preshared_hash, work->key, work->chaining_key,
		   preshared->bytes, KEY_LEN);
	mix_hash(work, work->preshared_hash, HASH_LEN);
}

/* Each key seals only one item, so the counter is always 0. */
static void seal_and_mix(struct noise_work *work, uint8_t *ret_sealed, const void *plain,
			 size_t len)
{
	crypto_seal(ret_sealed, plain, len, work->hash, HASH_LEN, 0, work->key);
	mix_hash(work, ret_sealed, len + TAG_LEN);
}

MUST_CHECK static bool open_and_mix(struct noise_work *work, void *ret_plain, const uint8_t *sealed,
				    size_t sealed_len)
{
	if (!crypto_open(ret_plain, sealed, sealed_len, work->hash, HASH_LEN, 0, work->key))
		return false;
	mix_hash(work, sealed, sealed_len);
	return true;
}

static void commit(struct noise_pair *pair, const struct noise_work *work,
		   enum handshake_state state)
{
	memcpy(pair->hash, work->hash, HASH_LEN);
	memcpy(pair->chaining_key, work->chaining_key, HASH_LEN);
	memcpy(pair->ephemeral_private, work->ephemeral_private, KEY_LEN);
	pair->state = state;
}

void noise_pair_init(struct noise_pair *pair, const struct identity *own,
		     const struct public_key *remote, const struct preshared_key *preshared)
{
	/* Built in a temporary: remote and preshared may point into *pair. */
	struct noise_pair fresh = {.remote = *remote};

	if (preshared)
		fresh.preshared = *preshared;
	fresh.is_usable = own && own->is_set &&
			  crypto_dh(fresh.static_static, own->private_key.bytes, remote->bytes);
	if (public_key_is_equal(&pair->remote, remote)) {
		fresh.alternate = pair->alternate;
		fresh.has_alternate = pair->has_alternate;
		memcpy(fresh.latest_timestamp, pair->latest_timestamp, TIMESTAMP_LEN);
		fresh.last_consumed_ns = pair->last_consumed_ns;
	}
	*pair = fresh;
	crypto_wipe(&fresh, sizeof(fresh));
}

void noise_pair_clear_handshake(struct noise_pair *pair)
{
	pair->state = HANDSHAKE_NONE;
	crypto_wipe(pair->ephemeral_private, KEY_LEN);
	crypto_wipe(pair->remote_ephemeral, KEY_LEN);
	crypto_wipe(pair->hash, HASH_LEN);
	crypto_wipe(pair->chaining_key, HASH_LEN);
}

void noise_set_aside_initiation(struct noise_initiation *ret_initiation,
				const struct noise_pair *pair)
{
	ret_initiation->is_set = pair->state == HANDSHAKE_INITIATION_SENT;
	if (!ret_initiation->is_set)
		return;
	memcpy(ret_initiation->ephemeral_private, pair->ephemeral_private, KEY_LEN);
	memcpy(ret_initiation->hash, pair->hash, HASH_LEN);
	memcpy(ret_initiation->chaining_key, pair->chaining_key, HASH_LEN);
	ret_initiation->local_index = pair->local_index;
}

void noise_take_back_initiation(struct noise_pair *pair, struct noise_initiation *initiation)
{
	if (initiation->is_set) {
		pair->state = HANDSHAKE_INITIATION_SENT;
		memcpy(pair->ephemeral_private, initiation->ephemeral_private, KEY_LEN);
		memcpy(pair->hash, initiation->hash, HASH_LEN);
		memcpy(pair->chaining_key, initiation->chaining_key, HASH_LEN);
		pair->local_index = initiation->local_index;
	}
	crypto_wipe(initiation, sizeof(*initiation));
}

bool noise_create_initiation(struct message_initiation *ret_message, struct noise_pair *pair,
			     const struct identity *own, uint32_t local_index,
			     const uint8_t ephemeral[static KEY_LEN],
			     const uint8_t timestamp[static TIMESTAMP_LEN])
{
	struct message_initiation message;
	struct noise_work work;
	bool is_created = false;

	if (!pair->is_usable)
		return false;
	begin(&work, &pair->remote);
	put_le32(message.type, MESSAGE_INITIATION);
	put_le32(message.sender_index, local_index);

	memcpy(work.ephemeral_private, ephemeral, KEY_LEN);
	crypto_make_pair(work.ephemeral_private, message.ephemeral);
	mix_ephemeral(&work, message.ephemeral);			/* e */
	if (!mix_dh(&work, work.ephemeral_private, pair->remote.bytes)) /* es */
		goto out;
	seal_and_mix(&work, message.sealed_static, own->public_key.bytes, KEY_LEN); /* s */
	mix_shared(&work, pair->static_static);					    /* ss */
	seal_and_mix(&work, message.sealed_timestamp, timestamp, TIMESTAMP_LEN);    /* {t} */

	commit(pair, &work, HANDSHAKE_INITIATION_SENT);
	pair->local_index = local_index;
	memcpy(ret_message, &message, offsetof(struct message_initiation, macs));
	is_created = true;
out:
	crypto_wipe(&work, sizeof(work));
	return is_created;
}

bool noise_open_initiation(struct noise_opening *ret_opening,
			   const struct message_initiation *message, const struct identity *own)
{
	struct public_key remote;
	struct noise_work work;
	bool is_authentic = false;

	if (!own->is_set)
		return false;
	begin(&work, &own->public_key);
	mix_ephemeral(&work, message->ephemeral);			/* e */
	if (!mix_dh(&work, own->private_key.bytes, message->ephemeral)) /* es */
		goto out;
	if (!open_and_mix(&work, remote.bytes, message->sealed_static, /* s */
			  sizeof(message->sealed_static)))
		goto out;

	ret_opening->remote = remote;
	memcpy(ret_opening->remote_ephemeral, message->ephemeral, KEY_LEN);
	memcpy(ret_opening->hash, work.hash, HASH_LEN);
	memcpy(ret_opening->chaining_key, work.chaining_key, HASH_LEN);
	is_authentic = true;
out:
	crypto_wipe(&work, sizeof(work));
	return is_authentic;
}

/* Only called for an authentic timestamp. Both checks need the other side's static key, so no
 * stranger can trigger them. */
static enum noise_verdict judge_timestamp(const struct noise_pair *pair,
					  const uint8_t timestamp[static TIMESTAMP_LEN],
					  uint64_t now_ns)
{
	/* TAI64N is big-endian, so memcmp() orders timestamps. Other implementations may fill the
	 * fields differently; we only compare them. */
	if (memcmp(timestamp, pair->latest_timestamp, TIMESTAMP_LEN) <= 0)
		return NOISE_REPLAY;
	if (pair->last_consumed_ns && now_ns < pair->last_consumed_ns + INITIATION_SPACING_NS)
		return NOISE_FLOOD;
	return NOISE_ACCEPTED;
}

enum noise_verdict noise_consume_initiation(struct noise_pair *pair,
					    const struct message_initiation *message,
					    const struct noise_opening *opening, uint64_t now_ns)
{
	enum noise_verdict verdict = NOISE_REFUSED;
	struct noise_work work;

	if (!pair->is_usable)
		return NOISE_REFUSED;
	resume(&work, opening->hash, opening->chaining_key);
	mix_shared(&work, pair->static_static);				    /* ss */
	if (!open_and_mix(&work, work.timestamp, message->sealed_timestamp, /* {t} */
			  sizeof(message->sealed_timestamp)))
		goto out;
	verdict = judge_timestamp(pair, work.timestamp, now_ns);
	if (verdict != NOISE_ACCEPTED)
		goto out;

	commit(pair, &work, HANDSHAKE_INITIATION_CONSUMED);
	memcpy(pair->remote_ephemeral, opening->remote_ephemeral, KEY_LEN);
	pair->remote_index = get_le32(message->sender_index);
	memcpy(pair->latest_timestamp, work.timestamp, TIMESTAMP_LEN);
	pair->last_consumed_ns = now_ns;
out:
	crypto_wipe(&work, sizeof(work));
	return verdict;
}

bool noise_create_response(struct message_response *ret_message, struct noise_pair *pair,
			   uint32_t local_index, const uint8_t ephemeral[static KEY_LEN])
{
	struct message_response message;
	struct noise_work work;
	bool is_created = false;

	if (pair->state != HANDSHAKE_INITIATION_CONSUMED)
		return false;
	resume(&work, pair->hash, pair->chaining_key);
	put_le32(message.type, MESSAGE_RESPONSE);
	put_le32(message.sender_index, local_index);
	put_le32(message.receiver_index, pair->remote_index);

	memcpy(work.ephemeral_private, ephemeral, KEY_LEN);
	crypto_make_pair(work.ephemeral_private, message.ephemeral);
	mix_ephemeral(&work, message.ephemeral);			    /* e */
	if (!mix_dh(&work, work.ephemeral_private, pair->remote_ephemeral)) /* ee */
		goto out;
	if (!mix_dh(&work, work.ephemeral_private, pair->remote.bytes)) /* se */
		goto out;
	mix_preshared(&work, &pair->preshared);		      /* psk */
	seal_and_mix(&work, message.sealed_nothing, NULL, 0); /* {} */

	crypto_wipe(work.ephemeral_private, KEY_LEN); /* nothing more is multiplied by it */
	commit(pair, &work, HANDSHAKE_RESPONSE_SENT);
	pair->local_index = local_index;
	memcpy(ret_message, &message, offsetof(struct message_response, macs));
	is_created = true;
out:
	crypto_wipe(&work, sizeof(work));
	return is_created;
}

/* The rest of the message, from the preshared key on. *work changes only if the key opens it. */
MUST_CHECK static bool finish_response(struct noise_work *work,
				       const struct preshared_key *preshared,
				       const struct message_response *message)
{
	struct noise_work tried = *work;
	bool is_authentic;

	mix_preshared(&tried, preshared);				   /* psk */
	is_authentic = open_and_mix(&tried, NULL, message->sealed_nothing, /* {} */
				    sizeof(message->sealed_nothing));
	if (is_authentic)
		*work = tried;
	crypto_wipe(&tried, sizeof(tried));
	return is_authentic;
}

bool noise_consume_response(struct noise_pair *pair, const struct message_response *message,
			    const struct identity *own)
{
	struct noise_work work;
	bool is_authentic = false;

	if (pair->state != HANDSHAKE_INITIATION_SENT ||
	    get_le32(message->receiver_index) != pair->local_index)
		return false;
	resume(&work, pair->hash, pair->chaining_key);
	mix_ephemeral(&work, message->ephemeral);			 /* e */
	if (!mix_dh(&work, pair->ephemeral_private, message->ephemeral)) /* ee */
		goto out;
	if (!mix_dh(&work, own->private_key.bytes, message->ephemeral)) /* se */
		goto out;
	if (!finish_response(&work, &pair->preshared, message) &&
	    !(pair->has_alternate && finish_response(&work, &pair->alternate, message)))
		goto out;

	commit(pair, &work, HANDSHAKE_RESPONSE_CONSUMED);
	memcpy(pair->remote_ephemeral, message->ephemeral, KEY_LEN);
	pair->remote_index = get_le32(message->sender_index);
	is_authentic = true;
out:
	crypto_wipe(&work, sizeof(work));
	return is_authentic;
}

bool noise_derive_session(struct session_keys *ret_keys, bool *ret_is_initiator,
			  struct noise_pair *pair)
{
	bool is_initiator = pair->state == HANDSHAKE_RESPONSE_CONSUMED;

	if (!is_initiator && pair->state != HANDSHAKE_RESPONSE_SENT)
		return false;
	/* First output: initiator to responder. Second: responder to initiator (paper, 5.4.5). */
	if (is_initiator)
		crypto_kdf(ret_keys->send, ret_keys->receive, NULL, pair->chaining_key, NULL, 0);
	else
		crypto_kdf(ret_keys->receive, ret_keys->send, NULL, pair->chaining_key, NULL, 0);
	*ret_is_initiator = is_initiator;
	noise_pair_clear_handshake(pair);
	return true;
}

void noise_timestamp(uint8_t ret_timestamp[static TIMESTAMP_LEN], uint64_t wall_ns)
{
	uint64_t nanoseconds = wall_ns % NS_PER_S;

	put_be64(ret_timestamp, TAI64_EPOCH + wall_ns / NS_PER_S);
	put_be32(ret_timestamp + 8, (uint32_t)(nanoseconds - nanoseconds % TIMESTAMP_WHITENING_NS));
}
