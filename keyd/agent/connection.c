// SPDX-License-Identifier: Apache-2.0
/*
 * A tunnel that answers wrongly, or for another device, is left again: half a connection would let a key be published that
 * nobody holds.
 */
#include "connection.h"

#include <errno.h>

#include "host/clock.h"
#include "log.h"

#define CONNECT_FIRST_NS (50 * NS_PER_MS)
#define CONNECT_MAX_NS	 (1 * NS_PER_S)

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

void connection_retry(struct agent *agent)
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
		agent_add_reason(
			agent, REASON_PORT, "",
			"UDP port %u is taken on this machine: stop what uses it, or give every node another --port",
			port);
	else if (error)
		agent_add_reason(agent, REASON_PORT, "",
				 "podveil-tunnel cannot open UDP port %u: %s", port,
				 strerror(-error));
	if (error && !agent->has_port && tunnel_client_is_connected(&agent->tunnel))
		agent->must_end = true;
	agent->has_port |= !error;
	return error;
}

/* Before it is known who this node is, nobody can say whether the keys are its own. */
static void take_keys(struct agent *agent, const struct control_hello *hello)
{
	struct rotate_identity identity = {.epoch = hello->epoch};

	if (!agent->registry->uid[0])
		return;
	copy_text(identity.uid, sizeof(identity.uid), hello->uid);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		identity.has_key[slot] = hello->has_key[slot];
		identity.keys[slot] = hello->keys[slot];
	}
	rotate_tunnel_found(&agent->rotate, &identity, agent_rotate_now());
}

void connection_take_keys(struct agent *agent)
{
	struct control_hello hello;

	if (tunnel_client_is_connected(&agent->tunnel) &&
	    !tunnel_client_hello(&agent->tunnel, &hello))
		take_keys(agent, &hello);
}

static int greet_tunnel(struct agent *agent)
{
	struct control_hello *hello = &agent->hello;
	int error = tunnel_client_hello(&agent->tunnel, hello);

	if (error) {
		agent_add_reason(
			agent, REASON_TUNNEL, "",
			"podveil-tunnel at %s answers wrongly: %s (is it of another version?)",
			agent->settings->tunnel, strerror(-error));
		return error;
	}
	if (strcmp(hello->interface, agent->settings->interface)) {
		agent_add_reason(
			agent, REASON_TUNNEL, "",
			"podveil-tunnel at %s has the device %s: expected %s (--interface of both)",
			agent->settings->tunnel, hello->interface, agent->settings->interface);
		return -ENODEV;
	}
	error = open_port(agent);
	if (error)
		return error;
	take_keys(agent, hello);
	log_info("connected to podveil-tunnel (process %u, device %s)", hello->pid,
		 hello->interface);
	return 0;
}

void connection_reach(struct agent *agent)
{
	int error;

	if (tunnel_client_is_connected(&agent->tunnel))
		return;
	lose_tunnel(agent);
	error = tunnel_client_connect(&agent->tunnel);
	if (error)
		agent_add_reason(
			agent, REASON_TUNNEL, "",
			"podveil-tunnel does not answer at %s (%s): start it, or give its --control path as --tunnel",
			agent->settings->tunnel, strerror(-error));
	else
		error = greet_tunnel(agent);
	if (error) {
		lose_tunnel(agent);
		connection_retry(agent);
		return;
	}
	agent->connect_delay_ns = 0;
}

void connection_follow_device(struct agent *agent)
{
	const struct underlay_device *device =
		underlay_find_device(&agent->view, agent->settings->interface);
	struct control_hello hello;

	if (device && device->ifindex != agent->hello.ifindex &&
	    tunnel_client_is_connected(&agent->tunnel) &&
	    !tunnel_client_hello(&agent->tunnel, &hello))
		agent->hello.ifindex = hello.ifindex;
}
