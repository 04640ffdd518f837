/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points at which a test can kill the agent: PODVEIL_CRASH_AFTER=<name> in the environment,
 * honoured only in a build with `make CRASH_POINTS=1`. In every other build this header is empty.
 */
#pragma once

#ifdef PODVEIL_CRASH_POINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void crash_point(const char *name)
{
	const char *chosen = getenv("PODVEIL_CRASH_AFTER");

	if (chosen && !strcmp(chosen, name))
		raise(SIGKILL);
}

#else

static inline void crash_point(const char *name)
{
	(void)name;
}

#endif
