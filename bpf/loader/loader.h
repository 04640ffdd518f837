/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the programs, attaches them to devices, pins all of it below one bpffs folder, and takes over what an earlier
 * agent pinned: programs are replaced in place, never detached first. loader.c is the only file that includes this
 * skeleton; attach.c, inspect.c and cleanup.c are its parts, tcx.h and clsact.h the two mechanisms. Every function that
 * fails has logged one line that says what to do.
 *
 * <bpffs>/maps/<map>                      the maps of include/bpf_abi.h
 * <bpffs>/links/<program>_<ifindex>       tcx links (kernels without tcx: clsact filters, which have no pin)
 * <bpffs>/links/kernel_drops              the counter of what the kernel itself loses
 *
 * wire_guard is always a clsact filter: where to_wire is a tcx link, who takes one of the two away leaks nothing. On
 * kernels without tcx both are filters, to_wire with priority 1 and wire_guard with 2: either can be deleted without
 * a leak, but who deletes the whole qdisc takes both, and only loader_inspect shows it.
 */
#pragma once

#include "loader_types.h"
#include "util.h"

struct loader;

/* The choices that are fixed while the programs are loaded: read-only data in them, so the verifier prunes the rest. */
struct loader_options {
	const char *bpffs; /* such as /sys/fs/bpf/podveil; /sys/fs/bpf is mounted if it is not */
	bool clamp_mss;
	bool force_clsact; /* as on a kernel without tcx; for tests */
};

/* Loads into the kernel with the pinned maps if they are there (a map of another shape is refused), pins what is new.
 * 0 or -errno. */
MUST_CHECK int loader_open(struct loader **ret_loader, const struct loader_options *options);

/* Closes descriptors; what is attached and pinned stays and works. */
void loader_close(struct loader *loader);

const struct loader_maps *loader_get_maps(const struct loader *loader);

/* Puts the program at the head of the device's hook, or replaces an earlier version of ours in place. Attaching what
 * is attached already and first changes nothing but the program. The device's header length (Ethernet or none) is found here. */
MUST_CHECK int loader_attach(struct loader *loader, enum loader_program program,
			     unsigned int ifindex);

/* Takes our program off the device again and removes its pin; a device that is gone is no error. */
int loader_detach(struct loader *loader, enum loader_program program, unsigned int ifindex);

/* Has the kernel's own losses counted from now on (drop_reason.h: link_down and the rest of the kernel's, tun_overflow),
 * whether an agent runs or not. False: this kernel cannot, and why is logged. */
bool loader_count_kernel_drops(struct loader *loader);
bool loader_counts_kernel_drops(const struct loader *loader);

enum loader_finding {
	LOADER_IN_PLACE,
	LOADER_MISSING, /* not attached: never was, taken away, qdisc or link gone, or another program in its place */
	LOADER_NOT_FIRST, /* attached, but another program was put before it and may hide packets from it */
	LOADER_UNPINNED, /* attached and first, but its pin is gone, or there is a copy without one */
};

/* Looks into the kernel (not at what we remember) how the program stands on the device. *ret_other is the id of the
 * program before ours with LOADER_NOT_FIRST, else 0. 0 or -errno (-ENODEV: no such device). Cheap enough for every
 * device once a second. */
MUST_CHECK int loader_inspect(const struct loader *loader, enum loader_program program,
			      unsigned int ifindex, enum loader_finding *ret_finding,
			      uint32_t *ret_other);

/* Mends what loader_inspect found, without a moment in which the program is not there; no second copy stays. Where it
 * was not first, a packet may meet both copies for a moment: the first one's drops and redirects are final, what it
 * passed may be counted twice. -EBUSY: a filter that is not ours stands where none can overtake it. */
MUST_CHECK int loader_repair(struct loader *loader, enum loader_program program,
			     unsigned int ifindex);

/* Are all maps, and the kernel's counter, still pinned where they belong? Pins them anew where they are not; counts those
 * in *ret_repaired. */
MUST_CHECK int loader_repair_pins(struct loader *loader, unsigned int *ret_repaired);

/* Devices to which the program is attached by a pin of ours that still works. Returns their number, at most `size`. */
unsigned int loader_list_attached(const struct loader *loader, enum loader_program program,
				  unsigned int *ret_ifindexes, unsigned int size);

/* "tcx" or "clsact": what loader_attach uses on this kernel. */
const char *loader_mechanism(const struct loader *loader);

/* Removes every hook and pin of ours and nothing else, without a running agent; for `podveil cleanup`. Also finds our
 * clsact filters in this network namespace. Counts what it removed. */
int loader_cleanup(const char *bpffs, unsigned int *ret_removed);
