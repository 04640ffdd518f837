/* SPDX-License-Identifier: Apache-2.0 */
/* For programs whose tests need libsodium before any fixture of their own has initialized it. */
#pragma once

#include <sodium.h>

#include "test.h"

static int init_sodium(void **state)
{
	return sodium_init() < 0 ? -1 : 0;
}
TEST_GROUP(init_sodium, NULL);
