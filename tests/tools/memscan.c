// SPDX-License-Identifier: Apache-2.0
/*
 * Looks for keys in the memory of a running process (every region, any offset) or in a file: a core
 * dump, a log, an answer. It looks for every form in which a key could be there: its bytes, clamped
 * or not, in hexadecimal, in base64, and as the signed half-bytes into which a scalar
 * multiplication splits it. If a process has a key, it must be in memory that is locked (VmFlags
 * lo) and excluded from core dumps (dd), according to smaps. Prints how often keys were found and
 * how often in such memory; the test decides if that is an error.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "flags.h"
#include "key.h"

#define CHUNK_BYTES (1U << 20)
#define PATTERN_MAX 64
#define NEEDLES_MAX 512

enum form { FORM_RAW, FORM_HEX_LOWER, FORM_HEX_UPPER, FORM_BASE64, FORM_DIGITS, FORMS };

static const char *const form_names[FORMS] = {"bytes", "hex", "HEX", "base64", "digits"};

struct pattern {
	const char *name;
	enum form form;
	size_t len;
	uint8_t bytes[PATTERN_MAX];
};

struct settings {
	long pid;
	const char *file;
	const char *needles;
	struct public_key needle; /* any 32 bytes; a test's private key is no secret */
	bool has_needle;
};

struct region {
	uint64_t start, end;
	char name[256];
};

struct scan {
	int memory;
	struct pattern patterns[NEEDLES_MAX * FORMS];
	unsigned int pattern_count;
	bool begins[65536]; /* indexed by the first two bytes of a pattern */
	unsigned long found, guarded, scanned;
	char elsewhere[256], what[128];
	uint8_t bytes[CHUNK_BYTES + PATTERN_MAX];
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

static bool take_file(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->file = value;
	return true;
}

static bool take_needle(void *settings, const char *value, char *error, size_t size)
{
	struct settings *all = settings;

	all->has_needle = public_key_decode(&all->needle, value);
	return all->has_needle || flags_refuse(error, size, "expected 32 bytes in base64");
}

static bool take_needles(void *settings, const char *value, char *error, size_t size)
{
	(void)error, (void)size;
	((struct settings *)settings)->needles = value;
	return true;
}

static const struct flag flags[] = {
	{"pid", "PID", "the process to look into", false, take_pid},
	{"file", "FILE", "the file to look into", false, take_file},
	{"needle", "BASE64", "32 bytes to look for", false, take_needle},
	{"needles", "FILE", "lines 'NAME BASE64', each 32 bytes to look for", false, take_needles},
	{0},
};

/* -- patterns -- */

/* Without the first and the last byte, because clamping changes them. */
static size_t encode_hex(uint8_t *ret_bytes, const char *digits, const uint8_t *key)
{
	for (size_t i = 1; i < KEY_LEN - 1; i++) {
		*ret_bytes++ = (uint8_t)digits[key[i] >> 4];
		*ret_bytes++ = (uint8_t)digits[key[i] & 15];
	}
	return 2 * (KEY_LEN - 2);
}

/* Nine whole groups of three bytes, from the fourth byte on. */
static size_t encode_base64(uint8_t *ret_bytes, const struct public_key *key)
{
	char text[KEY_BASE64_LEN + 1];

	public_key_encode(text, key);
	memcpy(ret_bytes, text + 4, 36);
	return 36;
}

/* As ge25519_scalarmult_base has it on its stack: 64 digits from -8 to 7, without those that depend
 * on the clamped ends. */
static size_t encode_digits(uint8_t *ret_bytes, const uint8_t *key)
{
	uint8_t clamped[KEY_LEN];
	int8_t digits[2 * KEY_LEN];
	int carry = 0;

	memcpy(clamped, key, KEY_LEN);
	clamped[0] &= 248;
	for (size_t i = 0; i < 2 * KEY_LEN; i++) {
		int digit = (clamped[i / 2] >> (i % 2 ? 4 : 0) & 15) + carry;

		carry = (digit + 8) >> 4;
		digits[i] = (int8_t)(digit - carry * 16);
	}
	memcpy(ret_bytes, digits + 2, 2 * KEY_LEN - 4);
	return 2 * KEY_LEN - 4;
}

static size_t encode_form(uint8_t ret_bytes[static PATTERN_MAX], enum form form,
			  const struct public_key *key)
{
	switch (form) {
	case FORM_RAW:
		memcpy(ret_bytes, key->bytes + 1, KEY_LEN - 2);
		return KEY_LEN - 2;
	case FORM_HEX_LOWER:
		return encode_hex(ret_bytes, "0123456789abcdef", key->bytes);
	case FORM_HEX_UPPER:
		return encode_hex(ret_bytes, "0123456789ABCDEF", key->bytes);
	case FORM_BASE64:
		return encode_base64(ret_bytes, key);
	case FORM_DIGITS:
		return encode_digits(ret_bytes, key->bytes);
	case FORMS:
		break;
	}
	return 0;
}

static bool add_needle(struct scan *scan, const char *name, const struct public_key *key)
{
	if (scan->pattern_count + FORMS > ARRAY_SIZE(scan->patterns))
		return false;
	for (unsigned int form = 0; form < FORMS; form++) {
		struct pattern *pattern = &scan->patterns[scan->pattern_count++];

		pattern->name = name;
		pattern->form = (enum form)form;
		pattern->len = encode_form(pattern->bytes, pattern->form, key);
		scan->begins[pattern->bytes[0] | pattern->bytes[1] << 8] = true;
	}
	return true;
}

static bool add_needles(struct scan *scan, const char *path)
{
	FILE *file = fopen(path, "re");
	char name[64], text[64];
	struct public_key key;
	bool is_good = file;

	while (is_good && fscanf(file, "%63s %63s", name, text) == 2)
		is_good = public_key_decode(&key, text) && add_needle(scan, strdup(name), &key);
	if (file)
		fclose(file);
	return is_good;
}

/* -- looking -- */

static unsigned long count_at(struct scan *scan, const uint8_t *at, size_t len)
{
	unsigned long hits = 0;

	for (unsigned int i = 0; i < scan->pattern_count; i++) {
		const struct pattern *pattern = &scan->patterns[i];

		if (pattern->len > len || memcmp(at, pattern->bytes, pattern->len) != 0)
			continue;
		snprintf(scan->what, sizeof(scan->what), "%s as %s", pattern->name,
			 form_names[pattern->form]);
		hits++;
	}
	return hits;
}

/* Chunks overlap by all but one byte of the longest pattern, and a pattern counts at its start: no
 * key is missed at a boundary, and no key is counted twice. */
static unsigned long count_in(struct scan *scan, uint64_t start, uint64_t end)
{
	unsigned long hits = 0;

	for (uint64_t at = start; at < end; at += CHUNK_BYTES) {
		size_t wanted = MIN(CHUNK_BYTES + PATTERN_MAX - 1, end - at);
		ssize_t got = pread(scan->memory, scan->bytes, wanted, (off_t)at);

		for (ssize_t i = 0; i + 1 < got && i < (ssize_t)CHUNK_BYTES; i++)
			if (scan->begins[scan->bytes[i] | scan->bytes[i + 1] << 8])
				hits += count_at(scan, scan->bytes + i, (size_t)(got - i));
		scan->scanned += got > 0 ? MIN((unsigned long)got, CHUNK_BYTES) : 0;
	}
	return hits;
}

static void scan_region(struct scan *scan, const struct region *region, const char *vm_flags)
{
	bool is_guarded = strstr(vm_flags, " lo") && strstr(vm_flags, " dd");
	unsigned long hits = count_in(scan, region->start, region->end);

	scan->found += hits;
	if (is_guarded)
		scan->guarded += hits;
	else if (hits)
		copy_text(scan->elsewhere, sizeof(scan->elsewhere), region->name);
}

/* A line "start-end mode offset device inode   name", then lines of fields; VmFlags come last. */
static void scan_regions(struct scan *scan, FILE *smaps)
{
	struct region region = {0};
	char line[1024];

	while (fgets(line, sizeof(line), smaps)) {
		uint64_t start, end;
		char name[256] = "anonymous";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %255[^\n]", &start, &end,
			   name) >= 2) {
			region = (struct region){.start = start, .end = end};
			copy_text(region.name, sizeof(region.name), name);
		} else if (!strncmp(line, "VmFlags:", 8)) {
			scan_region(scan, &region, line + 8);
		}
	}
}

static bool scan_process(struct scan *scan, long pid)
{
	char path[64];
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
	scan->memory = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%ld/smaps", pid);
	smaps = scan->memory < 0 ? NULL : fopen(path, "re");
	if (!smaps)
		return false;
	scan_regions(scan, smaps);
	fclose(smaps);
	return true;
}

static bool scan_file(struct scan *scan, const char *path)
{
	struct stat status;

	scan->memory = open(path, O_RDONLY | O_CLOEXEC);
	if (scan->memory < 0 || fstat(scan->memory, &status))
		return false;
	scan->found = count_in(scan, 0, (uint64_t)status.st_size);
	return true;
}

int main(int argc, char **argv)
{
	static struct scan scan = {.memory = -1};
	struct settings settings = {0};
	enum flags_outcome outcome;

	log_settings.program = "memscan";
	outcome = flags_parse(flags, "memscan: find keys in the memory of a process or in a file",
			      &settings, argc, argv, NULL);
	if (outcome != FLAGS_RUN)
		return outcome == FLAGS_DONE ? 0 : 2;
	if (!settings.pid == !settings.file || !settings.has_needle == !settings.needles) {
		log_error("one of --pid and --file, and one of --needle and --needles are needed");
		return 2;
	}
	if (settings.has_needle)
		(void)add_needle(&scan, "needle", &settings.needle);
	else if (!add_needles(&scan, settings.needles) || !scan.pattern_count) {
		log_error("%s: expected 1 to %d lines 'NAME BASE64'", settings.needles,
			  NEEDLES_MAX);
		return 2;
	}
	if (settings.pid ? !scan_process(&scan, settings.pid) : !scan_file(&scan, settings.file)) {
		log_error("cannot look: %s", strerror(errno));
		return 1;
	}
	printf("{\"found\":%lu,\"guarded\":%lu,\"elsewhere\":\"%s\",\"what\":\"%s\",\"bytes\":%lu}\n",
	       scan.found, scan.guarded, scan.elsewhere, scan.what, scan.scanned);
	return 0;
}
