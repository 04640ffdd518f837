// SPDX-License-Identifier: Apache-2.0
/*
 * Maps and hooks. Promise 1 depends on the order of writes: a peer's entry is created (unusable:
 * drop) before a prefix refers to it, prefixes are added before others are removed, and a hook is
 * attached before another is detached.
 */
#include "datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>

#include "cluster/sort.h"
#include "log.h"

static int complain(const char *map, const char *action, int error)
{
	log_error("BPF map '%s': cannot %s: %s", map, action, strerror(-error));
	return error;
}

/* -- read from the maps -- */

static int read_config(struct datapath *datapath)
{
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(datapath->maps->config, &zero, &datapath->config))
		return complain("config", "read", -errno);
	return 0;
}

static int read_prefixes(struct datapath *datapath)
{
	struct prefix_entry entry;
	struct prefix_key *last = NULL, key;

	datapath->entries = calloc(PREFIXES_MAX, sizeof(*datapath->entries));
	if (!datapath->entries)
		return -ENOMEM;
	while (datapath->entry_count < PREFIXES_MAX &&
	       !bpf_map_get_next_key(datapath->maps->prefixes, last, &entry.key)) {
		if (!bpf_map_lookup_elem(datapath->maps->prefixes, &entry.key, &entry.value))
			datapath->entries[datapath->entry_count++] = entry;
		key = entry.key;
		last = &key;
	}
	datapath->entry_count = prefix_entries_settle(datapath->entries, datapath->entry_count);
	return 0;
}

/* Index of the first peer with this id or a greater one. */
static uint32_t place_of(const struct datapath *datapath, uint32_t id)
{
	uint32_t low = 0, high = datapath->peer_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (datapath->peers[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct datapath_peer *find_peer(const struct datapath *datapath, uint32_t id)
{
	uint32_t place = place_of(datapath, id);

	return place < datapath->peer_count && datapath->peers[place].id == id
		       ? &datapath->peers[place]
		       : NULL;
}

static int remember_peer(struct datapath *datapath, const struct datapath_peer *peer)
{
	struct datapath_peer *there = find_peer(datapath, peer->id);
	uint32_t place;

	if (there) {
		there->value = peer->value;
		return 0;
	}
	if (datapath->peer_count == datapath->peer_capacity) {
		uint32_t capacity = MAX(64U, 2 * datapath->peer_capacity);
		void *grown = realloc(datapath->peers, capacity * sizeof(*datapath->peers));

		if (!grown)
			return -ENOMEM;
		datapath->peers = grown;
		datapath->peer_capacity = capacity;
	}
	place = place_of(datapath, peer->id);
	memmove(&datapath->peers[place + 1], &datapath->peers[place],
		(datapath->peer_count - place) * sizeof(*datapath->peers));
	datapath->peers[place] = *peer;
	datapath->peer_count++;
	return 0;
}

static int read_peers(struct datapath *datapath)
{
	struct datapath_peer peer = {.was_found = true};
	uint32_t *last = NULL, key;
	int error = 0;

	while (!error && !bpf_map_get_next_key(datapath->maps->peers, last, &peer.id)) {
		if (!bpf_map_lookup_elem(datapath->maps->peers, &peer.id, &peer.value)) {
			peer.value.node[NODE_NAME_LEN - 1] = '\0';
			error = remember_peer(datapath, &peer);
		}
		key = peer.id;
		last = &key;
	}
	return error;
}

static bool is_in_ratchet(const struct datapath *datapath, const char *node)
{
	struct ratchet_key key = {0};
	uint8_t one;

	copy_text(key.node, sizeof(key.node), node);
	return !bpf_map_lookup_elem(datapath->maps->ratchet, &key, &one);
}

static int read_bypasses(struct datapath *datapath)
{
	struct bypass_key *last = NULL, key, found;
	uint8_t value;

	datapath->bypasses = calloc(BYPASSES_MAX, sizeof(*datapath->bypasses));
	if (!datapath->bypasses)
		return -ENOMEM;
	while (datapath->bypass_count < BYPASSES_MAX &&
	       !bpf_map_get_next_key(datapath->maps->bypass, last, &key)) {
		if (!bpf_map_lookup_elem(datapath->maps->bypass, &key, &value))
			datapath->bypasses[datapath->bypass_count++] =
				(struct bypass_entry){key, (enum bypass_value)value};
		found = key;
		last = &found;
	}
	return 0;
}

static int compare_endpoints(const void *context, const void *left, const void *right)
{
	(void)context;
	return memcmp(left, right, sizeof(struct endpoint_key));
}

static int read_endpoints(struct datapath *datapath)
{
	struct endpoint_key *last = NULL;

	datapath->endpoints = calloc(ENDPOINTS_MAX, sizeof(*datapath->endpoints));
	if (!datapath->endpoints)
		return -ENOMEM;
	while (datapath->endpoint_count < ENDPOINTS_MAX &&
	       !bpf_map_get_next_key(datapath->maps->endpoints, last,
				     &datapath->endpoints[datapath->endpoint_count]))
		last = &datapath->endpoints[datapath->endpoint_count++];
	sort_heap(datapath->endpoints, datapath->endpoint_count, sizeof(*datapath->endpoints),
		  compare_endpoints, NULL);
	return 0;
}

static int recall_ratchet(struct datapath *datapath)
{
	int error = 0;

	for (uint32_t i = 0; i < datapath->peer_count && !error; i++)
		if (is_in_ratchet(datapath, datapath->peers[i].value.node))
			error = datapath_note_reached(datapath, datapath->peers[i].id);
	return error;
}

static int make_traffic_entry(const struct datapath *datapath, uint32_t id)
{
	CLEANUP_FREE struct peer_traffic *none = calloc((size_t)datapath->cpu_count, sizeof(*none));

	if (!none)
		return complain("peer_traffic", "write", -ENOMEM);
	if (bpf_map_update_elem(datapath->maps->peer_traffic, &id, none, BPF_NOEXIST) &&
	    errno != EEXIST)
		return complain("peer_traffic", "write", -errno);
	return 0;
}

int datapath_open(struct datapath *datapath, const char *bpffs)
{
	struct loader_options options = {.bpffs = bpffs, .clamp_mss = true};
	int error;

	*datapath = (struct datapath){0};
	error = loader_open(&datapath->loader, &options);
	if (error)
		return error;
	datapath->maps = loader_get_maps(datapath->loader);
	datapath->cpu_count = libbpf_num_possible_cpus();
	error = datapath->cpu_count > 0 ? read_config(datapath) : -EIO;
	if (!error)
		error = read_prefixes(datapath);
	if (!error)
		error = read_peers(datapath);
	if (!error)
		error = recall_ratchet(datapath);
	if (!error)
		error = read_bypasses(datapath);
	if (!error)
		error = read_endpoints(datapath);
	if (!error)
		error = make_traffic_entry(datapath, 0);
	if (error == -ENOMEM)
		log_error("not enough memory to read the BPF maps");
	return error;
}

void datapath_close(struct datapath *datapath)
{
	if (datapath->loader)
		loader_close(datapath->loader);
	free(datapath->entries);
	free(datapath->peers);
	free(datapath->bypasses);
	free(datapath->endpoints);
	*datapath = (struct datapath){0};
}

/* -- write to the maps -- */

int datapath_set_config(struct datapath *datapath, const struct datapath_config *config)
{
	uint32_t zero = 0;

	if (!memcmp(&datapath->config, config, sizeof(*config)))
		return 0;
	if (bpf_map_update_elem(datapath->maps->config, &zero, config, BPF_ANY))
		return complain("config", "write", -errno);
	datapath->config = *config;
	datapath->changes++;
	return 0;
}

static int write_change(const struct datapath *datapath, const struct prefix_change *change)
{
	char text[CIDR_TEXT_LEN + 16];
	struct cidr cidr;
	int error;

	error = change->is_removal
			? bpf_map_delete_elem(datapath->maps->prefixes, &change->entry.key)
			: bpf_map_update_elem(datapath->maps->prefixes, &change->entry.key,
					      &change->entry.value, BPF_ANY);
	if (!error || (change->is_removal && errno == ENOENT))
		return 0;
	error = -errno;
	cidr = prefix_key_to_cidr(&change->entry.key);
	snprintf(text, sizeof(text), "%s ", change->is_removal ? "remove" : "add");
	cidr_format(text + strlen(text), &cidr);
	return complain("prefixes", text, error);
}

/* Applies a written change to `entries`, which stays settled. */
static void remember_change(struct datapath *datapath, const struct prefix_change *change)
{
	struct prefix_entry *entries = datapath->entries;
	uint32_t low = 0, high = datapath->entry_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (prefix_key_compare(&entries[middle].key, &change->entry.key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < datapath->entry_count &&
	    !prefix_key_compare(&entries[low].key, &change->entry.key)) {
		entries[low] = change->entry;
		if (change->is_removal)
			memmove(&entries[low], &entries[low + 1],
				(--datapath->entry_count - low) * sizeof(*entries));
	} else if (!change->is_removal && datapath->entry_count < PREFIXES_MAX) {
		memmove(&entries[low + 1], &entries[low],
			(datapath->entry_count++ - low) * sizeof(*entries));
		entries[low] = change->entry;
	}
}

int datapath_set_prefixes(struct datapath *datapath, const struct prefix_entry *wanted,
			  uint32_t wanted_count, const uint32_t *held, uint32_t held_count,
			  bool may_remove)
{
	CLEANUP_FREE struct prefix_change *changes =
		calloc((size_t)wanted_count + datapath->entry_count + 1, sizeof(*changes));
	uint32_t count;
	int error = 0;

	if (!changes)
		return complain("prefixes", "compare entries", -ENOMEM);
	count = prefix_entries_diff(wanted, wanted_count, datapath->entries, datapath->entry_count,
				    held, held_count, changes);
	for (uint32_t i = 0; i < count && !error; i++) {
		if (changes[i].is_removal && !may_remove)
			break;
		error = write_change(datapath, &changes[i]);
		if (!error) {
			remember_change(datapath, &changes[i]);
			datapath->changes++;
		}
	}
	return error;
}

static int write_bypass(struct datapath *datapath, const struct bypass_change *change)
{
	const struct bypass_entry *entry = &change->entry;
	const uint8_t value = (uint8_t)entry->value;
	char text[BYPASS_TEXT_LEN + 16];
	int error;

	error = change->is_removal
			? bpf_map_delete_elem(datapath->maps->bypass, &entry->key)
			: bpf_map_update_elem(datapath->maps->bypass, &entry->key, &value, BPF_ANY);
	if (!error || (change->is_removal && errno == ENOENT))
		return 0;
	error = -errno;
	snprintf(text, sizeof(text), "%s ", change->is_removal ? "remove" : "add");
	bypass_format(text + strlen(text), &entry->key);
	return complain("bypass", text, error);
}

/* Applies a written change to `bypasses`; the map never holds more than BYPASSES_MAX. */
static void remember_bypass(struct datapath *datapath, const struct bypass_change *change)
{
	struct bypass_entry *entries = datapath->bypasses;
	uint32_t at = 0;

	while (at < datapath->bypass_count &&
	       memcmp(&entries[at].key, &change->entry.key, sizeof(entries[at].key)))
		at++;
	datapath->changes++;
	if (change->is_removal) {
		entries[at] = entries[--datapath->bypass_count];
		return;
	}
	entries[at] = change->entry;
	datapath->bypass_count += at == datapath->bypass_count;
}

/* The programs look into the map only while the count is not 0. This does not write a config that
 * was never written before. */
static int write_bypass_count(struct datapath *datapath)
{
	struct datapath_config config = datapath->config;

	config.bypass_count = datapath->bypass_count;
	return config.abi_version ? datapath_set_config(datapath, &config) : 0;
}

/* A bypass that cannot be written must not keep another one open. */
int datapath_set_bypasses(struct datapath *datapath, const struct bypass_entry *wanted,
			  uint32_t wanted_count)
{
	CLEANUP_FREE struct bypass_change *changes =
		calloc((size_t)wanted_count + datapath->bypass_count + 1, sizeof(*changes));
	int error = 0, failure;
	uint32_t count;

	if (!changes)
		return complain("bypass", "compare entries", -ENOMEM);
	count = bypass_diff(wanted, wanted_count, datapath->bypasses, datapath->bypass_count,
			    changes);
	for (uint32_t i = 0; i < count; i++) {
		failure = write_bypass(datapath, &changes[i]);
		if (!failure)
			remember_bypass(datapath, &changes[i]);
		error = error ? error : failure;
	}
	failure = count ? write_bypass_count(datapath) : 0;
	return error ? error : failure;
}

const char *datapath_node_name(const struct datapath *datapath, uint32_t id)
{
	const struct datapath_peer *peer = find_peer(datapath, id);

	return peer ? peer->value.node : "";
}

static int write_endpoint(struct datapath *datapath, const struct endpoint_key *key,
			  bool is_removal)
{
	const uint8_t one = 1;
	int error;

	error = is_removal ? bpf_map_delete_elem(datapath->maps->endpoints, key)
			   : bpf_map_update_elem(datapath->maps->endpoints, key, &one, BPF_ANY);
	if (!error || (is_removal && errno == ENOENT)) {
		datapath->changes++;
		return 0;
	}
	return complain("endpoints", is_removal ? "remove an entry" : "write", -errno);
}

/* Walks two sorted lists and writes the keys that only the first has. */
static int write_difference(struct datapath *datapath, const struct endpoint_key *these,
			    uint32_t count, const struct endpoint_key *others, uint32_t other_count,
			    bool is_removal)
{
	int error = 0;

	for (uint32_t i = 0, at = 0; i < count && !error; i++) {
		while (at < other_count && compare_endpoints(NULL, &others[at], &these[i]) < 0)
			at++;
		if (at == other_count || compare_endpoints(NULL, &others[at], &these[i]))
			error = write_endpoint(datapath, &these[i], is_removal);
	}
	return error;
}

/* The union of two sorted lists: the content of the map after additions without removals. */
static uint32_t merge_endpoints(struct endpoint_key *ret_all, const struct endpoint_key *a,
				uint32_t a_count, const struct endpoint_key *b, uint32_t b_count)
{
	uint32_t count = 0, i = 0, k = 0;

	while (i < a_count || k < b_count) {
		int order = i == a_count   ? 1
			    : k == b_count ? -1
					   : compare_endpoints(NULL, &a[i], &b[k]);

		ret_all[count++] = order <= 0 ? a[i] : b[k];
		i += order <= 0;
		k += order >= 0;
	}
	return count;
}

static uint32_t drop_duplicates(struct endpoint_key *keys, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!kept || compare_endpoints(NULL, &keys[kept - 1], &keys[i]))
			keys[kept++] = keys[i];
	return kept;
}

int datapath_set_endpoints(struct datapath *datapath, struct endpoint_key *wanted,
			   uint32_t wanted_count, bool may_remove)
{
	uint32_t count;
	struct endpoint_key *all;
	int error;

	sort_heap(wanted, wanted_count, sizeof(*wanted), compare_endpoints, NULL);
	wanted_count = drop_duplicates(wanted, wanted_count);
	error = write_difference(datapath, wanted, wanted_count, datapath->endpoints,
				 datapath->endpoint_count, false);
	if (!error && may_remove)
		error = write_difference(datapath, datapath->endpoints, datapath->endpoint_count,
					 wanted, wanted_count, true);
	if (error)
		return error;
	all = calloc((size_t)wanted_count + datapath->endpoint_count + 1, sizeof(*all));
	if (!all)
		return complain("endpoints", "compare entries", -ENOMEM);
	count = merge_endpoints(all, wanted, wanted_count, datapath->endpoints,
				may_remove ? 0 : datapath->endpoint_count);
	free(datapath->endpoints);
	datapath->endpoints = all;
	datapath->endpoint_count = count;
	return 0;
}

uint32_t datapath_find_id(const struct datapath *datapath, const char *node, bool *ret_was_found)
{
	for (uint32_t i = 0; i < datapath->peer_count; i++)
		if (!strcmp(datapath->peers[i].value.node, node)) {
			*ret_was_found = datapath->peers[i].was_found;
			return datapath->peers[i].id;
		}
	return 0;
}

uint32_t datapath_new_id(const struct datapath *datapath, uint32_t floor)
{
	uint32_t greatest = datapath->peer_count ? datapath->peers[datapath->peer_count - 1].id : 0;

	return MAX(greatest, floor) + 1;
}

static int write_peer(struct datapath *datapath, const struct datapath_peer *peer)
{
	int error;

	if (bpf_map_update_elem(datapath->maps->peers, &peer->id, &peer->value, BPF_ANY))
		return complain("peers", "write", -errno);
	error = remember_peer(datapath, peer);
	if (!error)
		datapath->changes++;
	return error;
}

int datapath_set_peer(struct datapath *datapath, uint32_t id, const char *node, bool is_usable)
{
	const struct datapath_peer *there = find_peer(datapath, id);
	struct datapath_peer peer = {.id = id, .value.is_usable = is_usable};
	int error;

	copy_text(peer.value.node, NODE_NAME_LEN, node);
	if (there && there->value.is_usable == peer.value.is_usable &&
	    !strcmp(there->value.node, peer.value.node))
		return 0;
	peer.value.was_reached =
		(there && there->value.was_reached) || is_in_ratchet(datapath, node);
	error = there ? 0 : make_traffic_entry(datapath, id);
	return error ? error : write_peer(datapath, &peer);
}

bool datapath_was_reached(const struct datapath *datapath, uint32_t id, const char *node)
{
	const struct datapath_peer *peer = find_peer(datapath, id);

	return peer ? peer->value.was_reached : is_in_ratchet(datapath, node);
}

/* Writes the name first: if keyd dies in between, the next one finds it in the ratchet. */
int datapath_note_reached(struct datapath *datapath, uint32_t id)
{
	const struct datapath_peer *there = find_peer(datapath, id);
	struct datapath_peer peer;
	struct ratchet_key key = {0};
	const uint8_t one = 1;
	int error = 0, peer_error;

	if (!there || there->value.was_reached)
		return 0;
	peer = *there;
	peer.value.was_reached = true;
	copy_text(key.node, sizeof(key.node), peer.value.node);
	if (bpf_map_update_elem(datapath->maps->ratchet, &key, &one, BPF_ANY))
		error = complain("ratchet", "write", -errno);
	peer_error = write_peer(datapath, &peer);
	return error ? error : peer_error;
}

int datapath_remove_peer(struct datapath *datapath, uint32_t id)
{
	struct datapath_peer *there = find_peer(datapath, id);
	uint32_t place;

	if (!there)
		return 0;
	if (bpf_map_delete_elem(datapath->maps->peers, &id) && errno != ENOENT)
		return complain("peers", "remove an entry", -errno);
	if (bpf_map_delete_elem(datapath->maps->peer_traffic, &id) && errno != ENOENT)
		return complain("peer_traffic", "remove an entry", -errno);
	place = (uint32_t)(there - datapath->peers);
	memmove(there, there + 1, (--datapath->peer_count - place) * sizeof(*there));
	datapath->changes++;
	return 0;
}

/* -- hooks -- */

static const char *device_name(char name[static IF_NAMESIZE], unsigned int ifindex)
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "#%u", ifindex);
	return name;
}

const char *datapath_program_name(enum loader_program program)
{
	static const char *const names[LOADER_PROGRAMS] = {
		[LOADER_TO_WIRE] = "to_wire",
		[LOADER_FROM_TUNNEL] = "from_tunnel",
		[LOADER_WIRE_GUARD] = "wire_guard",
		[LOADER_FROM_WIRE] = "from_wire",
	};

	return names[program];
}

int datapath_attach_too(struct datapath *datapath, enum loader_program program,
			unsigned int ifindex)
{
	char name[IF_NAMESIZE];
	int error = loader_attach(datapath->loader, program, ifindex);

	if (error)
		return error;
	log_info("%s is attached to %s", datapath_program_name(program),
		 device_name(name, ifindex));
	datapath->changes++;
	return 0;
}

uint32_t datapath_attach(struct datapath *datapath, enum loader_program program,
			 const unsigned int *ifindexes, uint32_t count)
{
	static unsigned int there[DATAPATH_UPLINKS_MAX]; /* large, and only used here */
	uint32_t there_count = loader_list_attached(datapath->loader, program, there,
						    DATAPATH_UPLINKS_MAX),
		 failed = 0;
	char name[IF_NAMESIZE];

	for (uint32_t i = 0; i < count; i++) {
		if (datapath_is_among(there, there_count, ifindexes[i]))
			continue;
		failed += datapath_attach_too(datapath, program, ifindexes[i]) != 0;
	}
	for (uint32_t i = 0; i < there_count; i++) {
		if (datapath_is_among(ifindexes, count, there[i]))
			continue;
		loader_detach(datapath->loader, program, there[i]);
		log_info("%s is detached from %s", datapath_program_name(program),
			 device_name(name, there[i]));
		datapath->changes++;
	}
	return failed;
}

/* -- counters -- */

static void add_traffic(struct traffic *sum, const struct traffic *part)
{
	sum->packets += part->packets;
	sum->bytes += part->bytes;
}

void datapath_add_traffic(const struct datapath *datapath, uint32_t id, struct peer_traffic *sum)
{
	CLEANUP_FREE struct peer_traffic *parts =
		calloc((size_t)datapath->cpu_count, sizeof(*parts));

	if (!parts || bpf_map_lookup_elem(datapath->maps->peer_traffic, &id, parts))
		return;
	for (int cpu = 0; cpu < datapath->cpu_count; cpu++) {
		add_traffic(&sum->to_tunnel, &parts[cpu].to_tunnel);
		add_traffic(&sum->from_tunnel, &parts[cpu].from_tunnel);
		add_traffic(&sum->clear_out, &parts[cpu].clear_out);
		add_traffic(&sum->clear_in, &parts[cpu].clear_in);
	}
}

void datapath_read_drops(const struct datapath *datapath,
			 uint64_t ret_packets[static DROP_REASON_COUNT])
{
	CLEANUP_FREE struct traffic *parts = calloc((size_t)datapath->cpu_count, sizeof(*parts));

	for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++) {
		ret_packets[reason] = 0;
		if (!parts || bpf_map_lookup_elem(datapath->maps->drops, &reason, parts))
			continue;
		for (int cpu = 0; cpu < datapath->cpu_count; cpu++)
			ret_packets[reason] += parts[cpu].packets;
	}
}
