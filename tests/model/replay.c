// SPDX-License-Identifier: Apache-2.0
/*
 * Plays a run of the rotation's model (rotation.pml, the words after "trace") to the real state machine, keyd/cluster/rotate.c,
 * one for each node: each step of keyd in the run must be the one that the machine wants then, and no record may be
 * published that it would not publish. Exit status 0: it followed to the end; 3: it refused a step, which is named; 2: the
 * run cannot be read. Requests and time come from the run, never from a clock.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cluster/rotate.h"

#define NODES_MAX  3
#define EPOCHS_MAX 64
#define WALL_MS	   1795348800000ULL

struct node {
	struct rotate rotate;
	struct rotate_identity records[EPOCHS_MAX]; /* by the model's epochs */
	unsigned int shown, armed;		    /* the model's epochs */
	unsigned int proved[NODES_MAX], keys[KEY_SLOTS];
	struct rotate_now now;
};

static struct node nodes[NODES_MAX];
static unsigned int node_count;

static struct public_key key_of(unsigned int node, unsigned int number)
{
	struct public_key key = {.bytes = {(uint8_t)(node + 1), (uint8_t)number}};

	return key;
}

static void see_record(struct node *node, unsigned int epoch)
{
	const struct rotate_identity *identity = &node->records[epoch];
	struct annotation record = {.epoch = identity->epoch};

	copy_text(record.uid, sizeof(record.uid), identity->uid);
	memcpy(record.has_key, identity->has_key, sizeof(record.has_key));
	memcpy(record.keys, identity->keys, sizeof(record.keys));
	rotate_record_seen(&node->rotate, &record, node->now);
}

static void begin_node(unsigned int i)
{
	const struct rotate_settings settings = {.overlap_ms = 600000};
	struct rotate_identity *first = &nodes[i].records[1];
	struct node *node = &nodes[i];

	*first = (struct rotate_identity){
		.epoch = WALL_MS, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key_of(i, 1)};
	snprintf(first->uid, sizeof(first->uid), "u-%u", i);
	node->now = (struct rotate_now){.wall_ms = WALL_MS, .mono_ms = 1000000};
	node->shown = node->armed = 1;
	node->keys[KEY_CURRENT] = 1;
	for (unsigned int peer = 0; peer < NODES_MAX; peer++)
		node->proved[peer] = 1;
	rotate_init(&node->rotate, first->uid, &settings);
	rotate_tunnel_found(&node->rotate, first, node->now);
	see_record(node, 1);
}

/* keyd restarts with the state of its tunnel and of the registry. */
static void crash(struct node *node)
{
	const struct rotate_settings settings = node->rotate.settings;
	struct rotate_identity armed = node->rotate.armed;

	rotate_init(&node->rotate, armed.uid, &settings);
	rotate_tunnel_found(&node->rotate, &armed, node->now);
	see_record(node, node->shown);
}

static struct rotate_census count(unsigned int i)
{
	struct rotate_census census = {0};

	for (unsigned int peer = 0; peer < node_count; peer++) {
		struct rotate_peer counted = {.received_age_ms = 0};

		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
			counted.has_proved[slot] =
				nodes[i].keys[slot] && nodes[i].proved[peer] >= nodes[i].keys[slot];
		if (peer != i)
			rotate_census_add(&census, &counted);
	}
	return census;
}

static bool object_to(const char *event, const char *why)
{
	printf("refused: %s: %s\n", event, why);
	return false;
}

static bool step(struct node *node, enum rotate_step wanted, enum key_slot slot,
		 unsigned int number, unsigned int epoch, const char *event)
{
	struct public_key key = key_of((unsigned int)(node - nodes), number);
	struct rotate_action action = rotate_next(&node->rotate, node->now);

	if (action.step != wanted || (wanted != ROTATE_PROMOTE && action.slot != slot))
		return object_to(event, "keyd would do something else");
	rotate_step_done(&node->rotate, &action, &key, node->now);
	node->armed = epoch;
	return true;
}

/* A promotion that does not wait for all proofs comes with the deadline, and not before. */
static bool promote(unsigned int i, unsigned int epoch, const char *event)
{
	struct node *node = &nodes[i];
	struct rotate_census census = count(i);

	rotate_peers_counted(&node->rotate, &census);
	if (census.live_with_next < census.live) {
		if (rotate_next(&node->rotate, node->now).step == ROTATE_PROMOTE)
			return object_to(event, "keyd promotes without proofs before the deadline");
		node->now.mono_ms += ROTATE_DEADLINE_MS;
	}
	if (!step(node, ROTATE_PROMOTE, KEY_CURRENT, 0, epoch, event))
		return false;
	node->keys[KEY_PREVIOUS] = node->keys[KEY_CURRENT];
	node->keys[KEY_CURRENT] = node->keys[KEY_NEXT];
	node->keys[KEY_NEXT] = 0;
	return true;
}

static bool clear(unsigned int i, unsigned int epoch, const char *event)
{
	struct rotate_census census = count(i);

	rotate_peers_counted(&nodes[i].rotate, &census);
	nodes[i].keys[KEY_PREVIOUS] = 0;
	return step(&nodes[i], ROTATE_CLEAR_KEY, KEY_PREVIOUS, 0, epoch, event);
}

static bool publish(unsigned int i, unsigned int epoch, const unsigned int keys[static KEY_SLOTS],
		    const char *event)
{
	struct node *node = &nodes[i];
	const struct rotate_identity *own = rotate_publishable(&node->rotate);

	if (!own || epoch != node->armed)
		return object_to(event, "keyd has not armed what it is to publish");
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		struct public_key key = key_of(i, keys[slot]);

		if (own->has_key[slot] != (keys[slot] != 0) ||
		    (keys[slot] && !public_key_is_equal(&own->keys[slot], &key)))
			return object_to(event, "keyd would publish other keys");
	}
	if (own->epoch <= node->records[node->shown].epoch && epoch > node->shown)
		return object_to(event, "the epoch does not grow");
	node->records[epoch] = *own;
	node->shown = epoch;
	rotate_published(&node->rotate, node->now);
	return true;
}

static bool arm(unsigned int i, unsigned int slot, unsigned int number, unsigned int epoch,
		const char *event)
{
	nodes[i].keys[slot] = number;
	return step(&nodes[i], ROTATE_MAKE_KEY, (enum key_slot)slot, number, epoch, event);
}

/* False: refused. The machine does not react to events of the network and the registry alone. */
static bool play(const char *event)
{
	unsigned int i, a, b, c, keys[KEY_SLOTS];

	if (sscanf(event, "%u", &i) != 1 || i >= node_count)
		return true;
	if (strstr(event, " request"))
		(void)rotate_ask(&nodes[i].rotate, ROTATE_BY_COMMAND, false, nodes[i].now);
	else if (strstr(event, " crash"))
		crash(&nodes[i]);
	else if (sscanf(event, "%*u restore epoch %u", &a) == 1 && a < EPOCHS_MAX)
		see_record(&nodes[i], nodes[i].shown = a);
	else if (sscanf(event, "%*u proof %u key %u", &a, &b) == 2 && a < NODES_MAX)
		nodes[i].proved[a] = b;
	else if (sscanf(event, "%*u arm slot %u key %u epoch %u", &a, &b, &c) == 3 && a < KEY_SLOTS)
		return arm(i, a, b, c, event);
	else if (sscanf(event, "%*u promote epoch %u", &a) == 1)
		return promote(i, a, event);
	else if (sscanf(event, "%*u clear epoch %u", &a) == 1)
		return clear(i, a, event);
	else if (sscanf(event, "%*u publish epoch %u record %u %u %u", &a, &keys[KEY_NEXT],
			&keys[KEY_CURRENT], &keys[KEY_PREVIOUS]) == 4 &&
		 a < EPOCHS_MAX)
		return publish(i, a, keys, event);
	return true;
}

int main(int argc, char **argv)
{
	char line[256];
	unsigned int steps = 0;

	node_count = argc == 2 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;
	if (node_count < 2 || node_count > NODES_MAX) {
		fprintf(stderr, "usage: model_replay NODES <RUN: expected 2 or 3 nodes\n");
		return 2;
	}
	for (unsigned int i = 0; i < node_count; i++)
		begin_node(i);
	for (; fgets(line, sizeof(line), stdin); steps++) {
		line[strcspn(line, "\n")] = '\0';
		if (!play(line))
			return 3;
	}
	printf("followed %u events\n", steps);
	return steps ? 0 : 2;
}
