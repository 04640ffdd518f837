/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two processes may do. The parent keeps the few capabilities its verbs need; the engine, which reads what
 * the network sends, keeps none. Every function says itself why it failed.
 */
#pragma once

#include <sys/types.h>

#include "util.h"

/* Names every capability that is missing for what follows, in one line. */
MUST_CHECK bool sandbox_has_privileges(void);

#define SANDBOX_PAGE_LEN 4096

/* Zeroed memory, touched only where used, between two pages that nobody may touch; len is in whole pages. NULL, and errno
 * says why. */
void *sandbox_map(size_t len);

/* Nobody may touch this page of the calling process from now on. */
MUST_CHECK bool sandbox_forbid_access(void *page);

/* Locks the secrets and the stack in memory (a warning where the limit refuses) and keeps them and all of the state out
 * of core dumps, and the secrets out of children. In the process that uses them: locks are not inherited. */
void sandbox_protect_memory(void *state, size_t state_len, void *secrets, size_t secrets_len);

/* The parent: only what its verbs and signals need. */
MUST_CHECK bool sandbox_enter_parent(void);

/* The engine: no capability in any set, user nobody, no way back, dead with its parent. */
MUST_CHECK bool sandbox_enter_engine(pid_t parent);
