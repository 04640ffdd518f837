/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's pod prefixes, read from its kernel state. CORE; from the values of underlay.h. Needed
 * with CNIs that do not use the prefixes of the Node object: they route to each pod, assign blocks
 * to nodes themselves, or give pods addresses from the node's own subnet.
 *
 * A device leads to pods of this node if it is
 *   a veth     with its other end in another network namespace, with a route to a single address of
 *              the cluster range, and with neither a route through a gateway nor one to more than
 *              single addresses; or
 *   a bridge   with only veths into other network namespaces as ports, with an address whose prefix
 *              is a proper part of the cluster range, and without a route through a gateway.
 * NICs and all other devices never count: mistaking a device for a pod device is a leak. The
 * prefixes are
 *   the single addresses routed to such veths, in any table;
 *   the prefixes of such bridges;
 *   the blocks that are a proper part of the cluster range and have a blackhole route (or one like
 *   it): CNIs mark a node's own blocks in this way.
 * If a route to another machine leads into a bridge's prefix or a block, then the prefix or block
 * is not ours as a whole, and only the single addresses in it count.
 */
#pragma once

#include "underlay.h"

struct pods {
	uint32_t count;
	bool is_cut;				/* there are more */
	struct cidr cidrs[ANNOTATION_PODS_MAX]; /* ascending, disjoint */
};

/* Sets is_pods of every device. */
void pods_mark_devices(struct underlay_view *view, const struct cidr *ranges, uint32_t range_count);

/* After pods_mark_devices. */
void pods_find(struct pods *ret_pods, const struct underlay_view *view, const struct cidr *ranges,
	       uint32_t range_count);

/* Finds evidence that `known` are not this node's pods: a pod of this node outside of them, or a
 * route to another machine inside of them. False: none. */
bool pods_contradict(const struct pods *pods, const struct underlay_view *view,
		     const struct cidr *known, uint32_t known_count, struct cidr *ret_cidr);

/* Finds the routes inside our pod prefixes that lead to other machines: their destinations are no
 * pods of this node. Writes at most `max`; returns how many there are. */
uint32_t pods_find_holes(const struct underlay_view *view, const struct cidr *own,
			 uint32_t own_count, struct cidr *ret_holes, uint32_t max);
