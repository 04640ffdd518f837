/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When two nodes claim the same, ask the network: is a node at the address that it claims, and is a
 * node that has long been quiet still alive? SHELL. cluster.c chooses the questions, presence.c
 * interprets the answers.
 */
#pragma once

#include "cluster/members.h"
#include "connection.h"
#include "schedule.h"

/* Sends the questions that are due, makes the tunnel forget addresses that are not claimed any
 * more, and sets schedule->questions_ns to the time of the pass that judges by the answers or
 * asks again. */
void questions_ask(struct members *members, struct connection *connection,
		   struct schedule *schedule);
