/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the agent: start, poll loop, stop. SHELL.
 */
#pragma once

#include "settings.h"

/* Runs until SIGTERM or SIGINT. Returns 0, or non-zero after a logged line if the agent cannot
 * start. However it ends, hooks, maps, device and peers stay. */
int loop_run(const struct settings *settings);
