// SPDX-License-Identifier: Apache-2.0
/*
 * The engines of this build, fastest first. The choice is made once, at start, by the capabilities
 * of the machine.
 */
#include "aead.h"

static const struct aead_engine *const engines[] = {&aead_sodium};

const struct aead_engine *aead_find(const char *name)
{
	bool takes_any = !strcmp(name, "auto");

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if ((takes_any || !strcmp(name, engines[i]->name)) && engines[i]->is_available())
			return engines[i];
	return NULL;
}
