/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a rotation is: from what was asked and what key-status says now (include/keyd_control.h). Pure: values in,
 * values out, no clock and no I/O. A field that is missing or of another type counts as not yet.
 */
#pragma once

#include <jansson.h>

#include "util.h"

struct progress {
	size_t nodes;	 /* asked, and those that could not be */
	size_t prepared; /* their next key is published, or they are further */
	size_t proved;	 /* all their live peers know it, or they are done */
	size_t done;	 /* it is their current key */
	double time_left; /* seconds until this node goes on without its stragglers; below 0: not known */
	json_t *stragglers; /* names, each once: who is not done, and whom this node waits for */
};

/* `asked` holds node and fingerprint before, `failed` node, each a list that may be NULL; freed by progress_clear. */
void progress_count(struct progress *ret_progress, const json_t *asked, const json_t *failed,
		    const json_t *key_status);
void progress_clear(struct progress *progress);

static inline bool progress_is_finished(const struct progress *progress)
{
	return progress->nodes && progress->done == progress->nodes;
}
