/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own Node: reads it, and writes the parts that we may write: our record, the served request,
 * the startup taint. SHELL.
 */
#pragma once

#include "kube.h"
#include "node_object.h"

enum own_write { OWN_NOTHING, OWN_RECORD, OWN_SERVED, OWN_TAINT };

struct own_node {
	struct kube *kube;
	/* the API server's latest state */
	struct object_meta meta; /* uid empty: none received yet */
	struct node_asks asks;
	struct node *node; /* the whole object, with ... */
	uint8_t digest[NODE_DIGEST_LEN];
	char version[OBJECT_VERSION_LEN];
	int taint; /* index of the startup taint; -1: there is none */
	bool is_gone;
	/* reading */
	int read_handle;
	bool wants_reading;
	uint64_t read_not_before_ns, was_read_ns;
	uint32_t read_failures, incomplete_reads;
	struct refusal read_trouble; /* why our Node is unreadable; empty: it is readable */
	/* writing */
	int write_handle;
	enum own_write writing; /* the running write */
	char *text;		/* the record requested last; NULL: none */
	uint8_t text_digest[NODE_DIGEST_LEN];
	bool was_written;   /* ... and own_node_publish has not returned that yet */
	bool is_waited_for; /* tell the agent when it may try again */
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
void own_node_handle_item(struct own_node *own, const json_t *object);
/* From a watch of metadata. */
void own_node_handle_event(struct own_node *own, const struct object_event *event);
/* The list was complete, and did not contain our Node. */
void own_node_handle_absence(struct own_node *own);

/* As in registry_operations. A write that cannot start at once does not start later without a new
 * request: by then it may be wrong. */
MUST_CHECK int own_node_publish(struct own_node *own, const struct annotation *annotation);
void own_node_remove_startup_taint(struct own_node *own);
void own_node_settle_request(struct own_node *own);

/* The server was unreachable: its state may have changed in the meantime. */
void own_node_look_again(struct own_node *own);

uint64_t own_node_drive(struct own_node *own);
/* Tells the agent to check again. */
void own_node_tell(struct own_node *own);
/* Why it cannot be read or written; NULL: it can. */
const char *own_node_complaint(const struct own_node *own);
