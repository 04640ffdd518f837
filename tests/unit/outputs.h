/* SPDX-License-Identifier: Apache-2.0 */
/* Captures everything that is written to stdout and stderr, cmocka's own words included. */
#pragma once

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

static char captured[4096];
static size_t captured_len;
static int outputs[2], capture = -1;

static inline void begin_capture(void)
{
	fflush(NULL);
	capture = memfd_create("capture", MFD_CLOEXEC);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		outputs[fd - 1] = dup(fd);
		assert_int_not_equal(dup2(capture, fd), -1);
	}
}

/* The text, up to the next capture. */
static inline const char *end_capture(void)
{
	ssize_t len;

	fflush(NULL);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		dup2(outputs[fd - 1], fd);
		close(outputs[fd - 1]);
	}
	len = pread(capture, captured, sizeof(captured) - 1, 0);
	close(capture);
	assert_true(len >= 0);
	captured_len = (size_t)len;
	captured[captured_len] = '\0';
	return captured;
}
