// SPDX-License-Identifier: Apache-2.0
/*
 * Creates the agent and hands out its parts.
 */
#include "agent.h"

#include "host/clock.h"

struct agent *agent_new(const struct settings *settings)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return NULL;
	agent->settings = settings;
	agent->mode = (struct mode){.current = settings->mode, .wanted = settings->mode};
	secret_file_init(&agent->secret);
	connection_init(&agent->connection, settings->tunnel);
	hooks_init(&agent->hooks);
	return agent;
}

void agent_free(struct agent *agent)
{
	tunnel_client_close(&agent->connection.client);
	hooks_close(&agent->hooks);
	datapath_close(&agent->datapath);
	members_clear(&agent->members);
	facts_clear(&agent->facts);
	secret_file_close(&agent->secret);
	if (agent->registry)
		agent->registry->operations->close(agent->registry);
	free(agent);
}

struct hooks_parts agent_hooks_parts(struct agent *agent)
{
	return (struct hooks_parts){
		.settings = agent->settings,
		.facts = &agent->facts,
		.pod_cidrs = &agent->pod_cidrs,
		.mode = &agent->mode,
		.members = &agent->members,
		.connection = &agent->connection,
		.datapath = &agent->datapath,
		.hooks = &agent->hooks,
		.verdict = &agent->verdict,
	};
}

struct peers_parts agent_peers_parts(struct agent *agent)
{
	return (struct peers_parts){
		.settings = agent->settings,
		.self = &agent->facts.self,
		.secrets = secret_file_secrets(&agent->secret),
		.mode = &agent->mode,
		.are_pods_known = pod_cidrs_are_known(&agent->pod_cidrs),
		.members = &agent->members,
		.connection = &agent->connection,
		.datapath = &agent->datapath,
		.verdict = &agent->verdict,
	};
}

struct keys_parts agent_keys_parts(struct agent *agent)
{
	return (struct keys_parts){
		.peers = agent_peers_parts(agent),
		.pod_cidrs = &agent->pod_cidrs,
		.facts = &agent->facts,
		.registry = agent->registry,
		.keys = &agent->keys,
		.schedule = &agent->schedule,
	};
}

void agent_wake(struct agent *agent)
{
	schedule_want_pass(&agent->schedule, boot_ns());
}
