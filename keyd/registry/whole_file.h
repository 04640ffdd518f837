/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small file, read in one go. SHELL. Never waits, whatever the path leads to: what is no regular file (a FIFO, a
 * device) is refused before it is read.
 */
#pragma once

#include <sys/stat.h>

#include "util.h"

/* Length, or -errno; -EINVAL: it is no regular file. Give room for one byte more than the file may have: one that is too
 * large fills it all. `folder_fd` and `flags` as for openat. *ret_status is what was found, zeros where nothing was. */
MUST_CHECK ssize_t whole_file_read(int folder_fd, const char *path, int flags, char *ret_text,
				   size_t size, struct stat *ret_status);
