// SPDX-License-Identifier: Apache-2.0
/*
 * The request is made from the newest facts each time, and sent only where it differs from the last one that the tunnel
 * took: that one is remembered by its digest, since it holds preshared keys.
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

static int send_peer(struct agent *agent, struct member *member, const struct tunnel_peer *peer)
{
	uint8_t digest[crypto_generichash_BYTES];
	int error;

	digest_request(digest, peer);
	if (member->is_sent && member->status.id && !memcmp(digest, member->sent, sizeof(digest)))
		return 0;
	error = tunnel_client_set_peer(&agent->tunnel, peer);
	member->is_sent = !error;
	memcpy(member->sent, digest, sizeof(digest));
	if (!error) {
		memcpy(member->told_keys, peer->fixed.keys, sizeof(member->told_keys));
		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			member->was_told[slot] = peer->fixed.has_key[slot];
	}
	if (!error && (!member->status.id ||
		       !public_key_is_equal(&member->status.key, &peer->fixed.keys[KEY_CURRENT])))
		agent->changes++;
	return error;
}

/* Both nodes derive the same from the secret that they have in common. Our other one is what the peer may have gone over
 * to, or not yet, by a record that we have not seen. A slot of ours that seems empty gets a key too: zero would be none,
 * should the tunnel have something there after all. */
static void add_preshared(const struct agent *agent, const struct cluster_member *member,
			  struct control_peer *request)
{
	const struct secrets *secrets = secret_file_secrets(&agent->secret);
	const struct cluster_self *self = &agent->self;

	if (!secrets)
		return;
	assert(member->secret < secrets->count); /* no secret at all would be none */
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

int peer_request_send(struct agent *agent, struct member *member)
{
	static struct cidr cidrs[CONTROL_CIDRS_MAX]; /* large, and only used here */
	const struct cluster_member *core = &member->core;
	const struct annotation *annotation = &core->chosen->annotation;
	union endpoint endpoints[CONTROL_ENDPOINTS_MAX] = {0};
	struct tunnel_peer peer = {.endpoints = endpoints, .cidrs = cidrs};
	uint32_t pods;
	int error;

	peer.fixed.id = core->id;
	copy_text(peer.fixed.uid, sizeof(peer.fixed.uid), annotation->uid);
	peer.fixed.epoch = annotation->epoch;
	peer.fixed.try_next_within_s = (uint32_t)(agent->settings->rotate.overlap_ms / 2000);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		peer.fixed.has_key[slot] = annotation->has_key[slot];
		if (annotation->has_key[slot])
			peer.fixed.keys[slot] = annotation->keys[slot];
	}
	add_preshared(agent, core, &peer.fixed);
	for (uint32_t i = 0; i < core->endpoint_count; i++)
		endpoints[i] = endpoint_of(&core->endpoints[i], annotation->port);
	peer.fixed.endpoint_count = (uint16_t)core->endpoint_count;
	peer.fixed.cidr_count = (uint16_t)cluster_list_allowed(&agent->members.workspace, core,
							       cidrs, CONTROL_CIDRS_MAX, &pods);
	error = send_peer(agent, member, &peer);
	sodium_memzero(&peer, sizeof(peer));
	return error;
}
