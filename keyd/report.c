// SPDX-License-Identifier: Apache-2.0
/*
 * status, peers and key-status, read when they are asked for; nothing is kept for the purpose. And the wish to rotate,
 * which is only noted here or left in the registry: the agent's next pass begins with it. Texts that come from elsewhere
 * were quoted when they were refused, so they are always valid JSON strings.
 */
#include "report.h"

#include <jansson.h>

#include "field.h"
#include "identity.h"
#include "log.h"
#include "peers.h"
#include "ratchet.h"

#define FINGERPRINT_LEN 8

static json_t *bypass_list(const struct bypass_key *bypasses, uint32_t count)
{
	json_t *list = json_array();
	char text[BYPASS_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(bypass_format(text, &bypasses[i])));
	return list;
}

static json_t *device_list(const struct underlay_device *const *devices, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(devices[i]->name));
	return list;
}

static json_t *traffic(const struct traffic *sum)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)sum->packets, "bytes",
			 (json_int_t)sum->bytes);
}

/* -- status -- */

static json_t *reason_list(const struct agent *agent)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < agent->reason_count; i++)
		json_array_append_new(list, json_string(agent->reasons[i].text));
	return list;
}

static json_t *drop_list(struct agent *agent)
{
	uint64_t packets[DROP_REASON_COUNT];
	struct control_drops tunnel = {0};
	json_t *list = json_array();

	datapath_read_drops(&agent->datapath, packets);
	if (tunnel_client_read_drops(&agent->tunnel, &tunnel))
		tunnel = (struct control_drops){0};
	/* The programs count it too then: to the packet, and on every podveil0 there has been. */
	if (loader_counts_kernel_drops(agent->datapath.loader))
		tunnel.packets[DROP_TUN_OVERFLOW] = 0;
	for (unsigned int reason = 0; reason < DROP_REASON_COUNT; reason++) {
		packets[reason] += tunnel.packets[reason];
		if (packets[reason])
			json_array_append_new(
				list, json_pack("{s:s, s:I, s:s}", "reason",
						drop_reason_label((enum drop_reason)reason),
						"packets", (json_int_t)packets[reason], "text",
						drop_reason_text((enum drop_reason)reason)));
	}
	return list;
}

static json_t *peer_counts(const struct agent *agent)
{
	json_int_t usable = 0, with_session = 0, refused = 0;

	for (uint32_t i = 0; i < agent->members.count; i++) {
		struct member *member = member_of(agent->members.items[i]);

		usable += member->core.state == MEMBER_USABLE;
		with_session += member->status.has_session;
		refused += member->core.refusal_count > 0;
	}
	return json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)agent->members.count,
			 "usable", usable, "with_session", with_session, "refused", refused);
}

static void add_traffic(struct traffic *sum, const struct traffic *part)
{
	sum->packets += part->packets;
	sum->bytes += part->bytes;
}

/* Of all nodes, and of none: what is in the cluster range and nobody's. */
static struct peer_traffic traffic_sum(const struct agent *agent)
{
	struct peer_traffic sum, part;

	datapath_read_traffic(&agent->datapath, 0, &sum);
	for (uint32_t i = 0; i < agent->members.count; i++) {
		datapath_read_traffic(&agent->datapath, agent->members.items[i]->id, &part);
		add_traffic(&sum.to_tunnel, &part.to_tunnel);
		add_traffic(&sum.from_tunnel, &part.from_tunnel);
		add_traffic(&sum.clear_out, &part.clear_out);
		add_traffic(&sum.clear_in, &part.clear_in);
	}
	return sum;
}

static void add_sums(json_t *answer, const struct agent *agent)
{
	struct peer_traffic sum = traffic_sum(agent);

	json_object_set_new(answer, "traffic",
			    json_pack("{s:o, s:o}", "to_tunnel", traffic(&sum.to_tunnel),
				      "from_tunnel", traffic(&sum.from_tunnel)));
	json_object_set_new(answer, "clear",
			    json_pack("{s:o, s:o}", "out", traffic(&sum.clear_out), "in",
				      traffic(&sum.clear_in)));
}

static json_t *hook_list(const struct watch *watch)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < watch->count; i++) {
		const struct watched *item = &watch->items[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:I}", "device", item->device,
						"program", datapath_program_name(item->program),
						"state", watch_finding_name(item->finding),
						"repairs", (json_int_t)item->repairs.count));
	}
	return list;
}

static const char *mode_name(enum datapath_mode mode)
{
	return mode == MODE_PERMISSIVE ? "permissive" : "strict";
}

static json_t *tunnel_status(const struct agent *agent)
{
	bool is_connected = tunnel_client_is_connected(&agent->tunnel);
	json_int_t peers = 0;

	for (uint32_t i = 0; i < agent->members.count; i++)
		peers += member_of(agent->members.items[i])->status.id != 0;
	return json_pack("{s:b, s:o, s:I}", "is_connected", is_connected, "pid",
			 is_connected ? json_integer(agent->hello.pid) : json_null(), "peers",
			 peers);
}

static json_t *secret_list(const struct secret_ids *ids)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < ids->count; i++)
		json_array_append_new(list, json_string(ids->items[i].text));
	return list;
}

static json_t *cluster_secret(const struct agent *agent)
{
	const struct secret_ids *ids = &agent->self.secrets;

	if (!agent->secret.path)
		return json_null();
	return json_pack("{s:s, s:o, s:b}", "file", agent->secret.path, "ids", secret_list(ids),
			 "accepts_none", secret_accepts_none(ids));
}

/* By which secret the node is talked to, NULL where it is not. */
static const char *secret_of(const struct agent *agent, const struct cluster_member *member)
{
	const struct secret_ids *ids = &agent->self.secrets;

	if (!member->has_common_secret)
		return NULL;
	return member->secret < ids->count ? ids->items[member->secret].text : SECRET_NONE;
}

static void warn_of_none(const struct agent *agent, json_t *list)
{
	char text[REFUSAL_LEN];
	json_int_t count = 0;

	if (!agent->secret.path || !secret_accepts_none(&agent->self.secrets))
		return;
	for (uint32_t i = 0; i < agent->members.count; i++) {
		const char *id = secret_of(agent, agent->members.items[i]);

		count += id && !strcmp(id, SECRET_NONE);
	}
	snprintf(
		text, sizeof(text),
		"--cluster-secret %.128s says none: nodes without the secret are accepted, and %lld of %u are "
		"talked to without a preshared key",
		agent->secret.path, count, agent->members.count);
	json_array_append_new(list, json_string(text));
}

static void warn_of_guard(const struct guarding *guarding, json_t *list)
{
	char text[REFUSAL_LEN];

	if (!guarding->error)
		return;
	snprintf(
		text, sizeof(text),
		"no guard by nf_tables (%s): until a new device has its hooks, pod packets may leave by "
		"it in clear",
		strerror(-guarding->error));
	json_array_append_new(list, json_string(text));
}

/* What was wanted so, and still is less than podveil could do. */
static json_t *warning_list(const struct agent *agent)
{
	json_t *list = json_array();

	warn_of_none(agent, list);
	if (agent->secret.warning.text[0])
		json_array_append_new(list, json_string(agent->secret.warning.text));
	if (agent->registry->warning.text[0])
		json_array_append_new(list, json_string(agent->registry->warning.text));
	warn_of_guard(&agent->guarding, list);
	return list;
}

static const char *mode_origin(const struct agent *agent)
{
	if (agent->has_cluster_mode)
		return "registry";
	if (agent->is_mode_inherited)
		return "earlier agent";
	return agent->mode == agent->settings->mode ? "flag" : "command";
}

static const char *pods_origin(const struct agent *agent)
{
	if (agent->are_pods_local)
		return "local";
	return agent->settings->pod_count ? "flag" : "node";
}

/* null where it is no server. */
static json_t *registry_status(const struct registry *registry)
{
	const struct registry_traffic *sum = &registry->traffic;
	char text[NODE_TIME_LEN];

	if (!registry->is_server)
		return json_null();
	return json_pack(
		"{s:o, s:s, s:I, s:I, s:I, s:I}", "last_contact",
		registry->contact_s ? json_string(node_format_time(text, registry->contact_s))
				    : json_null(),
		"away", registry->away.text, "requests", (json_int_t)sum->requests, "failures",
		(json_int_t)sum->failures, "sent_bytes", (json_int_t)sum->sent_bytes,
		"received_bytes", (json_int_t)sum->received_bytes);
}

/* As it is now, who was reached included. */
static void refresh(struct agent *agent)
{
	if (peers_refresh_status(agent))
		ratchet_advance(agent);
}

static json_t *status(struct agent *agent, const json_t *request)
{
	const struct settings *settings = agent->settings;
	const struct cluster_self *self = &agent->self;
	const struct underlay *underlay = &agent->underlay;
	json_t *answer, *datapath;

	(void)request;
	refresh(agent);
	answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "version", PODVEIL_VERSION,
			   "node", settings->node, "uid", agent->registry->uid, "mode",
			   mode_name(agent->mode), "state", agent_state(agent), "reasons",
			   reason_list(agent), "registry", settings->registry);
	json_object_set_new(answer, "warnings", warning_list(agent));
	json_object_set_new(answer, "cluster_secret", cluster_secret(agent));
	json_object_set_new(answer, "cluster_cidrs",
			    field_of_cidrs(self->ranges, self->range_count));
	json_object_set_new(answer, "except_cidrs",
			    field_of_cidrs(settings->excepts, settings->except_count));
	json_object_set_new(answer, "bypasses",
			    bypass_list(settings->bypasses, settings->bypass_count));
	json_object_set_new(answer, "registry_status", registry_status(agent->registry));
	json_object_set_new(answer, "registry_servers",
			    bypass_list(agent->servers, agent->server_count));
	json_object_set_new(answer, "mode_from", json_string(mode_origin(agent)));
	json_object_set_new(answer, "pod_cidrs", field_of_cidrs(self->pods, self->pod_count));
	json_object_set_new(answer, "pods_from", json_string(pods_origin(agent)));
	json_object_set_new(answer, "endpoints",
			    field_of_addresses(underlay->endpoints, underlay->endpoint_count));
	json_object_set_new(answer, "port", json_integer(settings->port));
	json_object_set_new(answer, "interface", json_string(settings->interface));
	json_object_set_new(answer, "mtu", json_integer(agent->inner_mtu));
	json_object_set_new(answer, "tunnel", tunnel_status(agent));
	datapath =
		json_pack("{s:s, s:o, s:o}", "mechanism", loader_mechanism(agent->datapath.loader),
			  "uplinks", device_list(underlay->uplinks, underlay->uplink_count), "pods",
			  device_list(underlay->pod_devices, underlay->pod_device_count));
	json_object_set_new(answer, "datapath", datapath);
	json_object_set_new(answer, "peers", peer_counts(agent));
	add_sums(answer, agent);
	json_object_set_new(answer, "hooks", hook_list(&agent->watch));
	json_object_set_new(answer, "guard",
			    json_pack("{s:b, s:I}", "stands", agent->guarding.stands, "repairs",
				      (json_int_t)agent->guarding.repairs.count));
	json_object_set_new(answer, "drops", drop_list(agent));
	return answer;
}

/* -- peers -- */

static const char *state_name(const struct cluster_member *member)
{
	if (member->seen && member->seen->is_excluded && member->state != MEMBER_USABLE)
		return "excluded";
	switch (member->state) {
	case MEMBER_WAITING:
		return "waiting";
	case MEMBER_USABLE:
		return "usable";
	case MEMBER_REFUSED:
		return "refused";
	}
	return "unknown";
}

static json_t *endpoint_text(const union endpoint *endpoint)
{
	char text[ENDPOINT_TEXT_LEN];

	return json_string(endpoint_format(text, endpoint));
}

static json_t *published_endpoints(const struct cluster_member *member)
{
	json_t *list = json_array();

	for (uint32_t i = 0; member->chosen && i < member->endpoint_count; i++) {
		union endpoint endpoint =
			endpoint_of(&member->endpoints[i], member->chosen->annotation.port);

		json_array_append_new(list, endpoint_text(&endpoint));
	}
	return list;
}

static void add_prefixes(json_t *answer, const struct agent *agent,
			 const struct cluster_member *member)
{
	CLEANUP_FREE struct cidr *cidrs = calloc(CONTROL_CIDRS_MAX, sizeof(*cidrs));
	uint32_t pods = 0, count = 0;
	json_t *addresses = json_array();
	char text[ADDRESS_TEXT_LEN];

	if (cidrs)
		count = cluster_list_allowed(&agent->members.workspace, member, cidrs,
					     CONTROL_CIDRS_MAX, &pods);
	json_object_set_new(answer, "pods", field_of_cidrs(cidrs, pods));
	for (uint32_t i = pods; i < count; i++)
		json_array_append_new(addresses,
				      json_string(address_format(text, &cidrs[i].address)));
	json_object_set_new(answer, "addresses", addresses);
}

static json_t *last_handshake(const struct control_peer_status *peer)
{
	char text[NODE_TIME_LEN];

	if (!peer->last_handshake_wall_ns)
		return json_null();
	return json_string(
		node_format_time(text, (int64_t)(peer->last_handshake_wall_ns / NS_PER_S)));
}

static json_t *last_received(const struct control_peer_status *peer)
{
	if (!peer->id || peer->last_received_age_ns == UINT64_MAX)
		return json_null();
	return json_real((double)peer->last_received_age_ns / (double)NS_PER_S);
}

static void add_status(json_t *answer, const struct control_peer_status *peer)
{
	json_object_set_new(answer, "endpoint",
			    peer->has_endpoint ? endpoint_text(&peer->endpoint) : json_null());
	json_object_set_new(answer, "has_session", json_boolean(peer->has_session));
	json_object_set_new(answer, "last_handshake", last_handshake(peer));
	json_object_set_new(answer, "last_received_age", last_received(peer));
	json_object_set_new(answer, "received_bytes",
			    json_integer((json_int_t)peer->received_bytes));
	json_object_set_new(answer, "sent_bytes", json_integer((json_int_t)peer->sent_bytes));
}

static json_t *peer(const struct agent *agent, struct cluster_member *member)
{
	const struct annotation *annotation = member->chosen ? &member->chosen->annotation : NULL;
	const char *secret = secret_of(agent, member);
	char key[KEY_BASE64_LEN + 1] = "";
	struct peer_traffic sum;
	json_t *answer;

	if (annotation)
		public_key_encode(key, &annotation->keys[KEY_CURRENT]);
	datapath_read_traffic(&agent->datapath, member->id, &sum);
	answer = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I}", "node", member->name, "id",
			   (json_int_t)member->id, "uid", member->seen ? member->seen->uid : "",
			   "state", state_name(member), "reason", member->refusal.text, "key", key,
			   "epoch", annotation ? (json_int_t)annotation->epoch : (json_int_t)0);
	json_object_set_new(answer, "secret", json_string(secret ? secret : ""));
	json_object_set_new(answer, "endpoints", published_endpoints(member));
	add_prefixes(answer, agent, member);
	add_status(answer, &member_of(member)->status);
	json_object_set_new(answer, "to_tunnel", traffic(&sum.to_tunnel));
	json_object_set_new(answer, "from_tunnel", traffic(&sum.from_tunnel));
	json_object_set_new(answer, "was_reached",
			    json_boolean(ratchet_was_reached(agent, member)));
	json_object_set_new(answer, "clear_out", traffic(&sum.clear_out));
	json_object_set_new(answer, "clear_in", traffic(&sum.clear_in));
	return answer;
}

static json_t *peers(struct agent *agent, const json_t *request)
{
	json_t *list = json_array();

	(void)request;
	refresh(agent);
	for (uint32_t i = 0; i < agent->members.count; i++)
		json_array_append_new(list, peer(agent, agent->members.items[i]));
	return json_pack("{s:o}", "peers", list);
}

/* -- key-status -- */

static json_t *fingerprint(const struct public_key *key)
{
	char text[KEY_BASE64_LEN + 1] = "";

	if (key)
		public_key_encode(text, key);
	text[FINGERPRINT_LEN] = '\0';
	return json_string(text);
}

static json_t *seconds(int64_t ms)
{
	return json_real((double)MAX(ms, 0) / 1000);
}

static json_t *wall_time(uint64_t wall_ms)
{
	char text[NODE_TIME_LEN];

	return json_string(node_format_time(text, (int64_t)(wall_ms / 1000)));
}

/* A change of keys takes its epoch from the clock, so the epoch tells when it was. */
static json_t *age_of_epoch(uint64_t epoch, struct rotate_now now)
{
	return epoch && epoch <= now.wall_ms ? seconds((int64_t)(now.wall_ms - epoch))
					     : json_null();
}

/* The rest, which only this node knows of itself, is null. */
static json_t *key(const char *node, bool is_self, const char *state, const char *reason)
{
	return json_pack("{s:s, s:b, s:s, s:s, s:n, s:n, s:n, s:n, s:n, s:[]}", "node", node,
			 "is_self", is_self, "state", state, "reason", reason, "age", "since",
			 "peers_proved", "peers_live", "time_left", "stragglers");
}

static void add_keys(json_t *answer, uint64_t epoch, const bool has_key[static KEY_SLOTS],
		     const struct public_key keys[static KEY_SLOTS])
{
	json_object_set_new(answer, "epoch", json_integer((json_int_t)epoch));
	json_object_set_new(answer, "fingerprint", fingerprint(&keys[KEY_CURRENT]));
	json_object_set_new(answer, "next",
			    fingerprint(has_key[KEY_NEXT] ? &keys[KEY_NEXT] : NULL));
}

static void add_no_keys(json_t *answer)
{
	static const struct public_key none[KEY_SLOTS];
	static const bool has_none[KEY_SLOTS];

	add_keys(answer, 0, has_none, none);
	json_object_set_new(answer, "fingerprint", json_string(""));
}

static json_t *member_key(const struct member *member, struct rotate_now now)
{
	const struct cluster_member *core = &member->core;
	const struct annotation *annotation = core->chosen ? &core->chosen->annotation : NULL;
	const char *state = core->state == MEMBER_REFUSED ? "refused" : "unknown";
	json_t *answer;

	if (annotation)
		state = rotate_state_name(annotation->has_key[KEY_NEXT]	      ? ROTATE_PROVING
					  : annotation->has_key[KEY_PREVIOUS] ? ROTATE_OVERLAPPING
									      : ROTATE_CURRENT);
	answer = key(core->name, false, state, core->refusal.text);
	if (!annotation) {
		add_no_keys(answer);
		return answer;
	}
	add_keys(answer, annotation->epoch, annotation->has_key, annotation->keys);
	json_object_set_new(answer, "age", age_of_epoch(member->current_epoch, now));
	json_object_set_new(answer, "since", wall_time(annotation->epoch));
	return answer;
}

static void add_proofs(json_t *answer, const struct agent *agent)
{
	json_t *stragglers = json_object_get(answer, "stragglers");
	struct rotate_peer peer;
	json_int_t live = 0, waiting = 0;

	for (uint32_t i = 0; i < agent->members.count; i++) {
		const struct member *member = member_of(agent->members.items[i]);

		if (!identity_judge_peer(member, &peer) || !rotate_is_live(&peer))
			continue;
		live++;
		if (!rotate_waits_for(&agent->rotate, &peer))
			continue;
		waiting++;
		json_array_append_new(stragglers, json_string(member->core.name));
	}
	json_object_set_new(answer, "peers_live", json_integer(live));
	json_object_set_new(answer, "peers_proved", json_integer(live - waiting));
}

/* Why a rotation does not go on. */
static const char *own_key_reason(const struct agent *agent, bool has_key, enum rotate_state state)
{
	if (!has_key)
		return "podveil-tunnel has no key of this node";
	return state == ROTATE_PREPARING ? agent->registry->away.text : "";
}

static json_t *own_key(struct agent *agent, struct rotate_now now)
{
	const struct rotate *rotate = &agent->rotate;
	const struct rotate_identity *own = rotate_publishable(rotate);
	enum rotate_state state = rotate_state(rotate, now);
	int64_t since_ms = rotate_state_since(rotate, state);
	json_t *answer = key(agent->settings->node, true, rotate_state_name(state),
			     own_key_reason(agent, own, state));

	if (!own) {
		add_no_keys(answer);
		return answer;
	}
	add_keys(answer, own->epoch, own->has_key, own->keys);
	json_object_set_new(answer, "age", seconds(now.mono_ms - rotate->current_at_ms));
	json_object_set_new(answer, "since",
			    wall_time(now.wall_ms - (uint64_t)MAX(now.mono_ms - since_ms, 0)));
	if (state == ROTATE_PROVING || state == ROTATE_OVERLAPPING || state == ROTATE_DEGRADED)
		add_proofs(answer, agent);
	if (state == ROTATE_PROVING || state == ROTATE_OVERLAPPING)
		json_object_set_new(answer, "time_left",
				    seconds(rotate_state_end(rotate, state) - now.mono_ms));
	return answer;
}

static json_t *key_status(struct agent *agent, const json_t *request)
{
	struct rotate_now now = agent_rotate_now();
	json_t *list = json_array();

	(void)request;
	peers_refresh_status(agent);
	json_array_append_new(list, own_key(agent, now));
	for (uint32_t i = 0; i < agent->members.count; i++)
		json_array_append_new(list, member_key(member_of(agent->members.items[i]), now));
	return json_pack("{s:o}", "keys", list);
}

/* -- rotate-key, rotate-all -- */

static json_t *refusal(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

static json_t *rotate_key(struct agent *agent, const json_t *request)
{
	const struct rotate_identity *own = rotate_publishable(&agent->rotate);
	const json_t *revoke = json_object_get(request, "revoke");
	bool is_merged;

	if (revoke && !json_is_boolean(revoke))
		return refusal("'revoke': expected true or false");
	if (!own)
		return refusal(
			"this node has no key to rotate: podveil-tunnel is not there, see podveil status");
	is_merged = rotate_ask(&agent->rotate, ROTATE_BY_COMMAND, json_is_true(revoke),
			       agent_rotate_now());
	log_info("a command asks for a rotation of this node's key%s%s",
		 json_is_true(revoke) ? ", and for the end of the old one" : "",
		 is_merged ? ": one is under way, and serves this request too" : "");
	agent_wake(agent);
	return json_pack("{s:b, s:b, s:I, s:o}", "accepted", true, "is_merged", is_merged, "epoch",
			 (json_int_t)own->epoch, "fingerprint",
			 fingerprint(&own->keys[KEY_CURRENT]));
}

static void ask(struct agent *agent, json_t *asked, json_t *failed, const char *node, bool is_self,
		const struct public_key *current, uint64_t epoch)
{
	struct refusal why;

	if (!agent->registry->operations->request(agent->registry, node, &why))
		json_array_append_new(failed,
				      json_pack("{s:s, s:s}", "node", node, "reason", why.text));
	else
		json_array_append_new(asked,
				      json_pack("{s:s, s:b, s:I, s:o}", "node", node, "is_self",
						is_self, "epoch", (json_int_t)epoch, "fingerprint",
						fingerprint(current)));
}

/* Of a node that cannot run the agent no rotation is expected either. */
static bool is_asked(const struct cluster_member *member)
{
	return member->state == MEMBER_USABLE || !member->seen || !member->seen->is_excluded;
}

/* This node last: with the others' requests its own rotation begins at the same time as theirs. */
static json_t *rotate_all(struct agent *agent, const json_t *request)
{
	const struct rotate_identity *own = rotate_publishable(&agent->rotate);
	json_t *asked, *failed;

	if (json_is_true(json_object_get(request, "revoke")))
		return refusal(
			"a key can be revoked on its own node only: run rotate-key --revoke there");
	asked = json_array();
	failed = json_array();
	for (uint32_t i = 0; i < agent->members.count; i++) {
		const struct cluster_member *member = agent->members.items[i];
		const struct annotation *annotation =
			member->chosen ? &member->chosen->annotation : NULL;

		if (is_asked(member))
			ask(agent, asked, failed, member->name, false,
			    annotation ? &annotation->keys[KEY_CURRENT] : NULL,
			    annotation ? annotation->epoch : 0);
	}
	ask(agent, asked, failed, agent->settings->node, true, own ? &own->keys[KEY_CURRENT] : NULL,
	    own ? own->epoch : 0);
	log_info("a command asks all %zu nodes to rotate their keys", json_array_size(asked));
	return json_pack("{s:o, s:o}", "asked", asked, "failed", failed);
}

/* -- mode -- */

static json_t *list_unreached(const struct agent *agent)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < agent->members.count; i++)
		if (!ratchet_was_reached(agent, agent->members.items[i]))
			json_array_append_new(list, json_string(agent->members.items[i]->name));
	return list;
}

/* Whom the tunnel has reached by now is noted first: nobody is named, or goes in clear again, who was. */
static json_t *set_mode(struct agent *agent, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "mode"));
	bool is_permissive = name && !strcmp(name, "permissive");
	enum datapath_mode before = agent->mode;
	json_t *unreached;

	if (!is_permissive && (!name || strcmp(name, "strict")))
		return refusal("'mode': expected strict or permissive");
	if (agent->has_cluster_mode)
		return refusal(
			"the mode is the whole cluster's, and stands in the ConfigMap podveil: edit "
			"that one (kubectl podveil mode, or kubectl -n podveil edit configmap podveil)");
	refresh(agent);
	if (ratchet_set_mode(agent, is_permissive ? MODE_PERMISSIVE : MODE_STRICT))
		return refusal("the mode cannot be changed: see the log of podveil-keyd");
	agent->wanted_mode = agent->mode;
	unreached = list_unreached(agent);
	log_warning("a command sets the mode: %s instead of %s; %zu nodes were never reached", name,
		    mode_name(before), json_array_size(unreached));
	agent_wake(agent);
	return json_pack("{s:s, s:s, s:o}", "mode", name, "before", mode_name(before),
			 "clear_peers", unreached);
}

/* -- dispatch -- */

static const struct verb {
	const char *name;
	json_t *(*answer)(struct agent *agent, const json_t *request);
} verbs[] = {{"status", status},	 {"peers", peers},	     {"key-status", key_status},
	     {"rotate-key", rotate_key}, {"rotate-all", rotate_all}, {"mode", set_mode}};

char *report_answer(void *agent, const char *request, size_t len)
{
	json_auto_t *root = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL), *answer = NULL;
	const char *name = json_string_value(json_object_get(root, "verb"));

	for (unsigned int i = 0; name && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			answer = verbs[i].answer(agent, root);
	if (!answer)
		answer = refusal(
			name ? "unknown verb: expected status, peers, key-status, rotate-key, rotate-all or mode (is "
			       "the podveil command of another version?)"
			     : "no request: expected one line of JSON such as {\"verb\":\"status\"}");
	return json_dumps(answer, JSON_COMPACT);
}
