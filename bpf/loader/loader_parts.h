/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the parts of the loader: loader.c (loads), attach.c (attaches), inspect.c (checks and
 * repairs) and cleanup.c (removes everything). For these files alone.
 */
#pragma once

#include <bpf/libbpf.h>

#include "place.h"

struct podveil;

struct loader {
	struct podveil *skeleton;  /* only loader.c knows its contents */
	struct bpf_object *object; /* the skeleton's */
	struct loader_maps maps;
	char bpffs[PATH_MAX - 64];
	bool uses_tcx;	  /* except for wire_guard, which is always a filter */
	int kernel_drops; /* the link of the counter; -1: none */
};

/* -- loader.c -- */

int loader_print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
	PRINTF(2, 0);

/* Creates the missing directories of the pins. 0, or -errno after a logged line. */
MUST_CHECK int loader_make_directories(const struct loader *loader);

/* Loads the same program a second time, on the same maps. Returns a descriptor that the caller
 * owns, or -errno. */
MUST_CHECK int loader_load_twin(const struct loader *loader, const char *entry_name);

/* -- attach.c -- */

/* True: the program is a tcx link on this kernel; false: a filter. */
bool loader_wants_link(const struct loader *loader, enum loader_program program);

/* The priority of the filter, as small as possible. */
uint32_t loader_priority(const struct loader *loader, enum loader_program program);

/* Finds the entry for the position of the IP header on this device. -EPROTONOSUPPORT: we cannot
 * read this kind of device. */
MUST_CHECK int loader_find_entry(const struct loader *loader, enum loader_program program,
				 unsigned int ifindex, const struct bpf_program **ret_entry);

/* Removes our filters except the one with that priority. Returns the number of removed filters, or
 * the first -errno. */
int loader_detach_filters(enum loader_program program, unsigned int ifindex,
			  uint32_t keep_priority);

/* The first failure, or the sum. */
int loader_add_result(int sum, int result);

/* Logs one line of advice; returns `err`. */
int loader_log_failure(int err, const char *action, enum loader_program program,
		       unsigned int ifindex);
