/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the programs, attaches them to devices, pins all of it below one bpffs folder, and takes over what an earlier
 * agent pinned: programs are replaced in place, never detached first. loader.c is the only file that includes a
 * skeleton; tcx.h and clsact.h are the two mechanisms. Every function that fails has logged one line that says what to
 * do.
 *
 * <bpffs>/maps/<map>                      the maps of include/bpf_abi.h
 * <bpffs>/links/<program>_<ifindex>       tcx links (kernels without tcx: clsact filters, which have no pin)
 */
#pragma once

#include "util.h"

struct loader;

/* The choices that are fixed while the programs are loaded: read-only data in them, so the verifier prunes the rest. */
struct loader_options {
	const char *bpffs; /* such as /sys/fs/bpf/podveil; /sys/fs/bpf is mounted if it is not */
	bool clamp_mss;
	bool force_clsact; /* as on a kernel without tcx; for tests */
};

enum loader_program {
	LOADER_TO_WIRE,	    /* egress of a device that leads to other nodes */
	LOADER_FROM_TUNNEL, /* ingress of podveil0 */
	LOADER_PROGRAMS
};

struct loader_maps {
	int config, prefixes, peers, peer_traffic, drops; /* owned by the loader */
};

/* Loads into the kernel with the pinned maps if they are there (a map of another shape is refused), pins what is new.
 * 0 or -errno. */
MUST_CHECK int loader_open(struct loader **ret_loader, const struct loader_options *options);

/* Closes descriptors; what is attached and pinned stays and works. */
void loader_close(struct loader *loader);

const struct loader_maps *loader_get_maps(const struct loader *loader);

/* Puts the program at the head of the device's hook, or replaces an earlier version of ours in place. Attaching what
 * is attached already changes nothing but the program. The device's header length (Ethernet or none) is found here. */
MUST_CHECK int loader_attach(struct loader *loader, enum loader_program program,
			     unsigned int ifindex);

/* Takes our program off the device again and removes its pin; a device that is gone is no error. */
int loader_detach(struct loader *loader, enum loader_program program, unsigned int ifindex);

/* Devices to which the program is attached by a pin of ours that still works. Returns their number, at most `size`. */
unsigned int loader_list_attached(const struct loader *loader, enum loader_program program,
				  unsigned int *ret_ifindexes, unsigned int size);

/* "tcx" or "clsact": what loader_attach uses on this kernel. */
const char *loader_mechanism(const struct loader *loader);

/* Removes every hook and pin of ours and nothing else, without a running agent; for `podveil cleanup`. Also finds our
 * clsact filters in this network namespace. Counts what it removed. */
int loader_cleanup(const char *bpffs, unsigned int *ret_removed);
