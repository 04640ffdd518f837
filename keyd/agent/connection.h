/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to podveil-tunnel: opens it, checks the other end, and reopens it when it is lost.
 * SHELL.
 */
#pragma once

#include "cluster/backoff.h"
#include "cluster/members.h"
#include "cluster/rotate.h"
#include "host/underlay.h"
#include "settings.h"
#include "tunnel_client.h"
#include "verdict.h"

struct connection {
	struct tunnel_client client;
	struct control_hello hello; /* while connected */
	struct backoff retry;
	bool has_port;	  /* the tunnel has opened our port once */
	uint64_t changes; /* made in the tunnel */
	/* For one request at a time; large, and only used during it. */
	struct control_page page;
	struct cidr cidrs[CONTROL_CIDRS_MAX];
};

static inline bool connection_is_open(const struct connection *connection)
{
	return tunnel_client_is_connected(&connection->client);
}

/* When the next attempt is due; UINT64_MAX while connected. */
static inline uint64_t connection_retry_ns(const struct connection *connection)
{
	return connection_is_open(connection) ? UINT64_MAX : connection->retry.due_ns;
}

void connection_init(struct connection *connection, const char *path);

/* If not connected: connects, exchanges hellos, has the port opened, and takes over the keys
 * that the tunnel holds. A failure is a reason, and delays the next attempt. `uid` is this
 * node's; empty: not known yet. */
void connection_reach(struct connection *connection, const struct settings *settings,
		      const char *uid, struct members *members, struct rotate *rotate,
		      struct verdict *verdict);

/* Takes over the keys that the tunnel holds, once this node's uid is known. */
void connection_adopt_keys(struct connection *connection, const char *uid, struct rotate *rotate);

/* Delays the next attempt, by twice as much as before. */
void connection_delay(struct connection *connection);

/* The tunnel replaces its device when another program deletes it, under a new index: asks for
 * that index. */
void connection_follow_device(struct connection *connection, const struct underlay_view *view,
			      const char *interface);
