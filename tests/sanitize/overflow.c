// SPDX-License-Identifier: Apache-2.0
/*
 * The positive control of the tests under sanitizers: overflows a buffer by one byte, as user 65534
 * and in a thread. The tests must detect both.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *write_too_much(void *len)
{
	volatile char *bytes = malloc(8);

	bytes[*(size_t *)len] = 1;
	free((void *)bytes);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t len = 7 + (size_t)argc;
	pthread_t thread;

	(void)argv;
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		return 2;
	if (pthread_create(&thread, NULL, write_too_much, &len))
		return 2;
	pthread_join(thread, NULL);
	return 0;
}
