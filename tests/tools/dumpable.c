// SPDX-License-Identifier: Apache-2.0
/*
 * A library for LD_PRELOAD that disables a program's protections of its secrets from core dumps, so
 * that a test sees the effect of each. DUMPABLE lists the protections to disable, separated by
 * spaces:
 *
 *   limit    setrlimit RLIMIT_CORE: the limit stays unchanged
 *   flag     PR_SET_DUMPABLE: the flag is set instead, even after a change of user has cleared it
 *   regions  MADV_DONTDUMP: no region is excluded
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

static bool is_taken_away(const char *word)
{
	const char *words = getenv("DUMPABLE");

	return words && strstr(words, word);
}

int prctl(int option, ...)
{
	unsigned long words[4];
	va_list arguments;

	va_start(arguments, option);
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (option == PR_SET_DUMPABLE && is_taken_away("flag"))
		words[0] = 1;
	return (int)syscall(SYS_prctl, option, words[0], words[1], words[2], words[3]);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	if (resource == RLIMIT_CORE && is_taken_away("limit"))
		return 0;
	return (int)syscall(SYS_prlimit64, 0, resource, limit, NULL);
}

int madvise(void *address, size_t len, int advice)
{
	if (advice == MADV_DONTDUMP && is_taken_away("regions"))
		return 0;
	return (int)syscall(SYS_madvise, address, len, advice);
}
