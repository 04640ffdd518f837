/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the loader share: loader.c (into the kernel), attach.c (onto devices), inspect.c (is it still there?)
 * and cleanup.c (away with all of it). Nobody else includes it.
 */
#pragma once

#include <bpf/libbpf.h>

#include "place.h"

struct podveil;

struct loader {
	struct podveil *skeleton;  /* loader.c alone knows what is in it */
	struct bpf_object *object; /* the skeleton's */
	struct loader_maps maps;
	char bpffs[PATH_MAX - 64];
	bool uses_tcx;	  /* but for wire_guard, which is a filter always */
	int kernel_drops; /* its link; -1: none */
};

/* -- loader.c -- */

int loader_print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
	PRINTF(2, 0);

/* Those of the pins, where they are not there yet. 0, or -errno after a logged line. */
MUST_CHECK int loader_make_folders(const struct loader *loader);

/* The same program a second time, on the same maps: a descriptor that the caller owns, or -errno. */
MUST_CHECK int loader_load_twin(const struct loader *loader, const char *entry_name);

/* -- attach.c -- */

/* Is the program a tcx link here, or a filter? */
bool loader_wants_link(const struct loader *loader, enum loader_program program);

/* The filter's, as far in front as can be. */
uint32_t loader_priority(const struct loader *loader, enum loader_program program);

/* The entry that knows where the device's IP headers start. -EPROTONOSUPPORT: a kind of device that we cannot read. */
MUST_CHECK int loader_find_entry(const struct loader *loader, enum loader_program program,
				 unsigned int ifindex, const struct bpf_program **ret_entry);

/* Our filters, but for the one of that priority. Returns how many went, or the first -errno. */
int loader_detach_filters(enum loader_program program, unsigned int ifindex,
			  uint32_t keep_priority);

/* The first failure, or the sum. */
int loader_add_result(int sum, int result);

/* One line that says what to do; returns `err`. */
int loader_log_failure(int err, const char *action, enum loader_program program,
		       unsigned int ifindex);
