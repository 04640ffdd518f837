/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a small file as a whole. SHELL. Never blocks, wherever the path leads: anything but a
 * regular file (a FIFO, a device) is refused before it is read.
 */
#pragma once

#include <sys/stat.h>

#include "util.h"

/* Returns the length, or -errno; -EINVAL: not a regular file. Provide room for one byte more than
 * the file may have: a file that is too large fills it all. `directory_fd` and `flags` as for
 * openat. *ret_status describes the file, or is all zero if none was found. */
MUST_CHECK ssize_t whole_file_read(int directory_fd, const char *path, int flags, char *ret_text,
				   size_t size, struct stat *ret_status);
