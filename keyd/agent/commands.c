// SPDX-License-Identifier: Apache-2.0
/*
 * rotate-key, rotate-all, mode. A request to rotate is only noted here or written to the registry;
 * the agent's next pass acts on it.
 */
#include "commands.h"

#include "log.h"
#include "report_parts.h"
#include "rotate_clock.h"

/* -- rotate-key, rotate-all -- */

json_t *command_rotate_key(struct agent *agent, const json_t *request)
{
	const struct rotate_identity *own = rotate_publishable(&agent->keys.rotate);
	const json_t *revoke = json_object_get(request, "revoke");
	bool is_merged;

	if (revoke && !json_is_boolean(revoke))
		return report_refusal("'revoke': expected true or false");
	if (!own)
		return report_refusal(
			"this node has no key to rotate: podveil-tunnel is not connected, see podveil status");
	is_merged = rotate_ask(&agent->keys.rotate, ROTATE_BY_COMMAND, json_is_true(revoke),
			       rotate_clock_now());
	log_info("a command asks for a rotation of this node's key%s%s",
		 json_is_true(revoke) ? ", and revokes the old one" : "",
		 is_merged ? ": one is under way, and serves this request too" : "");
	agent_wake(agent);
	return json_pack("{s:b, s:b, s:I, s:o}", "accepted", true, "is_merged", is_merged, "epoch",
			 (json_int_t)own->epoch, "fingerprint",
			 report_fingerprint(&own->keys[KEY_CURRENT]));
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
						report_fingerprint(current)));
}

/* A node that cannot run the agent is not expected to rotate either. */
static bool is_asked(const struct cluster_member *member)
{
	return member->state == MEMBER_USABLE || !member->seen || !member->seen->is_excluded;
}

/* This node comes last: it is asked through the registry like the others, so all rotations begin
 * at the same time. */
json_t *command_rotate_all(struct agent *agent, const json_t *request)
{
	const struct rotate_identity *own = rotate_publishable(&agent->keys.rotate);
	json_t *asked, *failed;

	if (json_is_true(json_object_get(request, "revoke")))
		return report_refusal(
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
		if (!mode_was_reached(&agent->datapath, agent->members.items[i]))
			json_array_append_new(list, json_string(agent->members.items[i]->name));
	return list;
}

/* First notes the nodes that the tunnel has reached by now: such a node is not listed as
 * unreached, and no traffic to it is sent in cleartext again. */
json_t *command_mode(struct agent *agent, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "mode"));
	bool is_permissive = name && !strcmp(name, "permissive");
	enum datapath_mode before = agent->mode.current;
	json_t *unreached;

	if (!is_permissive && (!name || strcmp(name, "strict")))
		return report_refusal("'mode': expected strict or permissive");
	if (agent->mode.is_cluster_wide)
		return report_refusal(
			"the ConfigMap podveil sets the mode of the whole cluster: edit it there "
			"(kubectl podveil mode, or kubectl -n podveil edit configmap podveil)");
	report_refresh(agent);
	if (mode_set(&agent->mode, &agent->datapath, is_permissive ? MODE_PERMISSIVE : MODE_STRICT))
		return report_refusal("the mode cannot be changed: see the log of podveil-keyd");
	agent->mode.wanted = agent->mode.current;
	unreached = list_unreached(agent);
	log_warning("a command sets the mode: %s instead of %s; %zu nodes were never reached", name,
		    mode_name(before), json_array_size(unreached));
	agent_wake(agent);
	return json_pack("{s:s, s:s, s:o}", "mode", name, "before", mode_name(before),
			 "clear_peers", unreached);
}
