/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privileges of the two processes. The parent keeps the few capabilities that its verbs need;
 * the engine, which reads the network's input, keeps none. Every function logs the reason of its
 * failure.
 */
#pragma once

#include <sys/types.h>

#include "util.h"

/* Logs every capability that is missing for the next steps, in one line. */
MUST_CHECK bool sandbox_has_privileges(void);

#define SANDBOX_PAGE_LEN 4096

/* Zeroed memory, touched only where used, between two inaccessible pages; len is in whole pages.
 * NULL and errno on failure. */
void *sandbox_map(size_t len);

/* Makes this page of the calling process inaccessible. */
MUST_CHECK bool sandbox_forbid_access(void *page);

/* Locks the secrets and the stack in memory (logs a warning if the limit refuses), keeps them and
 * the whole state out of core dumps, and the secrets out of child processes. Call it in the process
 * that uses them: locks are not inherited. */
void sandbox_protect_memory(void *state, size_t state_len, void *secrets, size_t secrets_len);

/* The parent: keeps only the capabilities that its verbs and signals need. */
MUST_CHECK bool sandbox_enter_parent(void);

/* The engine: no capability in any set, user `nobody`, irrevocable, killed when its parent dies. */
MUST_CHECK bool sandbox_enter_engine(pid_t parent);
