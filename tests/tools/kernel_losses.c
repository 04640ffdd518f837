// SPDX-License-Identifier: Apache-2.0
/*
 * Counts the tunnel's data that the kernel loses in a network namespace that belongs to no node:
 * its wire is a bridge, and no agent counts the drops there. It loads the same program as keyd on a
 * node, and attaches nothing to any device.
 *
 *   kernel_losses count BPFFS PORT   from now on, until the pins in BPFFS are removed
 *   kernel_losses read BPFFS         prints the packets counted so far
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "bpf_abi.h"
#include "loader/loader.h"

static int fail(const char *what)
{
	fprintf(stderr, "kernel_losses: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

static int count(const char *bpffs, const char *port)
{
	struct loader_options options = {.bpffs = bpffs};
	struct datapath_config config = {.abi_version = MAP_ABI_VERSION,
					 .tunnel_port = (uint32_t)strtoul(port, NULL, 10)};
	struct loader *loader = NULL;
	bool is_done;

	if (loader_open(&loader, &options))
		return EXIT_FAILURE;
	is_done = !bpf_map_update_elem(loader_get_maps(loader)->config, &(uint32_t){0}, &config,
				       BPF_ANY) &&
		  loader_count_kernel_drops(loader);
	loader_close(loader);
	return is_done ? EXIT_SUCCESS : fail("cannot count");
}

static int print(const char *bpffs)
{
	int cpus = libbpf_num_possible_cpus();
	CLEANUP_FREE struct traffic *parts = calloc((size_t)MAX(cpus, 1), sizeof(*parts));
	CLEANUP_CLOSE int drops = -1;
	uint64_t sum = 0;
	char path[4096];

	snprintf(path, sizeof(path), "%s/maps/drops", bpffs);
	drops = bpf_obj_get(path);
	if (drops < 0 || !parts)
		return fail(path);
	for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++)
		if (!bpf_map_lookup_elem(drops, &reason, parts))
			for (int cpu = 0; cpu < cpus; cpu++)
				sum += parts[cpu].packets;
	printf("%ju\n", (uintmax_t)sum);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "count"))
		return count(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "read"))
		return print(argv[2]);
	fputs("usage: kernel_losses count BPFFS PORT | read BPFFS\n", stderr);
	return 2;
}
