/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the cluster hold this node's token to its own Node and our annotations? Found out by trying, with requests of which
 * nothing stays (dryRun), at the start and every hour. SHELL.
 */
#pragma once

#include "kube.h"

#define ADMISSION_EVERY_NS (3600 * NS_PER_S)

enum admission_verdict {
	ADMISSION_UNKNOWN, /* no answer yet */
	ADMISSION_TIGHT,
	ADMISSION_OPEN, /* `gap` says what the token may do and should not */
};

struct admission {
	struct kube *kube;
	enum admission_verdict verdict;
	struct refusal gap;
	unsigned int step; /* the attempt that comes next, or runs */
	bool is_open;	   /* one of this round was let through */
	char other[NODE_NAME_LEN];
	int handle;
	uint64_t not_before_ns;
	uint32_t failures;
};

void admission_init(struct admission *admission, struct kube *kube);
void admission_clear(struct admission *admission);

/* `other` is another Node's name, or NULL. Returns when to call again, in boot_ns. */
uint64_t admission_drive(struct admission *admission, const char *other);
