/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_receive (tunnel.h) is all that others need; here is what tests force and count.
 */
#pragma once

#include "tunnel.h"

/* More handshake messages made for our key than this at once, or than one in each of these milliseconds for longer, are a
 * load that has to be earned (paper, 5.3). As many at once as the kernel lets wait; and as a scalar multiplication takes
 * some 50 microseconds, strangers get a twentieth of a processor for nothing. */
#define LOAD_MESSAGES_MAX 512
#define LOAD_MESSAGE_NS	  NS_PER_MS
