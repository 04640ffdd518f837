// SPDX-License-Identifier: Apache-2.0
/*
 * Gives a fuzz target every file of its corpus, tests/fuzz/corpus/<target>, once and in order, without libFuzzer: any
 * compiler and any build will do. Prints TAP; a target that finds something ends the program.
 */
#include <dirent.h>

#include "cursor.h"

#define FILE_MAX 65536

static uint8_t bytes[FILE_MAX];

static bool replay(const char *folder, const char *name)
{
	char path[512];
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	return len < sizeof(bytes) && !LLVMFuzzerTestOneInput(bytes, len);
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *target = slash ? slash + 1 : argv[0];
	struct dirent **inputs;
	FILE *verdict = stdout; /* a target may silence what it tests */
	char folder[256];
	int count, done = 0;

	(void)argc;
	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", target);
	count = scandir(folder, &inputs, is_input, alphasort);
	fprintf(verdict, "1..1\n");
	fflush(verdict);
	for (int i = 0; i < count; i++) {
		done += replay(folder, inputs[i]->d_name);
		free(inputs[i]);
	}
	if (count >= 0)
		free(inputs);
	fprintf(verdict, "%s 1 - %s: nothing in its corpus breaks a rule (%d of %d files)\n",
		count > 0 && done == count ? "ok" : "not ok", target, done, count);
	return count <= 0 || done != count;
}
