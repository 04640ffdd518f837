/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of claims for the tests of keyd/claim.c, empty at the beginning of each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "claim.h"

#define CLAIMS_MAX 256

static struct claim items[CLAIMS_MAX];
static uint32_t order[CLAIMS_MAX];
static struct claims claims;

static inline int begin(void **state)
{
	claims = (struct claims){items, order, 0};
	return 0;
}

static inline struct cidr cidr(const char *text)
{
	struct cidr parsed;

	assert_true(cidr_parse(&parsed, text));
	return parsed;
}

static inline void decide(enum claim_kind kind, uint32_t first, uint32_t count)
{
	claims_decide(&claims, kind, first, count);
}

static inline bool is_accepted(uint32_t index)
{
	return items[index].is_accepted;
}
