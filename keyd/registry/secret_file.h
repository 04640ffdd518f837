/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of --cluster-secret: read at the start and whenever it changes, and kept in locked memory. SHELL.
 * Content that is bad replaces nothing: the last good one stays in use, and `trouble` says why.
 */
#pragma once

#include <sys/stat.h>

#include "cluster/secret.h"

struct secret_file {
	const char *path; /* NULL: the node has no secret */
	int fd;		  /* readable: something changed in the file's folder */
	struct secret_memory *memory;
	struct stat seen; /* of the content that was read last */
	bool is_stale;
	struct refusal trouble; /* why the newest content is not in use; empty: it is */
	struct refusal warning; /* what is no error, but not as it should be; empty: nothing */
};

void secret_file_init(struct secret_file *file);

/* Without a path there is nothing to do. Logs one line on failure. */
MUST_CHECK bool secret_file_open(struct secret_file *file, const char *path);
void secret_file_close(struct secret_file *file);

/* Takes the events off `fd`. */
void secret_file_drain(struct secret_file *file);

/* Looks whether the file is another one; cheap where it is not. Logs what is new in use; `trouble` is the caller's. */
void secret_file_refresh(struct secret_file *file);

/* In use; NULL without a file. Valid until the next refresh. */
const struct secrets *secret_file_secrets(const struct secret_file *file);
