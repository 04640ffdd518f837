/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits that the tests of tunnel_receive (tunnel.h) provoke.
 */
#pragma once

#include "tunnel.h"

/* The bucket's size and its drain rate for handshake messages with a valid mac1; above it, senders
 * must prove their address (paper, 5.3). The size is as many as the kernel queues; and as a scalar
 * multiplication takes some 50 microseconds, strangers get a twentieth of a CPU for free. */
#define LOAD_MESSAGES_MAX 512
#define LOAD_MESSAGE_NS	  NS_PER_MS
