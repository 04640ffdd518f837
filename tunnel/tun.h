/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TUN device: source and sink of the cleartext packets, super-packets whole. Opened by the
 * parent, used by the engine, which has no privileges and follows the device's MTU and state
 * without opening anything.
 */
#pragma once

#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/uio.h>

#include "util.h"

#define TUN_DEFAULT_MTU 1420 /* of a new device: for an uplink of 1500 with IPv6 outside */
#define TUN_PACKET_MAX	65535

struct tun {
	int fd;	    /* non-blocking; each read and write is one virtio header and one packet */
	int events; /* readable after any link changed */
	int stats;  /* to read the kernel's drop counters */
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	uint32_t mtu;
	bool is_up;
	bool takes_tcp_super, takes_udp_super; /* TSO and USO, in both directions */
};

#define TUN_CLOSED                                  \
	{                                           \
		.fd = -1, .events = -1, .stats = -1 \
	}

/* Creates the device, or takes over one of that name that no process has open. False after logging
 * the reason. */
MUST_CHECK bool tun_open(struct tun *tun, const char *name);

/* After the device was deleted: creates one of the same name, with the first MTU and down, and
 * replaces the stale descriptor. Called by the parent. False after logging the reason. */
MUST_CHECK bool tun_recreate(struct tun *tun);

/* The device disappears with its last descriptor, unless it was made persistent. */
void tun_close(struct tun *tun);

/* Consumes the pending events and rereads name, MTU and state. -ENODEV: the device is in another
 * network namespace; it is assumed to be up and its MTU is kept. -EBADFD: it is gone. */
MUST_CHECK int tun_follow(struct tun *tun);

/* Index of any device of the network namespace by its name; 0: none. */
uint32_t tun_find_interface(const struct tun *tun, const char *name);

/* All packets that the device ever lost because its queue was full or no process had it open. A
 * super-packet counts as one: the kernel does not report its segments. -errno: the count is not
 * available, because the device is in another network namespace. */
MUST_CHECK int tun_read_overflows(const struct tun *tun, uint64_t *ret_packets);

/* Returns the length of the packet, 0 if none waits, or -errno. */
MUST_CHECK ssize_t tun_read(const struct tun *tun, struct virtio_net_hdr *ret_vnet,
			    uint8_t ret_packet[static TUN_PACKET_MAX]);

/* vector[0] is the virtio header. False if the kernel refused the packet. */
MUST_CHECK bool tun_write(const struct tun *tun, const struct iovec *vector, unsigned int count);

/* The device outlives its descriptors from now on. */
MUST_CHECK int tun_persist(const struct tun *tun);
