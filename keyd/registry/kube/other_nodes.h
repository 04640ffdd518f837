/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other Nodes: the state of each, and which of them must be read again. SHELL. The records
 * themselves go to the agent; kept here is only the data needed to detect a change, and the facts
 * that a Node's metadata does not contain.
 */
#pragma once

#include "kube.h"
#include "node_object.h"

#define NODES_READS_MAX 8 /* at once */

struct other_nodes_facts {
	int64_t created_s;
	uint32_t pod_cidr_count, address_count;
	struct cidr *pod_cidrs; /* one allocation, with the addresses behind them */
	struct address *addresses;
};

struct other_nodes_node {
	char uid[NODE_UID_LEN];
	char version[OBJECT_VERSION_LEN]; /* the newest version received */
	uint8_t digest[NODE_DIGEST_LEN], places[NODE_DIGEST_LEN];
	bool was_told, has_places;
	bool is_listed;	  /* in the list being read */
	bool is_complete; /* its prefixes and addresses are known */
	bool is_being_read;
	uint64_t read_ns; /* read it at this time; 0: no need */
	uint64_t was_read_ns;
	uint32_t failures, incomplete_reads; /* in a row */
	struct other_nodes_facts facts;
	char name[];
};

/* Nodes whose name no node can have. */
struct other_nodes_strays {
	uint32_t count;
	struct refusal text; /* describes one of them */
};

struct other_nodes_read {
	struct other_nodes *nodes;
	int handle; /* 0: free */
	char name[NODE_NAME_LEN];
};

struct other_nodes {
	struct kube *kube;
	struct other_nodes_node **items; /* by name */
	uint32_t count, capacity;
	struct other_nodes_strays strays, listed_strays; /* known; in the list being read */
	struct other_nodes_read reads[NODES_READS_MAX];
};

void other_nodes_init(struct other_nodes *nodes, struct kube *kube);
void other_nodes_clear(struct other_nodes *nodes);

/* The functions for reflector_source. */
void other_nodes_begin_list(struct other_nodes *nodes);
bool other_nodes_handle_item(struct other_nodes *nodes, const json_t *object,
			     struct refusal *refusal);
/* After the last item: a Node that was not in the list is gone. */
void other_nodes_handle_listed(struct other_nodes *nodes, enum reflect_verdict verdict);
/* From a watch of metadata. */
void other_nodes_handle_event(struct other_nodes *nodes, const struct object_event *event);
bool other_nodes_handle_bad_event(struct other_nodes *nodes, const struct object_event *event);
void other_nodes_handle_lost(struct other_nodes *nodes, bool is_in_list, const struct refusal *why);

/* Starts the readings that are due. Returns the time of the next call, in boot_ns. */
uint64_t other_nodes_drive(struct other_nodes *nodes);

/* Any of them; NULL: there is none. */
const char *other_nodes_any_name(const struct other_nodes *nodes);
