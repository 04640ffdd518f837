// SPDX-License-Identifier: Apache-2.0
/*
 * The order of one pass is the order of the promises: who is who, keys to the tunnel, peers to the tunnel, prefixes to
 * the maps, and only then away with what is not wanted any more. A key is published after the tunnel has it; a prefix
 * points to a peer after the tunnel knows the peer.
 */
#include "reconcile.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "boot_guard.h"
#include "identity.h"
#include "log.h"
#include "overlay.h"
#include "own_pods.h"
#include "ratchet.h"

#define CONNECT_FIRST_NS (50 * NS_PER_MS)
#define CONNECT_MAX_NS	 (1 * NS_PER_S)

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* -- facts -- */

static struct underlay_settings underlay_settings(const struct agent *agent)
{
	const struct settings *settings = agent->settings;

	return (struct underlay_settings){
		.interface = settings->interface,
		.is_auto = settings->is_uplink_auto,
		.uplink_count = settings->uplink_count,
		.uplinks = settings->uplinks,
		.pod_count = agent->self.pod_count,
		.pods = agent->self.pods,
		.are_pods_local = agent->are_pods_local,
		.endpoint_count = settings->endpoint_count,
		.endpoints = settings->endpoints,
	};
}

static void read_underlay(struct agent *agent)
{
	struct underlay_settings settings;
	struct underlay_view view = {0};
	int error = link_read(&view);

	if (error) {
		agent_blame(agent, "devices and addresses cannot be read: %s", strerror(-error));
		return;
	}
	link_view_clear(&agent->view);
	agent->view = view;
	own_pods_follow(agent);
	settings = underlay_settings(agent);
	underlay_judge(&agent->underlay, &settings, &agent->view);
}

static bool is_own_address(const struct underlay *underlay, const struct address *address)
{
	for (uint32_t i = 0; i < underlay->own_count; i++)
		if (address_is_equal(&underlay->own[i], address))
			return true;
	return false;
}

static void describe_self(struct agent *agent)
{
	const struct secrets *secrets = secret_file_secrets(&agent->secret);
	const struct rotate_identity *own = rotate_publishable(&agent->rotate);
	const struct underlay *underlay = &agent->underlay;
	struct cluster_self *self = &agent->self;

	self->now_ms = wall_ms();
	self->address_count = underlay->own_count;
	memcpy(self->addresses, underlay->own, sizeof(self->addresses));
	self->has_ipv4 = self->has_ipv6 = false;
	for (uint32_t i = 0; i < underlay->endpoint_count; i++) {
		*(underlay->endpoints[i].family == AF_INET ? &self->has_ipv4 : &self->has_ipv6) =
			true;
		if (!is_own_address(underlay, &underlay->endpoints[i]) &&
		    self->address_count <
			    CLUSTER_OWN_ADDRESSES_MAX) /* one that a NAT in front of us has */
			self->addresses[self->address_count++] = underlay->endpoints[i];
	}
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		self->has_key[slot] = own && own->has_key[slot];
		if (self->has_key[slot])
			self->keys[slot] = own->keys[slot];
	}
	self->secrets = (struct secret_ids){0};
	if (secrets)
		secret_list_ids(&self->secrets, secrets);
}

static void blame_secret(struct agent *agent)
{
	if (agent->secret.trouble.text[0])
		agent_blame(agent, "%s", agent->secret.trouble.text);
}

static void blame_devices(struct agent *agent)
{
	const struct settings *settings = agent->settings;

	for (uint32_t i = 0; i < settings->uplink_count; i++)
		if (!underlay_find_device(&agent->view, settings->uplinks[i]))
			agent_blame(agent, "--uplink %s: there is no such device",
				    settings->uplinks[i]);
	if (!agent->underlay.uplink_count)
		agent_blame(agent, "no device leads to other nodes: give --uplink");
	if (!agent->underlay.endpoint_count)
		agent_blame(
			agent,
			"no address to publish is on a device that leads to other nodes: give --endpoint");
}

/* -- the tunnel -- */

static void lose_tunnel(struct agent *agent)
{
	tunnel_client_close(&agent->tunnel);
	rotate_tunnel_lost(&agent->rotate);
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		member->status = (struct control_peer_status){0};
		member->is_sent = false;
	}
}

static void retry_tunnel(struct agent *agent)
{
	agent->connect_delay_ns =
		MIN(MAX(2 * agent->connect_delay_ns, CONNECT_FIRST_NS), CONNECT_MAX_NS);
	agent->connect_ns = boot_ns() + agent->connect_delay_ns;
}

static int open_port(struct agent *agent)
{
	uint16_t port = agent->settings->port;
	int error;

	if (agent->hello.port != port)
		agent->changes++;
	error = tunnel_client_set_device(&agent->tunnel, port);
	if (error == -EADDRINUSE)
		agent_blame(
			agent,
			"UDP port %u is taken on this machine: stop what uses it, or give every node another --port",
			port);
	else if (error)
		agent_blame(agent, "podveil-tunnel cannot open UDP port %u: %s", port,
			    strerror(-error));
	if (error && !agent->has_port && tunnel_client_is_connected(&agent->tunnel))
		agent->must_end = true;
	agent->has_port |= !error;
	return error;
}

static int greet_tunnel(struct agent *agent)
{
	struct control_hello *hello = &agent->hello;
	struct rotate_identity identity = {0};
	int error = tunnel_client_hello(&agent->tunnel, hello);

	if (error) {
		agent_blame(agent,
			    "podveil-tunnel at %s answers wrongly: %s (is it of another version?)",
			    agent->settings->tunnel, strerror(-error));
		return error;
	}
	if (strcmp(hello->interface, agent->settings->interface)) {
		agent_blame(
			agent,
			"podveil-tunnel at %s has the device %s: expected %s (--interface of both)",
			agent->settings->tunnel, hello->interface, agent->settings->interface);
		return -ENODEV;
	}
	error = open_port(agent);
	if (error)
		return error;
	copy_text(identity.uid, sizeof(identity.uid), hello->uid);
	identity.epoch = hello->epoch;
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		identity.has_key[slot] = hello->has_key[slot];
		identity.keys[slot] = hello->keys[slot];
	}
	rotate_tunnel_found(&agent->rotate, &identity, agent_rotate_now());
	log_info("connected to podveil-tunnel (process %u, device %s)", hello->pid,
		 hello->interface);
	return 0;
}

static void reach_tunnel(struct agent *agent)
{
	int error;

	if (tunnel_client_is_connected(&agent->tunnel))
		return;
	lose_tunnel(agent);
	error = tunnel_client_connect(&agent->tunnel);
	if (error)
		agent_blame(
			agent,
			"podveil-tunnel does not answer at %s (%s): start it, or give its --control path as --tunnel",
			agent->settings->tunnel, strerror(-error));
	else
		error = greet_tunnel(agent);
	if (error) {
		lose_tunnel(agent);
		retry_tunnel(agent);
		return;
	}
	agent->connect_delay_ns = 0;
}

/* The tunnel makes its device anew when somebody deletes it, under another index. */
static void follow_device(struct agent *agent)
{
	const struct underlay_device *device =
		underlay_find_device(&agent->view, agent->settings->interface);
	struct control_hello hello;

	if (device && device->ifindex != agent->hello.ifindex &&
	    tunnel_client_is_connected(&agent->tunnel) &&
	    !tunnel_client_hello(&agent->tunnel, &hello))
		agent->hello.ifindex = hello.ifindex;
}

bool agent_refresh_status(struct agent *agent)
{
	static struct control_page page; /* large, and only used here */
	struct tunnel_client *tunnel = &agent->tunnel;
	uint32_t after = 0;

	for (uint32_t i = 0; i < agent->members.count; i++)
		member_of(agent->members.items[i])->status = (struct control_peer_status){0};
	do {
		if (!tunnel_client_is_connected(tunnel) ||
		    tunnel_client_list_peers(tunnel, after, &page))
			return false;
		for (uint32_t i = 0; i < page.count; i++) {
			struct member *member = members_find_id(&agent->members, page.peers[i].id);

			after = page.peers[i].id;
			if (member)
				member->status = page.peers[i];
		}
	} while (!page.is_last && page.count);
	return true;
}

/* The keys in the other slots are known by what the tunnel was told; after a restart that is nothing yet. */
static void note_proofs(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);
		const struct control_peer_status *status = &member->status;

		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			if (status->has_reached[slot] && slot == KEY_CURRENT)
				cluster_note_proof(&member->core, &status->key);
			else if (status->has_reached[slot] && member->was_told[slot])
				cluster_note_proof(&member->core, &member->told_keys[slot]);
	}
}

/* Peers that the tunnel has and nobody claims any more, page by page. */
static void remove_strangers(struct agent *agent)
{
	static struct control_page page; /* large, and only used here */
	struct tunnel_client *tunnel = &agent->tunnel;
	uint32_t after = 0;

	do {
		if (!tunnel_client_is_connected(tunnel) ||
		    tunnel_client_list_peers(tunnel, after, &page))
			return;
		for (uint32_t i = 0; i < page.count; i++) {
			after = page.peers[i].id;
			if (members_find_id(&agent->members, after))
				continue;
			if (tunnel_client_remove_peer(tunnel, after))
				return;
			agent->changes++;
		}
	} while (!page.is_last && page.count);
}

/* -- peers -- */

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

static int tell_tunnel(struct agent *agent, struct member *member)
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

/* Drop its packets first, then forget it: in the other order the tunnel would get packets for nobody. */
static void disarm_peer(struct agent *agent, struct member *member)
{
	if (datapath_set_peer(&agent->datapath, member->core.id, member->core.name, false))
		agent_blame(agent, "the BPF maps cannot be written");
	if (member->status.id && !tunnel_client_remove_peer(&agent->tunnel, member->core.id)) {
		member->status = (struct control_peer_status){0};
		agent->changes++;
	}
	member->is_sent = false;
}

static void arm_peer(struct agent *agent, struct member *member)
{
	int error;

	if (!tunnel_client_is_connected(&agent->tunnel))
		return; /* what the maps say stays: without the tunnel its packets are dropped anyway */
	error = tell_tunnel(agent, member);
	if (error)
		agent_blame(agent, "podveil-tunnel refuses node %s: %s", member->core.name,
			    strerror(-error));
	else if (datapath_set_peer(&agent->datapath, member->core.id, member->core.name, true))
		agent_blame(agent, "the BPF maps cannot be written");
}

static void identify_members(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct cluster_member *member = agent->members.items[i];

		if (member->id)
			continue;
		member->id = datapath_find_id(&agent->datapath, member->name, &member->was_found);
		if (!member->id) {
			member->id = datapath_new_id(&agent->datapath, agent->last_id);
			if (datapath_set_peer(&agent->datapath, member->id, member->name, false))
				agent_blame(agent, "the BPF maps cannot be written");
		}
		agent->last_id = MAX(agent->last_id, member->id);
	}
}

/* A prefix that changes hands is its new node's in the tunnel before its old one gives it up. */
static void settle_peers(struct agent *agent)
{
	members_rank(&agent->members, agent->datapath.entries, agent->datapath.entry_count);
	for (unsigned int rank = 0; rank < MEMBER_RANKS; rank++)
		for (uint32_t i = 0; i < agent->members.count; i++) {
			struct member *member = member_of(agent->members.items[i]);

			if (member_rank(member) != rank)
				continue;
			if (member->core.state == MEMBER_USABLE)
				arm_peer(agent, member);
			else if (!member->core.is_held)
				disarm_peer(agent, member);
		}
}

/* A peer that the tunnel refuses is told again and blamed in the next pass. */
void reconcile_tell_peers(struct agent *agent)
{
	if (!agent->self.secrets.count)
		return;
	describe_self(agent);
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		if (member->core.state == MEMBER_USABLE &&
		    tunnel_client_is_connected(&agent->tunnel))
			(void)tell_tunnel(agent, member);
	}
}

/* What is nobody's goes in clear in permissive mode, so that what was a reached node's stays its own, and is dropped,
 * when its record goes away. */
static bool is_kept(const struct agent *agent, const struct datapath_peer *peer)
{
	return agent->mode == MODE_PERMISSIVE && peer->value.was_reached &&
	       !members_find_id(&agent->members, peer->id);
}

static uint32_t list_held(const struct agent *agent, uint32_t *ret_ids)
{
	const struct members *members = &agent->members;
	const struct datapath *datapath = &agent->datapath;
	uint32_t count = 0;

	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->is_held)
			ret_ids[count++] = members->items[i]->id;
	for (uint32_t i = 0; i < datapath->peer_count; i++)
		if (is_kept(agent, &datapath->peers[i]))
			ret_ids[count++] = datapath->peers[i].id;
	return count;
}

/* What the members make of the prefixes, and the exceptions of this node. NULL: no memory. */
static struct prefix_entry *list_wanted(const struct agent *agent, uint32_t *ret_count)
{
	const struct settings *settings = agent->settings;
	const struct members *members = &agent->members;
	uint32_t count = members->entry_count;
	struct prefix_entry *wanted =
		calloc((size_t)count + settings->except_count + 1, sizeof(*wanted));

	if (!wanted)
		return NULL;
	memcpy(wanted, members->entries, count * sizeof(*wanted));
	for (uint32_t i = 0; i < settings->except_count; i++)
		wanted[count++] = (struct prefix_entry){prefix_key_of_cidr(&settings->excepts[i]),
							{.class = PREFIX_EXCEPT}};
	*ret_count = prefix_entries_settle(wanted, count);
	return wanted;
}

static int settle_prefixes(struct agent *agent)
{
	CLEANUP_FREE uint32_t *held = calloc(
		(size_t)agent->members.count + agent->datapath.peer_count + 1, sizeof(*held));
	uint32_t count = 0;
	CLEANUP_FREE struct prefix_entry *wanted = list_wanted(agent, &count);
	int error = -ENOMEM;

	if (held && wanted)
		error = datapath_set_prefixes(&agent->datapath, wanted, count, held,
					      list_held(agent, held), agent->is_listed);
	if (error)
		agent_blame(agent, "the BPF maps cannot be written");
	return error;
}

static void remove_gone_peers(struct agent *agent)
{
	struct datapath *datapath = &agent->datapath;

	for (uint32_t i = datapath->peer_count; i-- > 0;) {
		const struct datapath_peer *peer = &datapath->peers[i];
		int error = 0;

		if (is_kept(agent, peer))
			error = datapath_set_peer(datapath, peer->id, peer->value.node, false);
		else if (!members_find_id(&agent->members, peer->id))
			error = datapath_remove_peer(datapath, peer->id);
		if (error)
			agent_blame(agent, "the BPF maps cannot be written");
	}
	remove_strangers(agent);
}

static void report_refusals(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);
		const char *text = member->core.refusal.text;

		if (strcmp(member->logged, text) && text[0])
			log_warning("node %s: %s", member->core.name, text);
		else if (strcmp(member->logged, text))
			log_info("node %s: its record is good again", member->core.name);
		copy_text(member->logged, sizeof(member->logged), text);
		if (text[0])
			agent_blame(agent, "node %s: %s", member->core.name, text);
	}
}

/* -- device and hooks -- */

static bool any_peer_uses_ipv6(const struct members *members)
{
	for (uint32_t i = 0; i < members->count; i++)
		if (members->items[i]->state == MEMBER_USABLE &&
		    members->items[i]->endpoints[0].family == AF_INET6)
			return true;
	return false;
}

/* The tunnel's own word, or that of an earlier agent while the device is still there: a device that merely has the name
 * is not trusted with pod traffic. */
static unsigned int tunnel_ifindex(const struct agent *agent)
{
	const struct underlay_device *device =
		underlay_find_device(&agent->view, agent->settings->interface);
	unsigned int trusted = tunnel_client_is_connected(&agent->tunnel)
				       ? agent->hello.ifindex
				       : agent->datapath.config.tunnel_ifindex;

	return device && device->ifindex == trusted ? trusted : 0;
}

/* Attached to exactly these devices, and looked after there. Returns on how many it is not. */
static uint32_t attach(struct agent *agent, enum loader_program program,
		       const unsigned int *ifindexes, uint32_t count)
{
	uint32_t failed = datapath_attach(&agent->datapath, program, ifindexes, count);

	if (failed)
		agent_blame(agent, "%s cannot be attached to %u of %u devices",
			    datapath_program_name(program), failed, count);
	if (!watch_want(&agent->watch, program, ifindexes, count))
		agent_blame(agent, "not enough memory");
	return failed;
}

static void prepare_device(struct agent *agent)
{
	const char *interface = agent->settings->interface;
	bool changed = false;
	int error = link_prepare_tunnel(&agent->view, interface,
					underlay_device_mtu(agent->inner_mtu), &changed);

	if (error)
		agent_blame(agent, "%s cannot be set up: %s", interface, strerror(-error));
	if (changed && agent->has_settled)
		log_warning(
			"%s was not as it should be (up, MTU %u, loose rp_filter, an address): set up again",
			interface, underlay_device_mtu(agent->inner_mtu));
	agent->changes += changed;
}

static void settle_device(struct agent *agent)
{
	struct datapath_config config = {
		.abi_version = MAP_ABI_VERSION,
		.tunnel_ifindex = tunnel_ifindex(agent),
		.tunnel_port = agent->settings->port,
		.mode = agent->mode,
		.bypass_count = agent->settings->bypass_count,
	};

	if (!overlay_list_ports(&config, &agent->view))
		agent_blame(
			agent,
			"more than %d ports of VXLAN or Geneve: in some nobody looks for clear packets",
			OVERLAY_PORTS_MAX);
	agent->inner_mtu = underlay_inner_mtu(
		agent->underlay.uplink_mtu,
		agent->members.count ? any_peer_uses_ipv6(&agent->members) : !agent->self.has_ipv4);
	config.tunnel_mtu = agent->inner_mtu;
	if (config.tunnel_ifindex) {
		prepare_device(agent);
		attach(agent, LOADER_FROM_TUNNEL, &config.tunnel_ifindex, 1);
	}
	if (datapath_set_config(&agent->datapath, &config))
		agent_blame(agent, "the BPF maps cannot be written");
}

static uint32_t settle_hooks(struct agent *agent)
{
	static unsigned int ifindexes[UNDERLAY_DEVICES_MAX]; /* large, and only used here */
	const struct underlay *underlay = &agent->underlay;
	uint32_t failed;

	for (uint32_t i = 0; i < underlay->uplink_count; i++)
		ifindexes[i] = underlay->uplinks[i]->ifindex;
	failed = attach(agent, LOADER_TO_WIRE, ifindexes, underlay->uplink_count);
	attach(agent, LOADER_WIRE_GUARD, ifindexes, underlay->uplink_count);
	attach(agent, LOADER_FROM_WIRE, ifindexes, underlay->uplink_count);
	return failed;
}

/* What somebody took away is put back and counted before it could pass for never attached. */
static void mend_hooks(struct agent *agent)
{
	watch_check(&agent->watch, agent->datapath.loader, boot_ns());
}

static void blame_hooks(struct agent *agent)
{
	const struct watch *watch = &agent->watch;
	char text[REFUSAL_LEN];

	for (uint32_t i = 0; i < watch->count; i++)
		if (watch_complaint(&watch->items[i], boot_ns(), text, sizeof(text)))
			agent_blame(agent, "%s", text);
}

/* Before anything that would lead their traffic into the tunnel. */
static int settle_bypasses(struct agent *agent)
{
	int error = datapath_set_bypasses(&agent->datapath, agent->settings->bypasses,
					  agent->settings->bypass_count);

	if (error)
		agent_blame(agent, "the BPF maps cannot be written");
	return error;
}

static void blame_mode(struct agent *agent)
{
	if (agent->mode == MODE_PERMISSIVE)
		agent_blame(
			agent,
			"THE MODE IS PERMISSIVE: to and from nodes that were never reached, pod traffic goes in clear");
}

/* -- the whole -- */

int reconcile_shut(struct agent *agent)
{
	uint32_t failed;
	int error;

	agent->reason_count = 0;
	read_underlay(agent);
	describe_self(agent);
	error = members_resolve(&agent->members, &agent->self);
	if (error) {
		log_error("not enough memory");
		return error;
	}
	error = settle_bypasses(agent);
	if (error)
		return error;
	settle_device(agent);
	error = settle_prefixes(agent);
	if (error)
		return error;
	failed = settle_hooks(agent);
	/* Not one device took it: the reason is in the log, and no promise could be kept. */
	return failed && failed == agent->underlay.uplink_count ? -EIO : 0;
}

static bool was_known(const struct agent *agent, const char *text)
{
	for (uint32_t i = 0; i < agent->reason_count_before; i++)
		if (!strcmp(agent->reasons_before[i].text, text))
			return true;
	return false;
}

static bool is_whole(const struct agent *agent)
{
	return agent->is_listed && tunnel_client_is_connected(&agent->tunnel);
}

/* Only when nothing can leave in clear without it: every device has its programs, the maps are written, every record was
 * read and the tunnel knows who is usable. A node that is refused, or the mode, is no reason to keep it. */
static void relieve_boot_guard(struct agent *agent, bool is_tight)
{
	int error;

	if (!is_tight || !is_whole(agent) || !agent->underlay.uplink_count)
		return;
	error = boot_guard_remove();
	if (!error)
		log_info(
			"the boot guard is taken away: the hooks are attached and the peers known");
	else if (error != -ENOENT)
		agent_blame(agent,
			    "the boot guard cannot be removed: %s (remove it with `nft "
			    "delete table inet podveil_boot_guard`)",
			    strerror(-error));
}

static void report_outcome(struct agent *agent)
{
	uint64_t changes = agent->changes + agent->datapath.changes;

	for (uint32_t i = 0; i < agent->reason_count; i++)
		if (!was_known(agent, agent->reasons[i].text) &&
		    strncmp(agent->reasons[i].text, "node ", 5))
			log_write(agent->must_end ? LOG_ERROR : LOG_WARNING, "%s",
				  agent->reasons[i].text);
	if (is_whole(agent) && !agent->has_settled) {
		if (changes)
			log_info("settled with %" PRIu64 " changes; %u other nodes", changes,
				 agent->members.count);
		else
			log_info(
				"nothing to change: all is as an earlier agent left it; %u other nodes",
				agent->members.count);
		agent->has_settled = true;
	}
	if (is_whole(agent) && !agent->reason_count && !agent->was_protected)
		log_info("protected: pod traffic is encrypted or dropped");
	agent->was_protected = is_whole(agent) && !agent->reason_count;
	agent->reason_count_before = agent->reason_count;
	memcpy(agent->reasons_before, agent->reasons, sizeof(agent->reasons));
}

void reconcile(struct agent *agent)
{
	bool is_tight;

	agent->reason_count = 0;
	secret_file_refresh(&agent->secret);
	blame_secret(agent);
	read_underlay(agent);
	blame_devices(agent);
	reach_tunnel(agent);
	follow_device(agent);
	identity_arm(agent);
	describe_self(agent);
	identify_members(agent);
	agent_refresh_status(agent);
	note_proofs(agent);
	if (members_resolve(&agent->members, &agent->self)) {
		agent_blame(agent, "not enough memory");
		return;
	}
	is_tight = !settle_bypasses(agent);
	mend_hooks(agent);
	settle_device(agent);
	is_tight &= !settle_hooks(agent);
	blame_hooks(agent);
	settle_peers(agent);
	ratchet_advance(agent);
	is_tight &= !settle_prefixes(agent);
	if (agent->is_listed)
		remove_gone_peers(agent);
	identity_advance(agent);
	report_refusals(agent);
	relieve_boot_guard(agent, is_tight);
	blame_mode(agent);
	if (agent->registry->fd < 0)
		agent_blame(agent, "the registry %s is away", agent->settings->registry);
	if (!tunnel_client_is_connected(&agent->tunnel) && !agent->connect_ns)
		retry_tunnel(agent);
	report_outcome(agent);
}

const char *agent_state(const struct agent *agent)
{
	if (agent->was_protected)
		return "protected";
	return agent->has_settled ? "degraded" : "starting";
}
