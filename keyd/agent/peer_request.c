// SPDX-License-Identifier: Apache-2.0
/*
 * The request is built from the newest facts each time, and sent only if it differs from the last
 * one that the tunnel accepted. Only the digest of that one is kept, because a request holds
 * preshared keys.
 */
#include "peer_request.h"

#include <assert.h>

static void digest_request(uint8_t ret_digest[static crypto_generichash_BYTES],
			   const struct tunnel_peer *peer)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)&peer->fixed, sizeof(peer->fixed));
	crypto_generichash_update(&state, (const uint8_t *)peer->endpoints,
				  peer->fixed.endpoint_count * sizeof(*peer->endpoints));
	crypto_generichash_update(&state, (const uint8_t *)peer->cidrs,
				  peer->fixed.cidr_count * sizeof(*peer->cidrs));
	crypto_generichash_final(&state, ret_digest, crypto_generichash_BYTES);
	sodium_memzero(&state, sizeof(state)); /* it saw preshared keys */
}

static int send_peer(struct connection *connection, struct member *member,
		     const struct tunnel_peer *peer)
{
	uint8_t digest[crypto_generichash_BYTES];
	int error;

	digest_request(digest, peer);
	if (member->is_sent && member->status.id && !memcmp(digest, member->sent, sizeof(digest)))
		return 0;
	error = tunnel_client_set_peer(&connection->client, peer);
	member->is_sent = !error;
	memcpy(member->sent, digest, sizeof(digest));
	if (!error) {
		memcpy(member->sent_keys, peer->fixed.keys, sizeof(member->sent_keys));
		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			member->was_sent[slot] = peer->fixed.has_key[slot];
	}
	if (!error && (!member->status.id ||
		       !public_key_is_equal(&member->status.key, &peer->fixed.keys[KEY_CURRENT])))
		connection->changes++;
	return error;
}

/* Both nodes derive the same keys from the secret that they have in common. The peer may have
 * switched to our other secret, or not yet, by a record that we have not seen: the alternate
 * keys are for that. One of our slots that seems empty gets a key too, in case the tunnel has a
 * key in it after all: an all-zero preshared key would mean none. */
static void add_preshared(const struct peer_request_facts *facts,
			  const struct cluster_member *member, struct control_peer *request)
{
	const struct secrets *secrets = facts->secrets;
	const struct cluster_self *self = facts->self;

	if (!secrets)
		return;
	assert(member->secret < secrets->count); /* never without a preshared key by mistake */
	request->has_alternate = secrets->count == SECRETS_MAX;
	for (unsigned int own = 0; own < KEY_SLOTS; own++)
		for (unsigned int remote = 0; remote < KEY_SLOTS; remote++) {
			const struct public_key *key = &request->keys[remote];

			if (!request->has_key[remote])
				continue;
			secret_derive(&request->preshared[own][remote],
				      &secrets->items[member->secret], &self->keys[own], key);
			if (request->has_alternate)
				secret_derive(&request->alternate[own][remote],
					      &secrets->items[!member->secret], &self->keys[own],
					      key);
		}
}

int peer_request_send(struct connection *connection, struct member *member,
		      const struct peer_request_facts *facts)
{
	const struct cluster_member *core = &member->core;
	const struct annotation *annotation = &core->chosen->annotation;
	union endpoint endpoints[CONTROL_ENDPOINTS_MAX] = {0};
	struct tunnel_peer peer = {.endpoints = endpoints, .cidrs = connection->cidrs};
	uint32_t pods;
	int error;

	peer.fixed.id = core->id;
	copy_text(peer.fixed.uid, sizeof(peer.fixed.uid), annotation->uid);
	peer.fixed.epoch = annotation->epoch;
	peer.fixed.try_next_within_s = (uint32_t)(facts->overlap_ms / 2000);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		peer.fixed.has_key[slot] = annotation->has_key[slot];
		if (annotation->has_key[slot])
			peer.fixed.keys[slot] = annotation->keys[slot];
	}
	add_preshared(facts, core, &peer.fixed);
	for (uint32_t i = 0; i < core->endpoint_count; i++)
		endpoints[i] = endpoint_of(&core->endpoints[i], annotation->port);
	peer.fixed.endpoint_count = (uint16_t)core->endpoint_count;
	peer.fixed.cidr_count = (uint16_t)cluster_list_allowed(
		facts->workspace, core, connection->cidrs, CONTROL_CIDRS_MAX, &pods);
	error = send_peer(connection, member, &peer);
	sodium_memzero(&peer, sizeof(peer));
	return error;
}
