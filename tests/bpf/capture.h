/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures stderr: a test expects one clear line there, or nothing.
 */
#pragma once

#include "devices.h"

#include <sys/mman.h>

struct capture {
	int saved, file;
};

static inline struct capture capture_stderr(void)
{
	struct capture capture = {.saved = dup(STDERR_FILENO), .file = memfd_create("stderr", 0)};

	assert_true(capture.saved >= 0 && capture.file >= 0);
	dup2(capture.file, STDERR_FILENO);
	return capture;
}

/* The text is valid until the next call. */
static inline const char *end_capture(struct capture *capture)
{
	static char text[4096];
	ssize_t length = pread(capture->file, text, sizeof(text) - 1, 0);

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->file);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static inline void assert_one_line_with(const char *text, const char *part)
{
	const char *newline = strchr(text, '\n');

	if (!newline || newline[1] || !strstr(text, part))
		fail_msg("expected one line with '%s', got: '%s'", part, text);
}
