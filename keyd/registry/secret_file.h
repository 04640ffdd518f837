/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of --cluster-secret: read at the start and at every change, and kept in locked memory.
 * SHELL. Bad content replaces nothing: the last good content stays in use, and `trouble` gives the
 * reason.
 */
#pragma once

#include <sys/stat.h>

#include "cluster/secret.h"

struct secret_file {
	const char *path; /* NULL: the node has no secret */
	int fd;		  /* readable: a file in the same directory changed */
	struct secret_memory *memory;
	struct stat seen; /* of the content read last */
	bool is_stale;
	struct refusal trouble; /* why the newest content is not in use; empty: it is */
	struct refusal warning; /* no error, but not as it should be; empty: nothing */
};

void secret_file_init(struct secret_file *file);

/* Does nothing if `path` is NULL. Logs one line on failure. */
MUST_CHECK bool secret_file_open(struct secret_file *file, const char *path);
void secret_file_close(struct secret_file *file);

/* Reads the pending events from `fd`. */
void secret_file_drain(struct secret_file *file);

/* Reads the file again if it has changed; cheap otherwise. Logs a new content; the caller reports
 * `trouble`. */
void secret_file_refresh(struct secret_file *file);

/* The secrets in use; NULL without a file. Valid until the next refresh. */
const struct secrets *secret_file_secrets(const struct secret_file *file);
