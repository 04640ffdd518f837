/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_receive (tunnel.h) is all that others need; here is what tests force and count.
 */
#pragma once

#include "tunnel.h"

/* More handshake messages made for our key than this within the window are a load that has to be earned (paper, 5.3). A
 * scalar multiplication takes some 50 microseconds, so the limit keeps handshakes well below one processor. */
#define LOAD_WINDOW_NS	  (NS_PER_S / 10)
#define LOAD_MESSAGES_MAX 256
