// SPDX-License-Identifier: Apache-2.0
/*
 * Other programs write the files of secrets, credentials and records, perhaps at this very moment,
 * and their paths may lead anywhere. A file is read to its end through one descriptor, and no copy
 * of its text remains here.
 */
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>

static ssize_t read_to_end(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t got;

	do {
		got = read(fd, text + used, size - used);
		if (got < 0 && errno != EINTR)
			return -errno;
		used += got > 0 ? (size_t)got : 0;
	} while (got && used < size);
	return (ssize_t)used;
}

ssize_t whole_file_read(int directory_fd, const char *path, int flags, char *ret_text, size_t size,
			struct stat *ret_status)
{
	CLEANUP_CLOSE int fd =
		openat(directory_fd, path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*ret_status = (struct stat){0};
	if (fd < 0 || fstat(fd, ret_status))
		return -errno;
	if (!S_ISREG(ret_status->st_mode))
		return -EINVAL;
	return read_to_end(fd, ret_text, size);
}
