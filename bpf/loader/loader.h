/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the programs, attaches them to devices, pins everything below one bpffs directory, and
 * takes over the pins of an earlier agent: programs are replaced in place, never detached first.
 * loader.c is the only file that includes this skeleton; attach.c, inspect.c and cleanup.c are its
 * parts, tcx.h and clsact.h the two mechanisms. Every function that fails has logged one line of
 * advice.
 *
 * <bpffs>/maps/<map>                      the maps of include/bpf_abi.h
 * <bpffs>/links/<program>_<ifindex>       tcx links (clsact filters, without tcx, have no pins)
 * <bpffs>/links/kernel_drops              the counter of packets that the kernel itself drops
 *
 * wire_guard is always a clsact filter. If to_wire is a tcx link, removing one of the two causes no
 * leak. On kernels without tcx both are filters, to_wire with priority 1 and wire_guard with 2:
 * deleting either causes no leak, but deleting the whole qdisc removes both, and only
 * loader_inspect detects it.
 */
#pragma once

#include "loader_types.h"
#include "util.h"

struct loader;

/* Choices that are fixed when the programs are loaded: read-only data, so the verifier prunes the
 * unused branches. */
struct loader_options {
	const char *bpffs; /* as /sys/fs/bpf/podveil; /sys/fs/bpf is mounted if it is not */
	bool clamp_mss;
	bool force_clsact; /* behave as on a kernel without tcx; for tests */
};

/* Loads the programs. Reuses pinned maps (a map of another shape is refused) and pins new ones. 0
 * or -errno. */
MUST_CHECK int loader_open(struct loader **ret_loader, const struct loader_options *options);

/* Closes descriptors; attached programs and pins stay and keep working. */
void loader_close(struct loader *loader);

const struct loader_maps *loader_get_maps(const struct loader *loader);

/* Puts the program at the head of the device's hook, or replaces our earlier version in place. If
 * it is already attached and first, only the program is replaced. Finds the length of the device's
 * link header (Ethernet or none) itself. */
MUST_CHECK int loader_attach(struct loader *loader, enum loader_program program,
			     unsigned int ifindex);

/* Detaches our program from the device and removes its pin. A device that no longer exists is no
 * error. */
int loader_detach(struct loader *loader, enum loader_program program, unsigned int ifindex);

/* Counts the packets that the kernel itself drops from now on (drop_reason.h: link_down and the
 * kernel's other reasons, tun_overflow), even while no agent runs. False: this kernel cannot; the
 * log has the reason. */
bool loader_count_kernel_drops(struct loader *loader);
bool loader_counts_kernel_drops(const struct loader *loader);

enum loader_finding {
	LOADER_IN_PLACE,
	/* Not attached: never was, was detached, qdisc or link gone, or another program in its
	 * place. */
	LOADER_MISSING,
	/* Attached, but a foreign program runs first and may hide packets from it. */
	LOADER_NOT_FIRST,
	/* Attached and first, but without its pin, or with an unpinned copy. */
	LOADER_UNPINNED,
};

/* Asks the kernel (not our memory) how the program is attached to the device. With
 * LOADER_NOT_FIRST, *ret_other is the id of the program before ours, else 0. 0 or -errno (-ENODEV:
 * no such device). Cheap enough for every device once a second. */
MUST_CHECK int loader_inspect(const struct loader *loader, enum loader_program program,
			      unsigned int ifindex, enum loader_finding *ret_finding,
			      uint32_t *ret_other);

/* Repairs the finding of loader_inspect; the program stays attached throughout, and no second copy
 * remains. If it was not first, a packet may meet both copies for a moment: drops and redirects of
 * the first one are final, packets that it passes may be counted twice. -EBUSY: a foreign filter is
 * in front and cannot be overtaken. */
MUST_CHECK int loader_repair(struct loader *loader, enum loader_program program,
			     unsigned int ifindex);

/* Checks that all maps and the kernel drop counter are pinned in their places, and pins again those
 * that are not; *ret_repaired is their number. */
MUST_CHECK int loader_repair_pins(struct loader *loader, unsigned int *ret_repaired);

/* Lists the devices to which the program is attached, through one of our pins that still works or
 * as our filter. Returns their number, at most `size`. */
unsigned int loader_list_attached(const struct loader *loader, enum loader_program program,
				  unsigned int *ret_ifindexes, unsigned int size);

/* The mechanism that loader_attach uses on this kernel: "tcx" or "clsact". */
const char *loader_mechanism(const struct loader *loader);

/* Removes all our hooks and pins and nothing else, without a running agent; for `podveil cleanup`.
 * Includes our clsact filters in this network namespace. Counts the removed objects. */
int loader_cleanup(const char *bpffs, unsigned int *ret_removed);
