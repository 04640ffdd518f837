/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's pod prefixes, read from what its kernel shows. CORE; from the values of underlay.h. Needed where the CNI
 * does not go by the prefixes of the Node object: a route to each pod, blocks given to the node by the CNI itself, pods
 * with addresses of the node's own subnet.
 *
 * A device leads to pods of this node if it is
 *   a veth     whose other end is in another network namespace, with a route to a single address of the cluster range
 *              and neither a route by a gateway nor one to more than single addresses;
 *   a bridge   all of whose ports are veths into other network namespaces, with an address whose prefix lies in the
 *              cluster range (and is not all of it), and no route by a gateway.
 * Never a NIC, nor anything else: what is wrongly taken for a pod's device is a leak. The prefixes are
 *   the single addresses that are routed to such veths, in whatever table;
 *   the prefixes of such bridges;
 *   the blocks in the cluster range (but not all of it) that are routed to nowhere: so a CNI marks what is this node's.
 * A bridge's prefix or a block into which a route to another machine leads is not ours as a whole; then only the single
 * addresses in it count.
 */
#pragma once

#include "underlay.h"

struct pods {
	uint32_t count;
	bool is_cut;				/* there were more */
	struct cidr cidrs[ANNOTATION_PODS_MAX]; /* ascending, apart from each other */
};

/* Sets is_pods of every device. */
void pods_mark_devices(struct underlay_view *view, const struct cidr *ranges, uint32_t range_count);

/* After pods_mark_devices. */
void pods_find(struct pods *ret_pods, const struct underlay_view *view, const struct cidr *ranges,
	       uint32_t range_count);

/* Something that shows that `known` are not this node's pods: a pod of this node outside of them, or a route to another
 * machine inside of them. False: nothing. */
bool pods_contradict(const struct pods *pods, const struct underlay_view *view,
		     const struct cidr *known, uint32_t known_count, struct cidr *ret_cidr);

/* The routes by which other machines are reached inside our pods: what goes there is not for a pod of this node. Writes
 * at most `max`; returns how many there are. */
uint32_t pods_find_holes(const struct underlay_view *view, const struct cidr *own,
			 uint32_t own_count, struct cidr *ret_holes, uint32_t max);
