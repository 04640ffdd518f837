// SPDX-License-Identifier: Apache-2.0
/*
 * A tunnel that answers wrongly, or has another device, is disconnected again: with half a
 * connection this node could publish a key that no tunnel holds.
 */
#include "connection.h"

#include <errno.h>

#include "log.h"
#include "rotate_clock.h"

static const struct backoff_pace pace = {.first_ms = 50, .max_ms = 1000};

void connection_init(struct connection *connection, const char *path)
{
	tunnel_client_init(&connection->client, path);
}

static void lose_tunnel(struct connection *connection, struct members *members,
			struct rotate *rotate)
{
	tunnel_client_close(&connection->client);
	rotate_tunnel_lost(rotate);
	for (uint32_t i = 0; i < members->count; i++) {
		struct member *member = member_of(members->items[i]);

		member->status = (struct control_peer_status){0};
		member->is_sent = false;
	}
}

void connection_delay(struct connection *connection)
{
	backoff_delay(&connection->retry, &pace, boot_ns(), 0);
}

static int open_port(struct connection *connection, uint16_t port, struct verdict *verdict)
{
	int error;

	if (connection->hello.port != port)
		connection->changes++;
	error = tunnel_client_set_device(&connection->client, port);
	if (error == -EADDRINUSE)
		verdict_add_reason(
			verdict, REASON_PORT, "",
			"UDP port %u is in use on this machine: stop the program that uses it, or give every node another --port",
			port);
	else if (error)
		verdict_add_reason(verdict, REASON_PORT, "",
				   "podveil-tunnel cannot open UDP port %u: %s", port,
				   strerror(-error));
	if (error && !connection->has_port && connection_is_open(connection))
		verdict->must_stop = true;
	connection->has_port |= !error;
	return error;
}

/* Without our uid nothing can tell whether the keys are this node's own. */
static void adopt_keys(const struct control_hello *hello, const char *uid, struct rotate *rotate)
{
	struct rotate_identity identity = {.epoch = hello->epoch};

	if (!uid[0])
		return;
	copy_text(identity.uid, sizeof(identity.uid), hello->uid);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		identity.has_key[slot] = hello->has_key[slot];
		identity.keys[slot] = hello->keys[slot];
	}
	rotate_tunnel_found(rotate, &identity, rotate_clock_now());
}

void connection_adopt_keys(struct connection *connection, const char *uid, struct rotate *rotate)
{
	struct control_hello hello;

	if (connection_is_open(connection) && !tunnel_client_hello(&connection->client, &hello))
		adopt_keys(&hello, uid, rotate);
}

static int greet_tunnel(struct connection *connection, const struct settings *settings,
			struct verdict *verdict)
{
	struct control_hello *hello = &connection->hello;
	int error = tunnel_client_hello(&connection->client, hello);

	if (error) {
		verdict_add_reason(
			verdict, REASON_TUNNEL, "",
			"podveil-tunnel at %s sent an invalid answer: %s (is it another version?)",
			settings->tunnel, strerror(-error));
		return error;
	}
	if (strcmp(hello->interface, settings->interface)) {
		verdict_add_reason(
			verdict, REASON_TUNNEL, "",
			"podveil-tunnel at %s has the device %s: expected %s (--interface of both)",
			settings->tunnel, hello->interface, settings->interface);
		return -ENODEV;
	}
	return open_port(connection, settings->port, verdict);
}

static int open_connection(struct connection *connection, const struct settings *settings,
			   struct verdict *verdict)
{
	int error = tunnel_client_connect(&connection->client);

	if (!error)
		return greet_tunnel(connection, settings, verdict);
	verdict_add_reason(
		verdict, REASON_TUNNEL, "",
		"podveil-tunnel does not answer at %s (%s): start it, or give its --control path as --tunnel",
		settings->tunnel, strerror(-error));
	return error;
}

void connection_reach(struct connection *connection, const struct settings *settings,
		      const char *uid, struct members *members, struct rotate *rotate,
		      struct verdict *verdict)
{
	if (connection_is_open(connection))
		return;
	lose_tunnel(connection, members, rotate);
	if (open_connection(connection, settings, verdict)) {
		lose_tunnel(connection, members, rotate);
		connection_delay(connection);
		return;
	}
	connection->retry = (struct backoff){0};
	adopt_keys(&connection->hello, uid, rotate);
	log_info("connected to podveil-tunnel (process %u, device %s)", connection->hello.pid,
		 connection->hello.interface);
}

void connection_follow_device(struct connection *connection, const struct underlay_view *view,
			      const char *interface)
{
	const struct underlay_device *device = underlay_find_device(view, interface);
	struct control_hello hello;

	if (device && device->ifindex != connection->hello.ifindex &&
	    connection_is_open(connection) && !tunnel_client_hello(&connection->client, &hello))
		connection->hello.ifindex = hello.ifindex;
}
