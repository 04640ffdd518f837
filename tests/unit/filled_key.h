/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "key.h"
#include "util.h"

/* A public key of 32 equal bytes. */
static inline struct public_key key(uint8_t filling)
{
	struct public_key made;

	memset(made.bytes, filling, KEY_LEN);
	return made;
}
