// SPDX-License-Identifier: Apache-2.0
/*
 * A Node is read again if its metadata alone does not contain the new record: it is new, a
 * different Node took its name, it has moved (endpoints or prefixes), or its prefixes were missing
 * so far. Kubelets' status updates change none of this and cost nothing; neither does a rotation.
 */
#include "other_nodes.h"

#include <errno.h>

#include "log.h"

#define BODY_MAX (4 * 1024 * 1024)
/* between two readings of a Node that changes again and again */
#define SPACING_NS     (200 * NS_PER_MS)
#define INCOMPLETE_NS  (5 * NS_PER_S)
#define INCOMPLETE_MAX 7 /* 5 s x 2^7: more than ten minutes */

/* -- the table -- */

void other_nodes_init(struct other_nodes *nodes, struct kube *kube)
{
	*nodes = (struct other_nodes){.kube = kube};
	for (unsigned int i = 0; i < NODES_READS_MAX; i++)
		nodes->reads[i].nodes = nodes;
}

static void node_free(struct other_nodes_node *node)
{
	free(node->facts.pod_cidrs);
	free(node);
}

void other_nodes_clear(struct other_nodes *nodes)
{
	for (unsigned int i = 0; i < NODES_READS_MAX; i++)
		if (nodes->reads[i].handle)
			http_cancel(nodes->kube->http, nodes->reads[i].handle);
	for (uint32_t i = 0; i < nodes->count; i++)
		node_free(nodes->items[i]);
	free(nodes->items);
	*nodes = (struct other_nodes){0};
}

/* The Node's index, or the index at which to insert it. */
static uint32_t place_of(const struct other_nodes *nodes, const char *name)
{
	uint32_t low = 0, high = nodes->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(nodes->items[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct other_nodes_node *find(const struct other_nodes *nodes, const char *name)
{
	uint32_t place = place_of(nodes, name);

	if (place == nodes->count || strcmp(nodes->items[place]->name, name))
		return NULL;
	return nodes->items[place];
}

static bool grow(struct other_nodes *nodes)
{
	uint32_t capacity = MAX(64U, 2 * nodes->capacity);
	void *grown;

	if (nodes->count < nodes->capacity)
		return true;
	grown = realloc(nodes->items, capacity * sizeof(*nodes->items));
	if (!grown)
		return false;
	nodes->items = grown;
	nodes->capacity = capacity;
	return true;
}

/* NULL: no memory, which is logged. */
static struct other_nodes_node *find_or_add(struct other_nodes *nodes, const char *name)
{
	struct other_nodes_node *node = find(nodes, name);
	uint32_t place;

	if (node)
		return node;
	node = calloc(1, sizeof(*node) + strlen(name) + 1);
	if (!node || !grow(nodes)) {
		log_error("not enough memory for node %s", name);
		free(node);
		return NULL;
	}
	memcpy(node->name, name, strlen(name) + 1);
	place = place_of(nodes, name);
	memmove(&nodes->items[place + 1], &nodes->items[place],
		(nodes->count - place) * sizeof(*nodes->items));
	nodes->items[place] = node;
	nodes->count++;
	return node;
}

static void forget(struct other_nodes *nodes, uint32_t place)
{
	node_free(nodes->items[place]);
	nodes->count--;
	memmove(&nodes->items[place], &nodes->items[place + 1],
		(nodes->count - place) * sizeof(*nodes->items));
}

const char *other_nodes_any_name(const struct other_nodes *nodes)
{
	return nodes->count ? nodes->items[randombytes_uniform(nodes->count)]->name : NULL;
}

/* -- facts that the metadata does not contain -- */

static bool save_facts(struct other_nodes_node *known, const struct node *node)
{
	size_t cidrs_len = node->pod_cidr_count * sizeof(*node->pod_cidrs);
	size_t addresses_len = node->address_count * sizeof(*node->addresses);
	struct cidr *room = malloc(cidrs_len + addresses_len + 1);

	if (!room)
		return false;
	free(known->facts.pod_cidrs);
	known->facts = (struct other_nodes_facts){
		.created_s = node->created_s,
		.pod_cidr_count = node->pod_cidr_count,
		.address_count = node->address_count,
		.pod_cidrs = room,
		.addresses = (struct address *)((char *)room + cidrs_len),
	};
	memcpy(known->facts.pod_cidrs, node->pod_cidrs, cidrs_len);
	memcpy(known->facts.addresses, node->addresses, addresses_len);
	return true;
}

static void add_facts(struct node *node, const struct other_nodes_facts *facts)
{
	node->created_s = facts->created_s;
	node->pod_cidr_count = facts->pod_cidr_count;
	node->address_count = facts->address_count;
	memcpy(node->pod_cidrs, facts->pod_cidrs,
	       facts->pod_cidr_count * sizeof(*facts->pod_cidrs));
	memcpy(node->addresses, facts->addresses, facts->address_count * sizeof(*facts->addresses));
}

static bool publishes_places(const struct node *node)
{
	return node->record == RECORD_VALID;
}

static bool is_among(const struct address *addresses, uint32_t count, const struct address *address)
{
	for (uint32_t i = 0; i < count; i++)
		if (address_is_equal(&addresses[i], address))
			return true;
	return false;
}

static bool are_among(const struct address *some, uint32_t some_count, const struct address *all,
		      uint32_t all_count)
{
	for (uint32_t i = 0; i < some_count; i++)
		if (!is_among(all, all_count, &some[i]))
			return false;
	return true;
}

/* A moved node publishes its new address before kubelet does: then each side has an address that
 * the other lacks. */
static bool are_addresses_current(const struct node *node)
{
	const struct annotation *annotation = &node->annotation;

	return !publishes_places(node) ||
	       are_among(node->addresses, node->address_count, annotation->endpoints,
			 annotation->endpoint_count) ||
	       are_among(annotation->endpoints, annotation->endpoint_count, node->addresses,
			 node->address_count);
}

/* For a node that publishes prefixes, the Node's own do not matter: some CNIs never set them. */
static bool is_complete(const struct node *node)
{
	bool has_prefixes =
		node->pod_cidr_count || (publishes_places(node) && node->annotation.pod_count);

	return has_prefixes && node->address_count && are_addresses_current(node);
}

/* -- reporting -- */

static void note_record(struct other_nodes_node *known, const struct node *node,
			const struct node_asks *asks)
{
	memcpy(known->digest, asks->digest, sizeof(known->digest));
	known->has_places = publishes_places(node);
	if (known->has_places)
		node_object_digest_places(&node->annotation, known->places);
	known->was_told = true;
	known->is_complete = is_complete(node);
}

static void tell_bad(struct other_nodes *nodes, struct other_nodes_node *known,
		     const struct refusal *refusal)
{
	struct registry_change change = {.kind = REGISTRY_BAD, .refusal = *refusal};

	copy_text(change.name, sizeof(change.name), known->name);
	known->was_told = true;
	kube_tell(nodes->kube, &change);
}

static void tell_gone(struct other_nodes *nodes, uint32_t place)
{
	struct registry_change change = {.kind = REGISTRY_GONE};
	bool was_told = nodes->items[place]->was_told;

	copy_text(change.name, sizeof(change.name), nodes->items[place]->name);
	forget(nodes, place);
	if (was_told)
		kube_tell(nodes->kube, &change);
}

/* -- Nodes that name no node -- */

static void note_stray(struct other_nodes_strays *strays, const struct refusal *why)
{
	strays->count++;
	strays->text = *why;
}

static void note_misnamed(struct other_nodes_strays *strays, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	struct refusal why;
	struct quote quoted;

	refusal_write(&why, "a Node's name is %s: expected a name of a-z, 0-9, '.' and '-'",
		      quote(&quoted, json_string_value(json_object_get(metadata, "name"))));
	note_stray(strays, &why);
}

static void tell_strays(struct other_nodes *nodes)
{
	struct registry_change change = {.kind = REGISTRY_STRAYS,
					 .stray_count = nodes->strays.count,
					 .refusal = nodes->strays.text};

	kube_tell(nodes->kube, &change);
}

/* -- whole Nodes: items of a list, and single readings -- */

static bool is_reported_already(const struct other_nodes_node *known, const struct node *node,
				const struct node_asks *asks)
{
	const struct other_nodes_facts *facts = &known->facts;

	return known->was_told && !strcmp(known->uid, node->uid) &&
	       !memcmp(known->digest, asks->digest, sizeof(known->digest)) &&
	       facts->created_s == node->created_s &&
	       facts->pod_cidr_count == node->pod_cidr_count &&
	       facts->address_count == node->address_count &&
	       !memcmp(facts->pod_cidrs, node->pod_cidrs,
		       facts->pod_cidr_count * sizeof(*facts->pod_cidrs)) &&
	       !memcmp(facts->addresses, node->addresses,
		       facts->address_count * sizeof(*facts->addresses));
}

/* Returns 0 or -ENOMEM. A record that was reported already is not reported again. */
static int handle_whole_node(struct other_nodes *nodes, struct other_nodes_node *known,
			     const json_t *object, const struct object_meta *meta)
{
	static struct node node; /* large, and only used here */
	struct node_asks asks;
	struct refusal refusal = {0};

	copy_text(known->version, sizeof(known->version), meta->version);
	known->read_ns = 0;
	known->failures = 0;
	known->was_read_ns = boot_ns();
	node_object_decode_asks(object, &asks);
	if (!node_object_decode(object, &node, nodes->kube->pods, &refusal)) {
		memcpy(known->digest, asks.digest, sizeof(known->digest));
		copy_text(known->uid, sizeof(known->uid), meta->uid);
		tell_bad(nodes, known, &refusal);
		return 0;
	}
	known->incomplete_reads = is_complete(&node) ? 0 : known->incomplete_reads + 1;
	if (is_reported_already(known, &node, &asks))
		return 0;
	if (!save_facts(known, &node))
		return -ENOMEM;
	copy_text(known->uid, sizeof(known->uid), node.uid);
	note_record(known, &node, &asks);
	kube_tell_node(nodes->kube, REGISTRY_SEEN, &node);
	return 0;
}

/* Only the name is usable. Clears the digest, so that the next good record counts as a change. */
static void tell_unusable(struct other_nodes *nodes, struct other_nodes_node *known,
			  const struct refusal *why)
{
	memset(known->digest, 0, sizeof(known->digest));
	tell_bad(nodes, known, why);
}

/* Returns 0 or -ENOMEM. */
static int handle_named(struct other_nodes *nodes, struct other_nodes_node *known,
			const json_t *object)
{
	struct object_meta meta;
	struct refusal why = {0};

	if (object_decode_meta(object, &meta, &why) && meta.uid[0])
		return handle_whole_node(nodes, known, object, &meta);
	if (!why.text[0])
		refusal_write(&why, "'metadata' has no valid uid");
	tell_unusable(nodes, known, &why);
	return 0;
}

bool other_nodes_handle_item(struct other_nodes *nodes, const json_t *object,
			     struct refusal *refusal)
{
	struct other_nodes_node *known;
	char name[NODE_NAME_LEN];

	switch (object_find_name(object, name)) {
	case OBJECT_UNNAMED:
		return refuse(refusal, "a Node has no name");
	case OBJECT_MISNAMED:
		note_misnamed(&nodes->listed_strays, object);
		return true;
	case OBJECT_NAMED:
		break;
	}
	known = find_or_add(nodes, name);
	if (!known || handle_named(nodes, known, object))
		return refuse(refusal, "not enough memory for node %s", name);
	known->is_listed = true;
	return true;
}

void other_nodes_begin_list(struct other_nodes *nodes)
{
	nodes->listed_strays.count = 0;
}

void other_nodes_handle_lost(struct other_nodes *nodes, bool is_in_list, const struct refusal *why)
{
	note_stray(is_in_list ? &nodes->listed_strays : &nodes->strays, why);
	if (!is_in_list)
		tell_strays(nodes);
}

void other_nodes_handle_listed(struct other_nodes *nodes, enum reflect_verdict verdict)
{
	nodes->strays = nodes->listed_strays;
	tell_strays(nodes);
	for (uint32_t i = nodes->count; i-- > 0;) {
		if (verdict == REFLECT_WHOLE && !nodes->items[i]->is_listed)
			tell_gone(nodes, i);
		else
			nodes->items[i]->is_listed = false;
	}
}

/* -- metadata: events of the watch -- */

static void want_reading(struct other_nodes_node *known, uint64_t due_ns)
{
	if (!known->read_ns || due_ns < known->read_ns)
		known->read_ns = MAX(due_ns, (uint64_t)1);
}

static void want_completion(struct other_nodes_node *known)
{
	uint64_t wait_ns = INCOMPLETE_NS
			   << MIN(MAX(known->incomplete_reads, 1U) - 1, (uint32_t)INCOMPLETE_MAX);

	want_reading(known, known->was_read_ns + wait_ns);
}

/* True: the metadata contains the new record, which was reported. */
static bool handle_record(struct other_nodes *nodes, struct other_nodes_node *known,
			  const json_t *object, const struct node_asks *asks)
{
	static struct node node; /* large, and only used here */
	uint8_t places[NODE_DIGEST_LEN];
	struct refusal refusal;

	if (!known->facts.pod_cidrs || !known->is_complete ||
	    !node_object_decode(object, &node, nodes->kube->pods, &refusal))
		return false;
	if (publishes_places(&node)) {
		node_object_digest_places(&node.annotation, places);
		if (!known->has_places || memcmp(places, known->places, sizeof(places)))
			return false;
	}
	add_facts(&node, &known->facts);
	memcpy(known->digest, asks->digest, sizeof(known->digest));
	kube_tell_node(nodes->kube, REGISTRY_SEEN, &node);
	return true;
}

static void handle_change(struct other_nodes *nodes, struct other_nodes_node *known,
			  const struct object_event *event)
{
	bool is_same = known->was_told && !strcmp(known->uid, event->meta.uid);
	struct node_asks asks;

	copy_text(known->version, sizeof(known->version), event->meta.version);
	node_object_decode_asks(event->object, &asks);
	if (is_same && !memcmp(known->digest, asks.digest, sizeof(known->digest))) {
		if (!known->is_complete)
			want_completion(known);
		return;
	}
	if (!is_same || !handle_record(nodes, known, event->object, &asks))
		want_reading(known, MAX(boot_ns(), known->was_read_ns + SPACING_NS));
}

void other_nodes_handle_event(struct other_nodes *nodes, const struct object_event *event)
{
	struct other_nodes_node *known;

	if (event->type == OBJECT_DELETED) {
		known = find(nodes, event->meta.name);
		/* A different uid: that Node was deleted earlier, and this one has taken its
		 * name. */
		if (known && (!known->uid[0] || !strcmp(known->uid, event->meta.uid)))
			tell_gone(nodes, place_of(nodes, event->meta.name));
		return;
	}
	known = find_or_add(nodes, event->meta.name);
	if (known)
		handle_change(nodes, known, event);
}

/* Keeps the count approximately; the next list counts exactly. */
static void handle_misnamed(struct other_nodes *nodes, const struct object_event *event)
{
	struct other_nodes_strays *strays = &nodes->strays;

	if (event->type == OBJECT_ADDED || (event->type == OBJECT_MODIFIED && !strays->count))
		note_misnamed(strays, event->object);
	else if (event->type == OBJECT_DELETED && strays->count)
		strays->count--;
	tell_strays(nodes);
}

bool other_nodes_handle_bad_event(struct other_nodes *nodes, const struct object_event *event)
{
	struct other_nodes_node *known;
	char name[NODE_NAME_LEN];

	switch (object_find_name(event->object, name)) {
	case OBJECT_UNNAMED:
		return false;
	case OBJECT_MISNAMED:
		handle_misnamed(nodes, event);
		return true;
	case OBJECT_NAMED:
		break;
	}
	if (event->type == OBJECT_DELETED) {
		known = find(nodes, name);
		if (known && known->uid[0])
			return false; /* only a list tells whether it is the same Node */
		if (known)
			tell_gone(nodes, place_of(nodes, name));
		return true;
	}
	known = find_or_add(nodes, name);
	if (known)
		tell_unusable(nodes, known, &event->refusal);
	return known;
}

/* -- reading -- */

static void read_later(struct other_nodes_node *known, const struct http_result *result)
{
	known->read_ns = kube_back_off_ns(known->failures++, result);
}

/* A server that lags behind may answer with an older state than the watch has already reported. */
static void handle_answer(struct other_nodes *nodes, struct other_nodes_node *known,
			  const struct http_result *result)
{
	struct refusal refusal = {0};
	json_auto_t *object = object_load(result->body, result->body_len, &refusal);
	struct object_meta meta;

	if (!object || !object_decode_meta(object, &meta, &refusal) ||
	    strcmp(meta.name, known->name) || !meta.uid[0]) {
		log_warning("the API server's answer about node %s is not valid: %s", known->name,
			    refusal.text);
		read_later(known, NULL);
	} else if (object_compare_versions(meta.version, known->version) < 0 ||
		   handle_whole_node(nodes, known, object, &meta)) {
		read_later(known, NULL);
	}
}

static void read_ended(void *context, const struct http_result *result)
{
	struct other_nodes_read *reading = context;
	struct other_nodes *nodes = reading->nodes;
	struct other_nodes_node *known = find(nodes, reading->name);
	bool is_good = kube_note_result(nodes->kube, result);

	reading->handle = 0;
	if (!known)
		return; /* it was deleted in the meantime */
	known->is_being_read = false;
	if (is_good)
		handle_answer(nodes, known, result);
	else /* Including 404: only the watch and a complete list prove that a Node is gone. */
		read_later(known, result);
}

static bool start_reading(struct other_nodes_read *reading, struct other_nodes_node *known)
{
	char path[KUBE_PATH_LEN];
	struct http_request request = {.path = kube_node_path(path, known->name, ""),
				       .body_max = BODY_MAX,
				       .timeout_s = KUBE_ANSWER_S,
				       .on_end = read_ended,
				       .context = reading};
	int handle = http_start(reading->nodes->kube->http, &request);

	known->read_ns = 0;
	if (handle < 0) {
		read_later(known, NULL);
		return false;
	}
	reading->handle = handle;
	copy_text(reading->name, sizeof(reading->name), known->name);
	known->is_being_read = true;
	return true;
}

static struct other_nodes_read *find_free(struct other_nodes *nodes)
{
	for (unsigned int i = 0; i < NODES_READS_MAX; i++)
		if (!nodes->reads[i].handle)
			return &nodes->reads[i];
	return NULL;
}

/* When a reading ends, this runs again. */
uint64_t other_nodes_drive(struct other_nodes *nodes)
{
	uint64_t now_ns = boot_ns(), due_ns = UINT64_MAX;

	for (uint32_t i = 0; i < nodes->count; i++) {
		struct other_nodes_node *known = nodes->items[i];
		struct other_nodes_read *reading;

		if (!known->read_ns || known->is_being_read)
			continue;
		if (known->read_ns > now_ns) {
			due_ns = MIN(due_ns, known->read_ns);
			continue;
		}
		reading = find_free(nodes);
		if (!reading)
			break;
		if (!start_reading(reading, known))
			due_ns = MIN(due_ns, known->read_ns);
	}
	return due_ns;
}
