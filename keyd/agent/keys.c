// SPDX-License-Identifier: Apache-2.0
/*
 * Each step is made in the tunnel first and published then. This program may die between any two
 * steps: it reads from the tunnel and the registry where to continue, and never remembers it.
 */
#include "keys.h"

#include <errno.h>
#include <inttypes.h>

#include "crash_point.h"
#include "events.h"
#include "log.h"
#include "rotate_clock.h"

/* A leaky bucket, in case another agent keeps rewriting our record: five at once, then one a
 * second. */
#define PUBLISH_SPACING_NS (1 * NS_PER_S)
#define PUBLISH_BURST_NS   (4 * PUBLISH_SPACING_NS)
/* between two looks at the proofs while peers prove next */
#define PROOFS_NS      (100 * NS_PER_MS)
#define LAST_PROOFS_NS (1 * NS_PER_S) /* and while only the end of previous is awaited */
#define STEPS_MAX      8	      /* at a time; no sequence of steps is as long */

void keys_begin(struct keys *keys, const struct settings *settings, const char *uid,
		const struct node *found)
{
	rotate_init(&keys->rotate, uid, &settings->rotate);
	if (found && found->record == RECORD_VALID)
		rotate_record_seen(&keys->rotate, &found->annotation, rotate_clock_now());
	keys->is_asked = false;
	keys->published_epoch = 0;
}

/* -- our own record -- */

static void fill_record(const struct keys_parts *parts, const struct rotate_identity *own,
			struct node *node)
{
	const struct underlay *underlay = &parts->facts->underlay;
	const struct cluster_self *self = &parts->facts->self;
	struct annotation *annotation = &node->annotation;

	copy_text(node->name, sizeof(node->name), parts->peers.settings->node);
	copy_text(node->uid, sizeof(node->uid), parts->registry->uid);
	node->created_s = parts->registry->created_s;
	node->pod_cidr_count = parts->pod_cidrs->given_count;
	memcpy(node->pod_cidrs, parts->pod_cidrs->given, sizeof(node->pod_cidrs));
	node->address_count = underlay->published_count;
	memcpy(node->addresses, underlay->published, sizeof(node->addresses));
	node->record = RECORD_VALID;
	copy_text(annotation->uid, sizeof(annotation->uid), parts->registry->uid);
	annotation->epoch = own->epoch;
	memcpy(annotation->has_key, own->has_key, sizeof(annotation->has_key));
	memcpy(annotation->keys, own->keys, sizeof(annotation->keys));
	annotation->port = parts->peers.settings->port;
	annotation->endpoint_count = underlay->endpoint_count;
	memcpy(annotation->endpoints, underlay->endpoints, sizeof(annotation->endpoints));
	annotation->pods = self->pods;
	annotation->pod_count = self->pod_count;
	annotation->secrets = self->secrets;
}

static void note_published(struct keys *keys, const struct rotate_identity *own)
{
	keys->publish_ns = MAX(keys->publish_ns, boot_ns()) + PUBLISH_SPACING_NS;
	keys->changes++;
	log_info("published this node's record, epoch %" PRIu64, own->epoch);
	crash_point(own->has_key[KEY_NEXT]	 ? "publish_next"
		    : own->has_key[KEY_PREVIOUS] ? "publish_promoted"
						 : "publish_current");
}

/* A write that is pending is no failure, and a trouble that the registry itself reports is not
 * named twice. */
static void blame_registry(const struct keys_parts *parts, int error)
{
	const struct registry *registry = parts->registry;

	if (error == -EPERM && registry->warning.text[0])
		verdict_add_reason(parts->peers.verdict, REASON_RECORD, "",
				   "--require-admission: nothing is published: %s",
				   registry->warning.text);
	else if (error != -EINPROGRESS && !registry->away.text[0])
		verdict_add_reason(parts->peers.verdict, REASON_RECORD, "",
				   "this node's record cannot be written to %s: %s",
				   parts->peers.settings->registry, strerror(-error));
}

static bool can_publish(const struct keys_parts *parts, const struct rotate_identity *own)
{
	return own && parts->facts->underlay.endpoint_count && parts->registry->fd >= 0 &&
	       pod_cidrs_are_known(parts->pod_cidrs) && connection_is_open(parts->peers.connection);
}

/* A change of keys never waits. Only the same record, which another program keeps changing, is
 * limited in its rate. */
static void publish(const struct keys_parts *parts)
{
	struct keys *keys = parts->keys;
	const struct rotate_identity *own = rotate_publishable(&keys->rotate);
	struct node node = {0};
	int written;

	if (!can_publish(parts, own))
		return;
	if (own->epoch == keys->published_epoch &&
	    boot_ns() + PUBLISH_BURST_NS < keys->publish_ns) {
		schedule_want_pass(parts->schedule, keys->publish_ns - PUBLISH_BURST_NS);
		return;
	}
	fill_record(parts, own, &node);
	written = parts->registry->operations->publish(parts->registry, &node);
	if (written < 0) {
		blame_registry(parts, written);
		return;
	}
	rotate_published(&keys->rotate, rotate_clock_now());
	keys->published_epoch = own->epoch;
	if (written)
		note_published(keys, own);
}

/* -- the peers' proofs -- */

bool keys_judge_peer(const struct member *member, struct rotate_peer *ret_peer)
{
	const struct control_peer_status *status = &member->status;

	if (member->core.state != MEMBER_USABLE && !member->core.is_held)
		return false;
	*ret_peer = (struct rotate_peer){.received_age_ms = UINT64_MAX};
	if (!status->id)
		return true;
	if (status->last_received_age_ns != UINT64_MAX)
		ret_peer->received_age_ms = status->last_received_age_ns / NS_PER_MS;
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		ret_peer->has_proved[slot] = status->has_proved[slot];
	return true;
}

/* Only after the registry was listed: otherwise the rotation would not wait for peers that are
 * still unknown. */
static void count_peers(const struct keys_parts *parts)
{
	struct members *members = parts->peers.members;
	struct rotate *rotate = &parts->keys->rotate;
	const bool *has_key = rotate->armed.has_key;
	struct rotate_census census = {0};
	struct rotate_peer peer;

	if (!(has_key[KEY_NEXT] || has_key[KEY_PREVIOUS]) || !members->is_listed ||
	    !peers_refresh_status(members, parts->peers.connection))
		return;
	for (uint32_t i = 0; i < members->count; i++)
		if (keys_judge_peer(member_of(members->items[i]), &peer))
			rotate_census_add(&census, &peer);
	rotate_peers_counted(rotate, &census);
}

/* "n2, n3 and 4 more" */
static uint32_t name_stragglers(const struct keys_parts *parts, char *text, size_t size)
{
	const struct members *members = parts->peers.members;
	uint32_t count = 0, named = 0;
	struct rotate_peer peer;
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < members->count; i++) {
		const struct member *member = member_of(members->items[i]);

		if (!keys_judge_peer(member, &peer) ||
		    !rotate_waits_for(&parts->keys->rotate, &peer))
			continue;
		count++;
		if (used + strlen(member->core.name) + 32 > size)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s", named++ ? ", " : "",
					 member->core.name);
	}
	if (named < count)
		snprintf(text + used, size - used, " and %u more", count - named);
	return count;
}

/* -- steps -- */

static int make_step(struct tunnel_client *client, const struct rotate_action *action,
		     const char *uid, struct public_key *ret_key)
{
	switch (action->step) {
	case ROTATE_WAIT:
		break;
	case ROTATE_MAKE_KEY:
		return tunnel_client_give_new_key(client, action->slot, uid, action->epoch,
						  ret_key);
	case ROTATE_PROMOTE:
		return tunnel_client_promote(client, action->epoch);
	case ROTATE_CLEAR_KEY:
		return tunnel_client_clear_key(client, action->slot, action->epoch,
					       action->ends_sessions);
	}
	return 0;
}

/* Before the step: after it, the rotation no longer waits for any peer. */
static void report_promotion(const struct keys_parts *parts)
{
	char names[REFUSAL_LEN];
	uint32_t count = name_stragglers(parts, names, sizeof(names));

	if (!count)
		return;
	log_warning(
		"rotation: %u active nodes have not proved this node's next key in time, and keep using "
		"the previous one: %s",
		count, names);
	events_send(parts->registry, EVENT_STRAGGLER,
		    "these nodes have not proved the next key of %s in time, and keep using the "
		    "previous one: %s",
		    parts->peers.settings->node, names);
}

static void report_step(const struct rotate_action *action)
{
	const char *slot = key_slot_name(action->slot);

	switch (action->step) {
	case ROTATE_WAIT:
		break;
	case ROTATE_MAKE_KEY:
		log_info("made this node's %s key, epoch %" PRIu64, slot, action->epoch);
		crash_point(action->slot == KEY_NEXT ? "make_next" : "make_current");
		break;
	case ROTATE_PROMOTE:
		log_info("the next key is the current one now, epoch %" PRIu64, action->epoch);
		crash_point("promote");
		break;
	case ROTATE_CLEAR_KEY:
		log_info("wiped this node's %s key, epoch %" PRIu64 "%s", slot, action->epoch,
			 action->ends_sessions ? ", and ended its sessions" : "");
		crash_point("clear");
		break;
	}
}

static void settle_request(struct keys *keys, struct registry *registry)
{
	if (!keys->is_asked || keys->rotate.is_wanted)
		return;
	registry->operations->settle_request(registry);
	keys->is_asked = false;
	crash_point("settle_request");
}

/* True: a step was due, and is made. */
static bool take_step(const struct keys_parts *parts)
{
	struct keys *keys = parts->keys;
	struct rotate_action action = rotate_next(&keys->rotate, rotate_clock_now());
	struct public_key key;
	int error;

	if (action.step == ROTATE_WAIT)
		return false;
	if (action.step == ROTATE_PROMOTE)
		report_promotion(parts);
	error = make_step(&parts->peers.connection->client, &action, parts->registry->uid, &key);
	if (error) {
		verdict_add_reason(parts->peers.verdict, REASON_KEYS, "",
				   "podveil-tunnel rejected the key change: %s", strerror(-error));
		return false;
	}
	rotate_step_done(&keys->rotate, &action, &key, rotate_clock_now());
	keys->changes++;
	report_step(&action);
	return true;
}

void keys_arm(const struct keys_parts *parts)
{
	parts->keys->rotate.has_census = false; /* the peers may have changed since */
	for (unsigned int i = 0; i < STEPS_MAX && take_step(parts); i++)
		;
	settle_request(parts->keys, parts->registry);
}

/* -- nodes that do not follow -- */

static void warn_of_stragglers(const struct keys_parts *parts)
{
	const struct members *members = parts->peers.members;
	struct rotate_peer peer;

	for (uint32_t i = 0; i < members->count; i++) {
		const struct member *member = member_of(members->items[i]);

		if (keys_judge_peer(member, &peer) && rotate_waits_for(&parts->keys->rotate, &peer))
			verdict_add_warning(
				parts->peers.verdict, WARNING_STRAGGLER, member->core.name,
				"rotation: the overlap is over, and the previous key is still needed by %s: check "
				"whether podveil-keyd there reaches the registry",
				member->core.name);
	}
}

void keys_warn(const struct keys_parts *parts)
{
	struct keys *keys = parts->keys;
	char names[REFUSAL_LEN / 2];

	keys->was_overdue = rotate_state(&keys->rotate, rotate_clock_now()) == ROTATE_DEGRADED;
	if (!keys->was_overdue || !name_stragglers(parts, names, sizeof(names)))
		return;
	warn_of_stragglers(parts);
	events_send(parts->registry, EVENT_STRAGGLER,
		    "the overlap is over, and the previous key of %s is still needed by %s",
		    parts->peers.settings->node, names);
}

/* -- all steps -- */

/* Without a cluster secret there are no preshared keys that would depend on ours. */
static void send_preshared(const struct keys_parts *parts)
{
	const struct peers_parts *peers = &parts->peers;

	if (!parts->facts->self.secrets.count)
		return;
	facts_describe(parts->facts, peers->settings, peers->datapath,
		       rotate_publishable(&parts->keys->rotate), peers->secrets);
	peers_send(peers);
}

static void plan_next_look(struct schedule *schedule, enum rotate_state state)
{
	if (state == ROTATE_PREPARING || state == ROTATE_PROVING)
		schedule->proofs_ns = boot_ns() + PROOFS_NS;
	else if (state == ROTATE_OVERLAPPING || state == ROTATE_DEGRADED)
		schedule->proofs_ns = boot_ns() + LAST_PROOFS_NS;
	else
		schedule->proofs_ns = 0;
}

void keys_advance(const struct keys_parts *parts)
{
	struct keys *keys = parts->keys;
	const struct connection *connection = parts->peers.connection;
	uint64_t changes = keys->changes + connection->changes;
	enum rotate_state state;

	for (unsigned int i = 0; i < STEPS_MAX; i++) {
		publish(parts);
		count_peers(parts);
		if (!take_step(parts))
			break;
		while (keys->rotate.revokes && take_step(parts))
			; /* a revoked key ends before its end is published */
		send_preshared(parts);
	}
	settle_request(keys, parts->registry);
	state = rotate_state(&keys->rotate, rotate_clock_now());
	/* Other parts, and the reports, depend on our keys. */
	if (changes != keys->changes + connection->changes ||
	    (state == ROTATE_DEGRADED) != keys->was_overdue)
		schedule_want_pass(parts->schedule, boot_ns());
	plan_next_look(parts->schedule, state);
}
