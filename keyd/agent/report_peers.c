// SPDX-License-Identifier: Apache-2.0
/*
 * The answer to `peers`: for every other node, its record, the verdict on it, and its traffic. The
 * row of a refused node contains the reason, so that no search in the log is needed.
 */
#include "cluster/field.h"
#include "report_parts.h"

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
	const char *secret = report_secret(agent, member);
	char key[KEY_BASE64_LEN + 1] = "";
	struct peer_traffic sum = {0};
	json_t *answer;

	if (annotation)
		public_key_encode(key, &annotation->keys[KEY_CURRENT]);
	datapath_add_traffic(&agent->datapath, member->id, &sum);
	answer = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I}", "node", member->name, "id",
			   (json_int_t)member->id, "uid", member->seen ? member->seen->uid : "",
			   "state", state_name(member), "reason", member->refusal.text, "key", key,
			   "epoch", annotation ? (json_int_t)annotation->epoch : (json_int_t)0);
	json_object_set_new(answer, "secret", json_string(secret ? secret : ""));
	json_object_set_new(answer, "endpoints", published_endpoints(member));
	add_prefixes(answer, agent, member);
	add_status(answer, &member_of(member)->status);
	json_object_set_new(answer, "to_tunnel", report_traffic(&sum.to_tunnel));
	json_object_set_new(answer, "from_tunnel", report_traffic(&sum.from_tunnel));
	json_object_set_new(answer, "was_reached",
			    json_boolean(mode_was_reached(&agent->datapath, member)));
	json_object_set_new(answer, "clear_out", report_traffic(&sum.clear_out));
	json_object_set_new(answer, "clear_in", report_traffic(&sum.clear_in));
	return answer;
}

json_t *report_peers(struct agent *agent, const json_t *request)
{
	json_t *list = json_array();

	(void)request;
	report_refresh(agent);
	for (uint32_t i = 0; i < agent->members.count; i++)
		json_array_append_new(list, peer(agent, agent->members.items[i]));
	return json_pack("{s:o}", "peers", list);
}
