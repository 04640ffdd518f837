/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own Node: read, and written where we may: our record, the request that was served, the startup taint. SHELL.
 */
#pragma once

#include "kube.h"
#include "node_object.h"

enum own_write { OWN_NOTHING, OWN_RECORD, OWN_SERVED, OWN_TAINT };

struct own_node {
	struct kube *kube;
	/* as the API server said last */
	struct object_meta meta; /* uid empty: it has not said anything yet */
	struct node_asks asks;
	struct node *node; /* whole, of ... */
	uint8_t digest[NODE_DIGEST_LEN];
	char version[OBJECT_VERSION_LEN];
	int taint; /* where the startup taint stands; -1: there is none */
	bool is_gone;
	/* reading */
	int read_handle;
	bool wants_reading;
	uint64_t read_not_before_ns, was_read_ns;
	uint32_t read_failures, incomplete_reads;
	struct refusal read_trouble; /* why our Node cannot be read; empty: it can */
	/* writing */
	int write_handle;
	enum own_write writing; /* what is under way */
	char *text;		/* the record that was asked for last; NULL: none */
	uint8_t text_digest[NODE_DIGEST_LEN];
	bool was_written;   /* and own_node_publish has not said so yet */
	bool is_waited_for; /* the agent is to be told when it may try again */
	char told[NODE_REQUEST_MAX + 1], served[NODE_REQUEST_MAX + 1];
	bool was_too_long;
	uint64_t write_not_before_ns;
	uint32_t write_failures;
	struct refusal write_trouble;
};

void own_node_init(struct own_node *own, struct kube *kube);
void own_node_clear(struct own_node *own);

static inline bool own_node_is_known(const struct own_node *own)
{
	return own->meta.uid[0] && !own->is_gone;
}

/* An item of a list. */
void own_node_take_item(struct own_node *own, const json_t *object);
/* Of a watch of metadata. */
void own_node_take_event(struct own_node *own, const struct object_event *event);
/* The list was whole, and we are not in it. */
void own_node_take_absence(struct own_node *own);

/* As registry_operations has them. What cannot be begun at once is not begun later without being asked again: by then it
 * may be wrong. */
MUST_CHECK int own_node_publish(struct own_node *own, const struct annotation *annotation);
void own_node_welcome_pods(struct own_node *own);
void own_node_settle_request(struct own_node *own);

/* The server was away: who knows what it says by now. */
void own_node_look_again(struct own_node *own);

uint64_t own_node_drive(struct own_node *own);
/* The agent is to look again. */
void own_node_tell(struct own_node *own);
/* Why it cannot be read or written; NULL: it can. */
const char *own_node_complaint(const struct own_node *own);
