// SPDX-License-Identifier: Apache-2.0
/* Loaded before a cmocka program: of its tests only the one that ONLY_ONE names runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void choose(void)
{
	const char *name = getenv("ONLY_ONE");

	if (name)
		cmocka_set_test_filter(name);
}
