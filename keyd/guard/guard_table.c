// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's contents are known from our own writes, and distrusted as soon as another program
 * changes the table. Then everything is rewritten in one transaction, so that no packet meets half
 * a table.
 */
#include "guard_table.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "log.h"

void guard_table_init(struct guard_table *guard_table)
{
	*guard_table = (struct guard_table){.fd = -1};
}

static void forget_sets(struct guard_table *guard_table)
{
	for (unsigned int set = 0; set < GUARD_SETS; set++) {
		free(guard_table->sets[set].elements);
		guard_table->sets[set] = (struct guard_table_set){0};
	}
}

void guard_table_close(struct guard_table *guard_table)
{
	cleanup_netlink(&guard_table->socket);
	fd_close(&guard_table->fd);
	forget_sets(guard_table);
	guard_table_init(guard_table);
}

static enum nft_news drain(const struct guard_table *guard_table)
{
	uint32_t own_port = guard_table->socket ? mnl_socket_get_portid(guard_table->socket) : 0;

	return nft_monitor_drain(guard_table->fd, GUARD_TABLE, own_port);
}

bool guard_table_drain(struct guard_table *guard_table)
{
	enum nft_news news = drain(guard_table);

	guard_table->was_touched |= news != NFT_SILENT;
	return guard_table->was_touched;
}

/* Right after our own transaction: an overflow came from our own messages, and rewriting everything
 * would overflow again. */
static void drain_own(struct guard_table *guard_table)
{
	enum nft_news news = drain(guard_table);

	guard_table->was_touched |= news == NFT_TOUCHED;
}

bool guard_table_has_device(const struct guard_table *guard_table, unsigned int ifindex)
{
	const struct guard_table_set *devices = &guard_table->sets[GUARD_DEVICES];

	for (uint32_t i = 0; i < devices->count; i++)
		if (!memcmp(devices->elements[i].key, &ifindex, sizeof(ifindex)))
			return true;
	return false;
}

/* -- the wanted contents -- */

static uint32_t list_reached(const struct datapath *datapath, uint32_t *ret_ids)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < datapath->peer_count; i++)
		if (datapath->peers[i].value.was_reached)
			ret_ids[count++] = datapath->peers[i].id;
	return count;
}

static int list_set(struct guard_table_set *ret_set, const struct guard_facts *facts,
		    enum guard_set set, struct guard_element *room)
{
	uint32_t count = guard_list(facts, set, room);
	struct guard_element *elements = malloc((count + 1) * sizeof(*elements));

	if (!elements)
		return -ENOMEM;
	memcpy(elements, room, count * sizeof(*elements));
	*ret_set = (struct guard_table_set){elements, count};
	return 0;
}

/* The caller frees the sets listed so far, also after a failure. */
static int list_sets(struct guard_table_set ret_sets[static GUARD_SETS],
		     const struct datapath *datapath, const struct guard_table_wish *wish)
{
	CLEANUP_FREE uint32_t *reached = calloc((size_t)datapath->peer_count + 1, sizeof(*reached));
	CLEANUP_FREE struct guard_element *room = NULL;
	struct guard_facts facts = {.entries = datapath->entries,
				    .entry_count = datapath->entry_count,
				    .bypasses = datapath->bypasses,
				    .bypass_count = datapath->bypass_count,
				    .devices = wish->devices,
				    .device_count = wish->device_count,
				    .is_permissive = datapath->config.mode == MODE_PERMISSIVE,
				    .reached = reached};
	int error = 0;

	room = calloc(guard_room(&facts), sizeof(*room));
	if (!reached || !room)
		return -ENOMEM;
	facts.reached_count = list_reached(datapath, reached);
	for (unsigned int set = 0; set < GUARD_SETS && !error; set++)
		error = list_set(&ret_sets[set], &facts, (enum guard_set)set, room);
	return error;
}

/* -- writing -- */

enum extent { CHANGES, WHOLE, RECREATE };

static bool is_same(const struct guard_table_set *a, const struct guard_table_set *b)
{
	return a->count == b->count &&
	       !memcmp(a->elements, b->elements, a->count * sizeof(*a->elements));
}

/* Deletes the table in the same transaction: a table of another shape may refuse our sets and
 * rules. */
static void write_deletion(struct nft_batch *batch)
{
	static const struct {
		uint16_t type, flags;
	} steps[] = {{NFT_MSG_NEWTABLE, NLM_F_CREATE}, {NFT_MSG_DELTABLE, 0}};

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		nft_begin_message(batch, steps[i].type, steps[i].flags);
		nft_put_text(batch, NFTA_TABLE_NAME, GUARD_TABLE);
	}
}

static size_t room_for(const struct guard_table_set sets[static GUARD_SETS])
{
	size_t room = GUARD_RULES_LEN;

	for (unsigned int set = 0; set < GUARD_SETS; set++)
		room += GUARD_SET_LEN + sets[set].count * (size_t)GUARD_ELEMENT_LEN;
	return room;
}

static int commit(const struct guard_table *guard_table,
		  const struct guard_table_set wanted[static GUARD_SETS],
		  const struct guard_table_wish *wish, enum extent extent)
{
	size_t size = room_for(wanted);
	CLEANUP_FREE uint8_t *bytes = malloc(size);
	struct nft_batch batch;

	if (!bytes)
		return -ENOMEM;
	nft_begin(&batch, bytes, size);
	if (extent == RECREATE)
		write_deletion(&batch);
	if (extent != CHANGES)
		guard_write_table(&batch, wish->tunnel_port, wish->may_have_unknown_pods);
	for (unsigned int set = 0; set < GUARD_SETS; set++)
		if (extent != CHANGES || !is_same(&guard_table->sets[set], &wanted[set]))
			guard_write_set(&batch, (enum guard_set)set, wanted[set].elements,
					wanted[set].count);
	if (nft_is_empty(&batch))
		return 0;
	return nft_end(&batch) ? nft_socket_commit(guard_table->socket, &batch) : -EMSGSIZE;
}

static int write_wanted(const struct guard_table *guard_table,
			const struct guard_table_set wanted[static GUARD_SETS],
			const struct guard_table_wish *wish)
{
	int error = commit(guard_table, wanted, wish, guard_table->stands ? CHANGES : WHOLE);

	return error ? commit(guard_table, wanted, wish, RECREATE) : 0;
}

static int rewrite(struct guard_table *guard_table, const struct datapath *datapath,
		   const struct guard_table_wish *wish)
{
	struct guard_table_set wanted[GUARD_SETS] = {0};
	int error = list_sets(wanted, datapath, wish);

	if (!error)
		error = write_wanted(guard_table, wanted, wish);
	if (error) {
		for (unsigned int set = 0; set < GUARD_SETS; set++)
			free(wanted[set].elements);
		return error;
	}
	forget_sets(guard_table);
	memcpy(guard_table->sets, wanted, sizeof(wanted));
	guard_table->datapath_changes = datapath->changes;
	guard_table->may_have_unknown_pods = wish->may_have_unknown_pods;
	return 0;
}

/* -- repair -- */

static int open_sockets(struct guard_table *guard_table)
{
	int error = 0;

	if (!guard_table->socket)
		error = nft_socket_open(&guard_table->socket);
	if (!error && guard_table->fd < 0)
		error = nft_monitor_open(&guard_table->fd);
	return error;
}

/* Checks that our table is still as we wrote it, and logs a change. A program that changes it
 * repeatedly sees it repaired once a second. */
static void doubt(struct guard_table *guard_table, uint64_t now_ns)
{
	bool is_gone = nft_socket_find(guard_table->socket, GUARD_TABLE) == -ENOENT;

	guard_table->was_touched = guard_table->stands && (guard_table->was_touched || is_gone);
	if (!guard_table->was_touched || !repairs_may_go_on(&guard_table->repairs, now_ns))
		return;
	log_warning("the table inet " GUARD_TABLE " was %s by another program; restored",
		    is_gone ? "deleted" : "changed");
	repairs_note(&guard_table->repairs, now_ns);
	guard_table->stands = guard_table->was_touched = false;
}

static bool has_devices(const struct guard_table *guard_table, const struct guard_table_wish *wish)
{
	for (uint32_t i = 0; i < wish->device_count; i++)
		if (!guard_table_has_device(guard_table, wish->devices[i]))
			return false;
	return guard_table->sets[GUARD_DEVICES].count == wish->device_count;
}

static bool is_settled(const struct guard_table *guard_table, const struct datapath *datapath,
		       const struct guard_table_wish *wish)
{
	return guard_table->stands && guard_table->datapath_changes == datapath->changes &&
	       guard_table->may_have_unknown_pods == wish->may_have_unknown_pods &&
	       has_devices(guard_table, wish);
}

void guard_table_settle(struct guard_table *guard_table, const struct datapath *datapath,
			const struct guard_table_wish *wish, uint64_t now_ns)
{
	int error = open_sockets(guard_table), before = guard_table->error;

	if (!error) {
		guard_table_drain(guard_table);
		doubt(guard_table, now_ns);
		if (guard_table->may_have_unknown_pods != wish->may_have_unknown_pods)
			guard_table->stands = false; /* the rules differ */
		if (is_settled(guard_table, datapath, wish))
			return;
		error = rewrite(guard_table, datapath, wish);
		drain_own(guard_table);
	}
	guard_table->stands = !error;
	guard_table->error = error;
	if (error && error != before)
		log_warning(
			"cannot create the nf_tables table inet " GUARD_TABLE
			": %s; until a new device has its hooks, pod packets may leave through it "
			"in cleartext",
			strerror(-error));
}
