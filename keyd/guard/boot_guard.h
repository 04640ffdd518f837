/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot guard of deploy/podveil-boot-guard.nft, seen from here: a table of nf_tables that drops pod traffic until the
 * agent protects the node. SHELL. Needs nothing else of keyd, so that the command line can use it.
 */
#pragma once

#include "util.h"

/* Removes it, in this network namespace. -ENOENT: there is none (or no nf_tables in this kernel). */
MUST_CHECK int boot_guard_remove(void);
