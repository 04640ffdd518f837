/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initializes libsodium before the first test, for programs without another fixture that does so.
 */
#pragma once

#include <sodium.h>

#include "test.h"

static int init_sodium(void **state)
{
	return sodium_init() < 0 ? -1 : 0;
}
TEST_GROUP(init_sodium, NULL);
