/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TUN device: where clear packets come from and go to, super-packets whole. Opened by the parent, used by the
 * engine, which has no privileges and follows the device's MTU and state without opening anything.
 */
#pragma once

#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/uio.h>

#include "util.h"

#define TUN_DEFAULT_MTU 1420 /* of a new device: an uplink of 1500 with IPv6 outside */
#define TUN_PACKET_MAX	65535

struct tun {
	int fd;	    /* non-blocking; each read and write is one virtio header and one packet */
	int events; /* readable when any link changed */
	int stats;  /* to ask the kernel what it has dropped */
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

/* Makes the device, or takes over one of that name which nobody has open. False after it has said why. */
MUST_CHECK bool tun_open(struct tun *tun, const char *name);

/* After the device was deleted: one of the same name, with the first MTU and down, in place of the descriptor that led to
 * the old one; the parent's. False after it has said why. */
MUST_CHECK bool tun_make_anew(struct tun *tun);

/* The device vanishes with its last descriptor, unless it was made persistent. */
void tun_close(struct tun *tun);

/* Takes the waiting events and reads name, MTU and state anew. -ENODEV: the device is in another network namespace,
 * where it is taken to be up and its MTU stays as it was; -EBADFD: it is gone. */
MUST_CHECK int tun_follow(struct tun *tun);

/* Index of any device of the network namespace by its name; 0: there is none. */
uint32_t tun_find_interface(const struct tun *tun, const char *name);

/* Packets that the device has ever lost because its queue was full or nobody had it open; a super-packet is one, and
 * the kernel does not say of how many. -errno: it cannot be told, because the device is in another network namespace. */
MUST_CHECK int tun_read_overflows(const struct tun *tun, uint64_t *ret_packets);

/* Length of the packet, 0 where none waits, or -errno. */
MUST_CHECK ssize_t tun_read(const struct tun *tun, struct virtio_net_hdr *ret_vnet,
			    uint8_t ret_packet[static TUN_PACKET_MAX]);

/* vector[0] is the virtio header. False where the kernel refused the packet. */
MUST_CHECK bool tun_write(const struct tun *tun, const struct iovec *vector, unsigned int count);

/* The device outlives its descriptors from now on. */
MUST_CHECK int tun_persist(const struct tun *tun);
