/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the cluster restrict this node's token to its own Node and our annotations? Found out by
 * trying, at the start and every hour, with requests that leave no trace (dryRun). SHELL.
 */
#pragma once

#include "kube.h"

#define ADMISSION_EVERY_NS (3600 * NS_PER_S)

enum admission_verdict {
	ADMISSION_UNKNOWN, /* no answer yet */
	ADMISSION_TIGHT,
	ADMISSION_OPEN, /* `gap` names the permission that the token should not have */
};

struct admission {
	struct kube *kube;
	enum admission_verdict verdict;
	struct refusal gap;
	unsigned int step; /* the next attempt, or the running one */
	bool is_open;	   /* an attempt of this round was permitted */
	char other[NODE_NAME_LEN];
	int handle;
	uint64_t not_before_ns;
	uint32_t failures;
};

void admission_init(struct admission *admission, struct kube *kube);
void admission_clear(struct admission *admission);

/* `other` is another Node's name, or NULL. Returns the time of the next call, in boot_ns. */
uint64_t admission_drive(struct admission *admission, const char *other);
