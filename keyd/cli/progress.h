/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of a rotation, computed from the request and the present answer to key-status
 * (include/keyd_control.h). CORE: no clock and no I/O. A field that is missing or of another type
 * counts as a step not yet done.
 */
#pragma once

#include <jansson.h>

#include "util.h"

struct progress {
	size_t nodes;	 /* asked, including those that could not be asked */
	size_t prepared; /* have published their next key, or are further */
	size_t proved;	 /* all their live peers have proved it, or they are done */
	size_t done;	 /* it is their current key */
	/* Seconds until this node continues without its stragglers; below 0: not known. */
	double time_left;
	/* Names of the nodes that are not done or that this node waits for, each once. */
	json_t *stragglers;
};

/*
 * `asked` is a list of node and old fingerprint, `failed` of node; both may be NULL. Free with
 * progress_clear.
 */
void progress_count(struct progress *ret_progress, const json_t *asked, const json_t *failed,
		    const json_t *key_status);
void progress_clear(struct progress *progress);

static inline bool progress_is_finished(const struct progress *progress)
{
	return progress->nodes && progress->done == progress->nodes;
}
