// SPDX-License-Identifier: Apache-2.0
/*
 * The order of one pass is the order of the promises: who is who, keys to the tunnel, peers to the tunnel, prefixes to
 * the maps, and only then away with what is not wanted any more. A key is published after the tunnel has it; a prefix
 * points to a peer after the tunnel knows the peer.
 */
#include "reconcile.h"

#include <errno.h>
#include <inttypes.h>

#include "attachment.h"
#include "boot_guard.h"
#include "connection.h"
#include "identity.h"
#include "log.h"
#include "peers.h"
#include "ratchet.h"
#include "self.h"

static void blame_secret(struct agent *agent)
{
	if (agent->secret.trouble.text[0])
		agent_blame(agent, "%s", agent->secret.trouble.text);
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

int reconcile_shut(struct agent *agent)
{
	uint32_t failed;
	int error;

	agent->reason_count = 0;
	self_read(agent);
	self_describe(agent);
	error = members_resolve(&agent->members, &agent->self);
	if (error) {
		log_error("not enough memory");
		return error;
	}
	error = settle_bypasses(agent);
	if (error)
		return error;
	attachment_settle_device(agent);
	error = peers_settle_prefixes(agent);
	if (error)
		return error;
	failed = attachment_settle_hooks(agent);
	/* Not one device took it: the reason is in the log, and no promise could be kept. */
	return failed && failed == agent->underlay.uplink_count ? -EIO : 0;
}

/* -- the outcome -- */

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

/* -- the whole -- */

void reconcile(struct agent *agent)
{
	bool is_tight;

	agent->reason_count = 0;
	secret_file_refresh(&agent->secret);
	blame_secret(agent);
	self_read(agent);
	self_blame_devices(agent);
	connection_reach(agent);
	connection_follow_device(agent);
	identity_arm(agent);
	self_describe(agent);
	peers_identify(agent);
	peers_refresh_status(agent);
	peers_note_proofs(agent);
	if (members_resolve(&agent->members, &agent->self)) {
		agent_blame(agent, "not enough memory");
		return;
	}
	is_tight = !settle_bypasses(agent);
	attachment_mend_hooks(agent);
	attachment_settle_device(agent);
	is_tight &= !attachment_settle_hooks(agent);
	attachment_blame_hooks(agent);
	peers_settle(agent);
	ratchet_advance(agent);
	is_tight &= !peers_settle_prefixes(agent);
	if (agent->is_listed)
		peers_remove_gone(agent);
	identity_advance(agent);
	peers_report_refusals(agent);
	relieve_boot_guard(agent, is_tight);
	blame_mode(agent);
	if (agent->registry->fd < 0)
		agent_blame(agent, "the registry %s is away", agent->settings->registry);
	if (!tunnel_client_is_connected(&agent->tunnel) && !agent->connect_ns)
		connection_retry(agent);
	report_outcome(agent);
}
