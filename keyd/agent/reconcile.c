// SPDX-License-Identifier: Apache-2.0
/*
 * The order of the phases is the order of the promises: this node's facts, keys to the tunnel,
 * peers to the tunnel, prefixes to the maps, and only then the removal of everything that is no
 * longer wanted. A key is published after the tunnel has it; a prefix points to a peer after the
 * tunnel knows the peer. The hooks come before all of that, because a pass may take long, and a new
 * device has no hooks until then. An address that members have come to claim as a pod's loses its
 * bypass before any other step acts on the claim.
 */
#include "reconcile.h"

#include <errno.h>
#include <inttypes.h>

#include "guard/guard.h"
#include "guard/nft_socket.h"
#include "log.h"
#include "questions.h"

/* -- steps that need several parts -- */

static void describe_self(struct agent *agent)
{
	facts_describe(&agent->facts, agent->settings, &agent->datapath,
		       rotate_publishable(&agent->keys.rotate),
		       secret_file_secrets(&agent->secret));
}

static void refresh_secret(struct secret_file *secret, struct verdict *verdict)
{
	secret_file_refresh(secret);
	if (secret->trouble.text[0])
		verdict_add_reason(verdict, REASON_SECRET, "", "%s", secret->trouble.text);
}

static int settle_bypasses(struct agent *agent)
{
	int error =
		bypasses_settle(&agent->bypasses, agent->settings, &agent->members,
				agent->members.is_listed && pod_cidrs_are_known(&agent->pod_cidrs),
				agent->registry, &agent->datapath);

	if (error)
		verdict_add_map_failure(&agent->verdict);
	return error;
}

int reconcile_shut(struct agent *agent)
{
	struct hooks_parts hooks = agent_hooks_parts(agent);
	struct peers_parts peers;
	uint32_t failed;
	int error;

	verdict_begin(&agent->verdict);
	facts_read(&agent->facts, &agent->pod_cidrs, agent->settings, agent->registry,
		   &agent->verdict);
	describe_self(agent);
	error = members_resolve(&agent->members, &agent->facts.self);
	if (error) {
		log_error("not enough memory");
		return error;
	}
	error = settle_bypasses(agent);
	if (error)
		return error;
	hooks_settle_device(&hooks);
	peers = agent_peers_parts(agent);
	error = peers_settle_prefixes(&peers);
	if (error)
		return error;
	hooks_settle_guard(&hooks);
	failed = hooks_settle(&hooks);
	hooks_settle_guard(&hooks);
	/* No device at all could be hooked: the reason is in the log, and no promise could be
	 * kept. */
	return failed && failed == agent->facts.underlay.uplink_count ? -EIO : 0;
}

/* -- the outcome -- */

/* Logs the reasons that the last pass did not have. */
static void log_new(const struct reasons *reasons, const struct reasons *before,
		    enum log_level level)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		if (!reasons_have(before, &reasons->items[i]) &&
		    reasons->items[i].kind != WARNING_RECORD) /* peers.c logs each change of it */
			log_write(level, "%s", reasons->items[i].text);
}

static struct verdict_facts verdict_facts(const struct agent *agent)
{
	return (struct verdict_facts){
		.is_listed = agent->members.is_listed,
		.has_identity = agent->registry->uid[0],
		.are_pods_known = pod_cidrs_are_known(&agent->pod_cidrs),
		.is_connected = connection_is_open(&agent->connection),
		.has_uplink = agent->facts.underlay.uplink_count,
	};
}

static void remove_boot_guard(struct verdict *verdict)
{
	int error = nft_remove_table(BOOT_GUARD_TABLE);

	if (!error)
		log_info("removed the boot guard: the hooks are attached and the peers are known");
	else if (error != -ENOENT)
		verdict_add_reason(verdict, REASON_BOOT_GUARD, "",
				   "the boot guard cannot be removed: %s (remove it with `nft "
				   "delete table inet podveil_boot_guard`)",
				   strerror(-error));
}

static void report_registry(const struct agent *agent, struct verdict *verdict)
{
	const struct registry *registry = agent->registry;
	const struct members *members = &agent->members;

	if (registry->fd < 0)
		verdict_add_reason(verdict, REASON_REGISTRY, "", "the registry %s is unreachable",
				   agent->settings->registry);
	else if (registry->away.text[0])
		verdict_add_reason(verdict, REASON_REGISTRY, "", "%s", registry->away.text);
	if (members->stray_count)
		verdict_add_warning(
			verdict, WARNING_STRAY, "",
			"entries of the registry that name no node: %u; one of them: %s",
			members->stray_count, members->stray.text);
}

static uint64_t count_changes(const struct agent *agent)
{
	return agent->datapath.changes + agent->hooks.changes + agent->connection.changes +
	       agent->keys.changes;
}

static void log_settled(uint64_t changes, uint32_t nodes)
{
	if (changes)
		log_info("settled with %" PRIu64 " changes; %u other nodes", changes, nodes);
	else
		log_info(
			"nothing to change: everything is as an earlier agent left it; %u other nodes",
			nodes);
}

static void judge_pass(struct agent *agent)
{
	struct verdict *verdict = &agent->verdict;
	struct verdict_facts facts = verdict_facts(agent);
	struct verdict_news news;

	log_new(&verdict->reasons, &verdict->reasons_before,
		verdict->must_stop ? LOG_ERROR : LOG_WARNING);
	log_new(&verdict->warnings, &verdict->warnings_before, LOG_WARNING);
	news = verdict_judge(verdict, &facts);
	if (news.has_settled)
		log_settled(count_changes(agent), agent->members.count);
	if (news.is_protected)
		log_info("protected: pod traffic is encrypted or dropped");
}

/* -- the phases of a pass -- */

static void read_facts(struct agent *agent)
{
	struct verdict *verdict = &agent->verdict;

	verdict_begin(verdict);
	refresh_secret(&agent->secret, verdict);
	facts_read(&agent->facts, &agent->pod_cidrs, agent->settings, agent->registry, verdict);
	facts_report_devices(&agent->facts, agent->settings, verdict);
}

/* In one phase with read_facts: hooks_settle detaches the programs from every device that these
 * facts do not show, also from one that appeared since. */
static void settle_hooks(struct agent *agent)
{
	struct hooks_parts hooks = agent_hooks_parts(agent);

	read_facts(agent);
	hooks_repair(&agent->hooks, &agent->datapath);
	agent->verdict.is_tight &= !hooks_settle(&hooks);
}

static void reach_tunnel(struct agent *agent)
{
	connection_reach(&agent->connection, agent->settings, agent->registry->uid, &agent->members,
			 &agent->keys.rotate, &agent->verdict);
	connection_follow_device(&agent->connection, &agent->facts.view,
				 agent->settings->interface);
}

static void arm_keys(struct agent *agent)
{
	struct keys_parts keys = agent_keys_parts(agent);

	keys_arm(&keys);
}

/* An address that members have come to claim as a pod's loses its bypass at the end of this
 * phase, before any other phase acts on the claim. */
static void judge_members(struct agent *agent)
{
	struct verdict *verdict = &agent->verdict;
	struct members *members = &agent->members;

	describe_self(agent);
	peers_identify(members, &agent->datapath, verdict);
	peers_refresh_status(members, &agent->connection);
	peers_note_proofs(members);
	mode_settle(&agent->mode, members, &agent->datapath, &agent->connection, verdict);
	if (members_resolve(members, &agent->facts.self)) {
		verdict_add_reason(verdict, REASON_MEMORY, "", "not enough memory");
		verdict->is_cut_short = true;
		return;
	}
	verdict->is_tight &= !settle_bypasses(agent);
}

static void settle_peers(struct agent *agent)
{
	struct hooks_parts hooks = agent_hooks_parts(agent);
	struct peers_parts peers = agent_peers_parts(agent);
	struct verdict *verdict = &agent->verdict;

	hooks_settle_device(&hooks);
	hooks_report(&agent->hooks, verdict);
	verdict->is_tight &=
		!peers_settle_endpoints(&agent->members, &agent->datapath, false, verdict);
	peers_settle(&peers);
	mode_advance_ratchet(&agent->mode, &agent->members, &agent->datapath, &agent->connection,
			     verdict);
}

/* The bypasses once more: an address that the prefixes have given up may be a server's. */
static void settle_prefixes(struct agent *agent)
{
	struct peers_parts peers = agent_peers_parts(agent);
	struct verdict *verdict = &agent->verdict;

	verdict->is_tight &= !peers_settle_prefixes(&peers);
	verdict->is_tight &= !settle_bypasses(agent);
	verdict->is_tight &= !peers_settle_endpoints(&agent->members, &agent->datapath,
						     agent->members.are_all_listed, verdict);
}

static void clean_up(struct agent *agent)
{
	struct peers_parts peers = agent_peers_parts(agent);

	questions_ask(&agent->members, &agent->connection, &agent->schedule);
	if (agent->members.are_all_listed)
		peers_remove_gone(&peers);
}

static void publish(struct agent *agent)
{
	struct keys_parts keys = agent_keys_parts(agent);

	keys_advance(&keys);
	keys_warn(&keys);
}

static void give_verdict(struct agent *agent)
{
	const struct registry_operations *operations = agent->registry->operations;
	struct verdict *verdict = &agent->verdict;
	struct verdict_facts facts = verdict_facts(agent);

	peers_report_refusals(&agent->members, agent->registry, verdict);
	if (verdict_allows_boot_guard_removal(verdict, &facts))
		remove_boot_guard(verdict);
	mode_report(&agent->mode, verdict);
	report_registry(agent, verdict);
	if (!connection_is_open(&agent->connection) && !agent->connection.retry.due_ns)
		connection_delay(&agent->connection);
	judge_pass(agent);
	if (operations->remove_startup_taint && verdict_allows_pods(verdict, &facts))
		operations->remove_startup_taint(agent->registry);
}

static const struct phase {
	void (*run)(struct agent *agent);
	bool changes_guard; /* the guard's table follows at the end of the phase */
} phases[] = {
	{.run = settle_hooks, .changes_guard = true},
	{.run = reach_tunnel},
	{.run = arm_keys},
	{.run = judge_members},
	{.run = settle_peers},
	{.run = settle_prefixes, .changes_guard = true},
	{.run = clean_up},
	{.run = publish},
	{.run = give_verdict},
};

bool reconcile_run_phase(struct agent *agent, unsigned int number)
{
	struct hooks_parts hooks = agent_hooks_parts(agent);

	phases[number].run(agent);
	if (phases[number].changes_guard)
		hooks_settle_guard(&hooks);
	if (!agent->verdict.is_cut_short)
		return number + 1 < ARRAY_SIZE(phases);
	judge_pass(agent);
	return false;
}
