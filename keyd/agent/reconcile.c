// SPDX-License-Identifier: Apache-2.0
/*
 * The order of one pass is the order of the promises: who is who, keys to the tunnel, peers to the tunnel, prefixes to
 * the maps, and only then away with what is not wanted any more. A key is published after the tunnel has it; a prefix
 * points to a peer after the tunnel knows the peer. Before all of that come the hooks: a pass may take long, and a device
 * that is new has none until then. An address that members have come to claim as a pod's loses its bypass before any other
 * step acts on the claim.
 */
#include "reconcile.h"

#include <errno.h>
#include <inttypes.h>

#include "connection.h"
#include "facts.h"
#include "guard/boot_guard.h"
#include "hooks.h"
#include "keys.h"
#include "log.h"
#include "peers.h"
#include "pod_cidrs.h"
#include "questions.h"
#include "ratchet.h"

static void blame_secret(struct agent *agent)
{
	if (agent->secret.trouble.text[0])
		agent_add_reason(agent, REASON_SECRET, "", "%s", agent->secret.trouble.text);
}

static int settle_bypasses(struct agent *agent)
{
	int error = bypasses_settle(&agent->bypasses, agent->settings, &agent->members,
				    agent->is_listed && pod_cidrs_are_known(agent), agent->registry,
				    &agent->datapath);

	if (error)
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	return error;
}

/* Whom the tunnel has reached by now was noted before: nobody goes in clear again who was. */
static void settle_mode(struct agent *agent)
{
	enum datapath_mode wanted = agent->wanted_mode;

	if (wanted == agent->mode)
		return;
	ratchet_advance(agent);
	if (ratchet_set_mode(agent, wanted))
		agent_add_reason(agent, REASON_MAPS, "", "the BPF maps cannot be written");
	else
		log_warning("%s: %s",
			    agent->has_cluster_mode
				    ? "the registry sets the mode"
				    : "the registry says no mode, so that of the flags holds",
			    wanted == MODE_PERMISSIVE ? "permissive" : "strict");
}

/* False: not every device that leads to other nodes has them. */
static bool settle_hooks(struct agent *agent)
{
	bool is_tight;

	hooks_repair(agent);
	is_tight = !hooks_settle(agent);
	hooks_settle_guard(agent);
	return is_tight;
}

static void blame_mode(struct agent *agent)
{
	if (agent->mode == MODE_PERMISSIVE)
		agent_add_reason(
			agent, REASON_MODE, "",
			"THE MODE IS PERMISSIVE: to and from nodes that were never reached, pod traffic goes in clear");
}

int reconcile_shut(struct agent *agent)
{
	uint32_t failed;
	int error;

	reasons_clear(&agent->reasons);
	facts_read(agent);
	facts_describe(agent);
	error = members_resolve(&agent->members, &agent->self);
	if (error) {
		log_error("not enough memory");
		return error;
	}
	error = settle_bypasses(agent);
	if (error)
		return error;
	hooks_settle_device(agent);
	error = peers_settle_prefixes(agent);
	if (error)
		return error;
	hooks_settle_guard(agent);
	failed = hooks_settle(agent);
	hooks_settle_guard(agent);
	/* Not one device took it: the reason is in the log, and no promise could be kept. */
	return failed && failed == agent->underlay.uplink_count ? -EIO : 0;
}

/* -- the outcome -- */

/* Those that are new since the last pass. */
static void log_new(const struct reasons *reasons, const struct reasons *before,
		    enum log_level level)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		if (!reasons_have(before, &reasons->items[i]) &&
		    reasons->items[i].kind != WARNING_RECORD) /* peers.c logs each change of it */
			log_write(level, "%s", reasons->items[i].text);
}

static bool is_whole(const struct agent *agent)
{
	return agent->is_listed && agent->registry->uid[0] && pod_cidrs_are_known(agent) &&
	       tunnel_client_is_connected(&agent->tunnel);
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
		agent_add_reason(agent, REASON_BOOT_GUARD, "",
				 "the boot guard cannot be removed: %s (remove it with `nft "
				 "delete table inet podveil_boot_guard`)",
				 strerror(-error));
}

/* Only to a node that does what its mode promises. */
static void welcome_pods(struct agent *agent, bool is_tight)
{
	const struct registry_operations *operations = agent->registry->operations;

	if (operations->welcome_pods && is_tight && agent->underlay.uplink_count &&
	    (agent->verdict == VERDICT_PROTECTED || agent->verdict == VERDICT_PERMISSIVE))
		operations->welcome_pods(agent->registry);
}

static void blame_registry(struct agent *agent)
{
	if (agent->registry->fd < 0)
		agent_add_reason(agent, REASON_REGISTRY, "", "the registry %s is away",
				 agent->settings->registry);
	else if (agent->registry->away.text[0])
		agent_add_reason(agent, REASON_REGISTRY, "", "%s", agent->registry->away.text);
}

static void warn_of_strays(struct agent *agent)
{
	if (agent->stray_count)
		agent_add_warning(agent, WARNING_STRAY, "",
				  "entries of the registry that name no node: %u; one of them: %s",
				  agent->stray_count, agent->stray.text);
}

static void report_outcome(struct agent *agent)
{
	uint64_t changes = agent->changes + agent->datapath.changes;
	enum reason_verdict verdict;

	log_new(&agent->reasons, &agent->reasons_before, agent->must_end ? LOG_ERROR : LOG_WARNING);
	log_new(&agent->warnings, &agent->warnings_before, LOG_WARNING);
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
	verdict = reasons_judge(&agent->reasons, is_whole(agent), agent->has_settled);
	if (verdict == VERDICT_PROTECTED && agent->verdict != VERDICT_PROTECTED)
		log_info("protected: pod traffic is encrypted or dropped");
	agent->verdict = verdict;
	agent->reasons_before = agent->reasons;
	agent->warnings_before = agent->warnings;
}

/* -- the whole -- */

void reconcile(struct agent *agent)
{
	bool is_tight;

	reasons_clear(&agent->reasons);
	reasons_clear(&agent->warnings);
	secret_file_refresh(&agent->secret);
	blame_secret(agent);
	facts_read(agent);
	facts_report_devices(agent);
	is_tight = settle_hooks(agent);
	connection_reach(agent);
	connection_follow_device(agent);
	keys_arm(agent);
	hooks_attach_new(agent);
	facts_describe(agent);
	peers_identify(agent);
	peers_refresh_status(agent);
	peers_note_proofs(agent);
	settle_mode(agent);
	if (members_resolve(&agent->members, &agent->self)) {
		agent_add_reason(agent, REASON_MEMORY, "", "not enough memory");
		report_outcome(agent);
		return;
	}
	is_tight &= !settle_bypasses(agent);
	hooks_attach_new(agent);
	hooks_settle_device(agent);
	hooks_report(agent);
	is_tight &= !peers_settle_endpoints(agent, false);
	peers_settle(agent);
	ratchet_advance(agent);
	hooks_attach_new(agent);
	is_tight &= !peers_settle_prefixes(agent);
	is_tight &=
		!settle_bypasses(agent); /* an address that the maps gave up may be a server's */
	is_tight &= !peers_settle_endpoints(agent, agent->are_all_listed);
	hooks_settle_guard(agent);
	questions_ask(agent);
	if (agent->are_all_listed)
		peers_remove_gone(agent);
	keys_advance(agent);
	keys_warn(agent);
	hooks_attach_new(agent);
	peers_report_refusals(agent);
	relieve_boot_guard(agent, is_tight);
	blame_mode(agent);
	blame_registry(agent);
	warn_of_strays(agent);
	if (!tunnel_client_is_connected(&agent->tunnel) && !agent->connect_ns)
		connection_retry(agent);
	report_outcome(agent);
	welcome_pods(agent, is_tight);
}
