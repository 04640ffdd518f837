// SPDX-License-Identifier: Apache-2.0
/*
 * The answer to `status`: the state of this node, the settings in use, and all counters. A choice
 * of the administrator that makes podveil protect less than it could is a warning here.
 */
#include "cluster/field.h"
#include "report_parts.h"

static const char *source_name(enum bypass_source source)
{
	static const char *const names[] = {
		[BYPASS_BY_FLAG] = "flag",
		[BYPASS_BY_ACCOUNT] = "account",
		[BYPASS_BY_REGISTRY] = "registry",
		[BYPASS_BY_EARLIER] = "earlier agent",
	};

	return names[source];
}

static json_t *bypass_list(const struct agent *agent)
{
	const struct bypass_table *table = &agent->bypasses.table;
	json_t *list = json_array();

	for (uint32_t i = 0; i < table->count; i++) {
		const struct bypass_item *item = &table->items[i];
		char text[BYPASS_TEXT_LEN], state[BYPASSING_STATE_LEN];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}", "endpoint",
						bypass_format(text, &item->key), "protocols",
						item->source == BYPASS_BY_FLAG ? "tcp,udp" : "tcp",
						"source", source_name(item->source), "state",
						bypasses_format_state(state, &agent->members,
								      &agent->datapath, item)));
	}
	return list;
}

static json_t *device_list(const struct underlay_device *const *devices, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(devices[i]->name));
	return list;
}

static json_t *drop_list(struct agent *agent)
{
	uint64_t packets[DROP_REASON_COUNT];
	struct control_drops tunnel = {0};
	json_t *list = json_array();

	datapath_read_drops(&agent->datapath, packets);
	if (tunnel_client_read_drops(&agent->connection.client, &tunnel))
		tunnel = (struct control_drops){0};
	/* In that case the programs count these losses too: exactly, and on every podveil0 that
	 * has existed. */
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

/* The traffic of all nodes, and that of no node: addresses in the cluster range without an
 * owner. */
static struct peer_traffic traffic_sum(const struct agent *agent)
{
	struct peer_traffic sum = {0};

	datapath_add_traffic(&agent->datapath, 0, &sum);
	for (uint32_t i = 0; i < agent->members.count; i++)
		datapath_add_traffic(&agent->datapath, agent->members.items[i]->id, &sum);
	return sum;
}

static void add_sums(json_t *answer, const struct agent *agent)
{
	struct peer_traffic sum = traffic_sum(agent);

	json_object_set_new(answer, "traffic",
			    json_pack("{s:o, s:o}", "to_tunnel", report_traffic(&sum.to_tunnel),
				      "from_tunnel", report_traffic(&sum.from_tunnel)));
	json_object_set_new(answer, "clear",
			    json_pack("{s:o, s:o}", "out", report_traffic(&sum.clear_out), "in",
				      report_traffic(&sum.clear_in)));
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

static json_t *tunnel_status(const struct agent *agent)
{
	bool is_connected = connection_is_open(&agent->connection);
	json_int_t peers = 0;

	for (uint32_t i = 0; i < agent->members.count; i++)
		peers += member_of(agent->members.items[i])->status.id != 0;
	return json_pack("{s:b, s:o, s:I}", "is_connected", is_connected, "pid",
			 is_connected ? json_integer(agent->connection.hello.pid) : json_null(),
			 "peers", peers);
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
	const struct secret_ids *ids = &agent->facts.self.secrets;

	if (!agent->secret.path)
		return json_null();
	return json_pack("{s:s, s:o, s:b}", "file", agent->secret.path, "ids", secret_list(ids),
			 "accepts_none", secret_accepts_none(ids));
}

static void warn_of_none(const struct agent *agent, struct reasons *list)
{
	json_int_t count = 0;

	if (!agent->secret.path || !secret_accepts_none(&agent->facts.self.secrets))
		return;
	for (uint32_t i = 0; i < agent->members.count; i++) {
		const char *id = report_secret(agent, agent->members.items[i]);

		count += id && !strcmp(id, SECRET_NONE);
	}
	reasons_add(
		list, WARNING_SECRET, "none",
		"--cluster-secret %.128s lists none: nodes without the secret are accepted, and %lld of %u have "
		"no preshared key",
		agent->secret.path, count, agent->members.count);
}

static void warn_of_guard(const struct guard_table *guard_table, struct reasons *list)
{
	if (guard_table->error)
		reasons_add(
			list, WARNING_NO_GUARD, "",
			"no nf_tables guard (%s): until a new device has its hooks, pod packets may leave "
			"through it in cleartext",
			strerror(-guard_table->error));
}

/* The choices of the administrator that make podveil protect less than it could. */
static void list_choices(const struct agent *agent, struct reasons *list)
{
	reasons_clear(list);
	warn_of_none(agent, list);
	if (agent->secret.warning.text[0])
		reasons_add(list, WARNING_SECRET, "file", "%s", agent->secret.warning.text);
	if (agent->registry->warning.text[0])
		reasons_add(list, WARNING_REGISTRY, "", "%s", agent->registry->warning.text);
	warn_of_guard(&agent->hooks.guard_table, list);
}

static void add_texts(const struct reasons *reasons, json_t *texts, json_t *kinds)
{
	for (uint32_t i = 0; i < reasons->count; i++) {
		const struct reason *reason = &reasons->items[i];

		json_array_append_new(texts, json_string(reason->text));
		json_array_append_new(kinds, json_string(reason_kind_name(reason->kind)));
	}
}

/* The administrator's choices come first: no number of faults of other nodes hides them. */
static void add_reasons(json_t *answer, struct agent *agent)
{
	struct reasons *choices = &agent->verdict.choices;
	json_t *reasons = json_array(), *reason_kinds = json_array();
	json_t *warnings = json_array(), *warning_kinds = json_array();

	list_choices(agent, choices);
	add_texts(&agent->verdict.reasons, reasons, reason_kinds);
	add_texts(choices, warnings, warning_kinds);
	add_texts(&agent->verdict.warnings, warnings, warning_kinds);
	json_object_set_new(answer, "reasons", reasons);
	json_object_set_new(answer, "reason_kinds", reason_kinds);
	json_object_set_new(answer, "reason_count",
			    json_integer(reasons_total(&agent->verdict.reasons)));
	json_object_set_new(answer, "warnings", warnings);
	json_object_set_new(answer, "warning_kinds", warning_kinds);
	json_object_set_new(answer, "warning_count",
			    json_integer((json_int_t)reasons_total(choices) +
					 reasons_total(&agent->verdict.warnings)));
}

static const char *mode_origin(const struct agent *agent)
{
	if (agent->mode.is_cluster_wide)
		return "registry";
	if (agent->mode.is_inherited)
		return "earlier agent";
	return agent->mode.current == agent->settings->mode ? "flag" : "command";
}

/* null unless the registry is a server. */
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

json_t *report_status(struct agent *agent, const json_t *request)
{
	const struct settings *settings = agent->settings;
	const struct cluster_self *self = &agent->facts.self;
	const struct underlay *underlay = &agent->facts.underlay;
	json_t *answer, *datapath;

	(void)request;
	report_refresh(agent);
	answer = json_pack("{s:s, s:s, s:s, s:s, s:s}", "version", PODVEIL_VERSION, "node",
			   settings->node, "uid", agent->registry->uid, "mode",
			   mode_name(agent->mode.current), "state",
			   reason_verdict_name(agent->verdict.word));
	add_reasons(answer, agent);
	json_object_set_new(answer, "registry", json_string(settings->registry));
	json_object_set_new(answer, "cluster_secret", cluster_secret(agent));
	json_object_set_new(answer, "cluster_cidrs",
			    field_of_cidrs(self->ranges, self->range_count));
	json_object_set_new(answer, "except_cidrs",
			    field_of_cidrs(settings->excepts, settings->except_count));
	json_object_set_new(answer, "bypasses", bypass_list(agent));
	json_object_set_new(answer, "registry_status", registry_status(agent->registry));
	json_object_set_new(answer, "mode_from", json_string(mode_origin(agent)));
	json_object_set_new(answer, "pod_cidrs", field_of_cidrs(self->pods, self->pod_count));
	json_object_set_new(answer, "pods_from", json_string(pod_cidrs_origin(&agent->pod_cidrs)));
	json_object_set_new(answer, "endpoints",
			    field_of_addresses(underlay->endpoints, underlay->endpoint_count));
	json_object_set_new(answer, "port", json_integer(settings->port));
	json_object_set_new(answer, "interface", json_string(settings->interface));
	json_object_set_new(answer, "mtu", json_integer(agent->hooks.inner_mtu));
	json_object_set_new(answer, "tunnel", tunnel_status(agent));
	datapath =
		json_pack("{s:s, s:o, s:o}", "mechanism", loader_mechanism(agent->datapath.loader),
			  "uplinks", device_list(underlay->uplinks, underlay->uplink_count), "pods",
			  device_list(underlay->pod_devices, underlay->pod_device_count));
	json_object_set_new(answer, "datapath", datapath);
	json_object_set_new(answer, "peers", peer_counts(agent));
	add_sums(answer, agent);
	json_object_set_new(answer, "hooks", hook_list(&agent->hooks.watch));
	json_object_set_new(answer, "guard",
			    json_pack("{s:b, s:I}", "stands", agent->hooks.guard_table.stands,
				      "repairs",
				      (json_int_t)agent->hooks.guard_table.repairs.count));
	json_object_set_new(answer, "drops", drop_list(agent));
	return answer;
}
