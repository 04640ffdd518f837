/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of this machine's devices, addresses and routes: which devices lead to other nodes
 * and which to our own pods, which addresses are ours, and how large a packet may be. CORE: judges
 * values that link.c read.
 *
 * If our prefixes are known, the pod devices are those with a direct route into them. If the
 * prefixes are read from the devices themselves, pods.h finds the pod devices.
 */
#pragma once

#include <net/if.h>

#include "cluster/annotation.h"
#include "cluster/cluster.h"
#include "route.h"

#define UNDERLAY_DEVICES_MAX   4096
#define UNDERLAY_OVERHEAD_IPV4 60 /* IP, UDP, WireGuard's 32 bytes */
#define UNDERLAY_OVERHEAD_IPV6 80
#define UNDERLAY_MTU_MIN       576
#define IPV6_MTU_MIN	       1280 /* RFC 8200 */

enum underlay_kind { UNDERLAY_OTHER, UNDERLAY_VETH, UNDERLAY_BRIDGE };

struct underlay_device {
	unsigned int ifindex, master; /* master: 0: none */
	char name[IF_NAMESIZE];
	uint32_t mtu;
	enum underlay_kind kind;
	bool is_loopback, is_up;
	bool has_far_peer;		  /* the other end is in another network namespace */
	bool is_pods;			  /* set by pods_mark_devices */
	int rp_filter, addr_gen_mode;	  /* -1: not reported by the kernel */
	uint16_t vxlan_port, geneve_port; /* 0: not a device of this overlay */
};

struct underlay_address {
	unsigned int ifindex;
	struct cidr prefix; /* with host bits cleared */
	struct address address;
	bool is_global;	 /* neither link-local nor host scope */
	bool is_settled; /* not tentative, failed or deprecated: usable as an endpoint */
};

struct underlay_view {
	struct underlay_device *devices;
	struct underlay_address *addresses;
	struct route *routes; /* of all tables except `local` */
	uint32_t device_count, address_count, route_count;
};

struct underlay_settings {
	const char *interface; /* podveil0 */
	bool is_auto;
	uint32_t uplink_count;
	const char (*uplinks)[IF_NAMESIZE]; /* if not is_auto */
	uint32_t pod_count;
	const struct cidr *pods; /* our own */
	bool are_pods_local;	 /* they are read from the devices: only is_pods counts */
	uint32_t endpoint_count;
	const struct address *endpoints; /* as configured; count 0: choose them here */
};

struct underlay {
	uint32_t uplink_count, pod_device_count;
	const struct underlay_device *uplinks[UNDERLAY_DEVICES_MAX];
	const struct underlay_device *pod_devices[UNDERLAY_DEVICES_MAX];
	uint32_t endpoint_count; /* IPv4 first */
	struct address endpoints[ANNOTATION_ENDPOINTS_MAX];
	uint32_t own_count; /* every global address of this machine, on any device */
	struct address own[CLUSTER_OWN_ADDRESSES_MAX];
	/* The addresses by which other nodes know us: on uplinks, outside our pod prefixes. */
	uint32_t published_count;
	struct address published[NODE_ADDRESSES_MAX];
	uint32_t uplink_mtu; /* smallest of the uplinks that carry endpoints */
};

/* The result points into the view. */
void underlay_judge(struct underlay *ret_underlay, const struct underlay_settings *settings,
		    const struct underlay_view *view);

/* Length of the largest packet that crosses the tunnel unfragmented. */
uint32_t underlay_inner_mtu(uint32_t uplink_mtu, bool has_ipv6_endpoint);

/* MTU of podveil0: the same, except that the kernel disables IPv6 on devices below 1280. The tunnel
 * knows the path MTU itself and splits longer packets. An uplink below 1280 carries IPv4
 * alone. */
uint32_t underlay_device_mtu(uint32_t inner_mtu);

static inline const struct underlay_device *underlay_find_device(const struct underlay_view *view,
								 const char *name)
{
	for (uint32_t i = 0; i < view->device_count; i++)
		if (!strcmp(view->devices[i].name, name))
			return &view->devices[i];
	return NULL;
}
