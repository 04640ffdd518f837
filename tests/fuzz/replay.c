// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a fuzz target on every input of its corpus, tests/fuzz/corpus/<target>, once and in order,
 * without libFuzzer: any compiler and any build will do. corpus.sh describes the file. Prints TAP;
 * a target that finds something ends the program.
 */
#include "cursor.h"

static int decode_digit(char digit)
{
	const char *digits = "0123456789abcdef", *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes in place, up to the end of the line. */
static bool decode(char *text, size_t *ret_len)
{
	char *to = text;

	for (const char *at = text; *at && *at != '\n'; at++) {
		int high, low;

		if (*at != '\\') {
			*to++ = *at;
			continue;
		}
		if (*++at != 'x')
			return false;
		high = decode_digit(*++at);
		low = high < 0 ? -1 : decode_digit(*++at);
		if (low < 0)
			return false;
		*to++ = (char)(high << 4 | low);
	}
	*ret_len = (size_t)(to - text);
	return true;
}

static bool replay(char *line)
{
	char *input = strchr(line, ' ');
	size_t len;

	return input && decode(++input, &len) && !LLVMFuzzerTestOneInput((uint8_t *)input, len);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *target = slash ? slash + 1 : argv[0];
	FILE *verdict = stdout; /* a target may silence what it tests */
	int count = 0, done = 0;
	size_t size = 0;
	char *line = NULL;
	FILE *corpus;
	char path[256];

	(void)argc;
	snprintf(path, sizeof(path), "tests/fuzz/corpus/%s", target);
	fprintf(verdict, "1..1\n");
	fflush(verdict);
	corpus = fopen(path, "re");
	for (; corpus && getline(&line, &size, corpus) >= 0; count++)
		done += replay(line);
	free(line);
	if (corpus)
		fclose(corpus);
	fprintf(verdict, "%s 1 - %s: nothing in its corpus breaks a rule (%d of %d inputs)\n",
		count > 0 && done == count ? "ok" : "not ok", target, done, count);
	return count <= 0 || done != count;
}
