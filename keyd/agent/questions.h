/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where claims of two nodes meet, the network is asked: whether a node is at the address that it claims, and whether one
 * that has been quiet for long is there at all. SHELL; cluster.c says what to ask, presence.c what the answers mean.
 */
#pragma once

#include "agent.h"

/* Sends what is due, has the tunnel forget addresses that are not claimed any more, and sets agent->questions_ns to the time
 * of the pass that judges by the answers or asks again. */
void questions_ask(struct agent *agent);
