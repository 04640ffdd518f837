// SPDX-License-Identifier: Apache-2.0
/*
 * Looks for a key in the memory of a running process: every readable page of it, at any offset. Where it is found it
 * must be memory that is locked (VmFlags lo) and left out of core dumps (dd); smaps tells. Says how often it was found
 * and how often in such memory; what that means is the test's to say.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "flags.h"
#include "key.h"

#define CHUNK_BYTES (1U << 20)

struct settings {
	long pid;
	struct public_key needle; /* any 32 bytes; a test's private key is no secret */
	bool has_needle;
};

struct region {
	uint64_t start, end;
	bool is_readable;
	char name[256];
};

struct scan {
	int memory;
	const uint8_t *needle;
	unsigned long found, guarded;
	char elsewhere[256];
	uint8_t bytes[CHUNK_BYTES + KEY_LEN];
};

static bool take_pid(void *settings, const char *value, char *error, size_t size)
{
	char *end;
	long pid = strtol(value, &end, 10);

	if (*end || pid < 1)
		return flags_refuse(error, size, "expected a process id");
	((struct settings *)settings)->pid = pid;
	return true;
}

static bool take_needle(void *settings, const char *value, char *error, size_t size)
{
	struct settings *all = settings;

	all->has_needle = public_key_decode(&all->needle, value);
	return all->has_needle || flags_refuse(error, size, "expected 32 bytes in base64");
}

static const struct flag flags[] = {
	{"pid", "PID", "the process to look into", false, take_pid},
	{"needle", "BASE64", "the 32 bytes to look for", false, take_needle},
	{0},
};

/* Chunks overlap by all but one byte of the needle, so that none is missed at a seam and none counted twice. */
static unsigned long count_in(struct scan *scan, const struct region *region)
{
	unsigned long hits = 0;

	for (uint64_t at = region->start; at < region->end; at += CHUNK_BYTES) {
		size_t wanted = MIN(CHUNK_BYTES + KEY_LEN - 1, region->end - at);
		ssize_t got = pread(scan->memory, scan->bytes, wanted, (off_t)at);
		const uint8_t *next = scan->bytes, *hit;

		while (got > 0 && (hit = memmem(next, (size_t)(scan->bytes + got - next),
						scan->needle, KEY_LEN))) {
			hits++;
			next = hit + 1;
		}
	}
	return hits;
}

static void scan_region(struct scan *scan, const struct region *region, const char *vm_flags)
{
	bool is_guarded = strstr(vm_flags, " lo") && strstr(vm_flags, " dd");
	unsigned long hits = region->is_readable ? count_in(scan, region) : 0;

	scan->found += hits;
	if (is_guarded)
		scan->guarded += hits;
	else if (hits)
		copy_text(scan->elsewhere, sizeof(scan->elsewhere), region->name);
}

/* "start-end mode offset device inode   name", then fields of it, the last of which are its VmFlags. */
static void scan_process(struct scan *scan, FILE *smaps)
{
	struct region region = {0};
	char line[1024];

	while (fgets(line, sizeof(line), smaps)) {
		uint64_t start, end;
		char mode[8], name[256] = "anonymous";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %255[^\n]", &start, &end,
			   mode, name) >= 3) {
			region = (struct region){
				.start = start, .end = end, .is_readable = mode[0] == 'r'};
			copy_text(region.name, sizeof(region.name), name);
		} else if (!strncmp(line, "VmFlags:", 8)) {
			scan_region(scan, &region, line + 8);
		}
	}
}

static FILE *open_of(long pid, const char *file, int *ret_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
	if (!ret_fd)
		return fopen(path, "re");
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct scan scan = {.memory = -1};
	struct settings settings = {0};
	enum flags_outcome outcome;
	FILE *smaps;

	log_settings.program = "memscan";
	outcome = flags_parse(flags, "memscan: find 32 bytes in the memory of a process", &settings,
			      argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!settings.pid || !settings.has_needle) {
		log_error("--pid and --needle are needed");
		return 2;
	}
	scan.needle = settings.needle.bytes;
	smaps = open_of(settings.pid, "smaps", NULL);
	(void)open_of(settings.pid, "mem", &scan.memory);
	if (!smaps || scan.memory < 0) {
		log_error("cannot look into process %ld: %s", settings.pid, strerror(errno));
		return 1;
	}
	scan_process(&scan, smaps);
	fclose(smaps);
	close(scan.memory);
	printf("{\"found\":%lu,\"guarded\":%lu,\"elsewhere\":\"%s\"}\n", scan.found, scan.guarded,
	       scan.elsewhere);
	return 0;
}
