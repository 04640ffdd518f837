/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the agent acts without an event. CORE. All times are those of the boot clock; 0: not wanted.
 */
#pragma once

#include "host/link_monitor.h"

#define SCHEDULE_BURST_NS (50 * NS_PER_MS) /* events that arrive together share one pass */
#define SCHEDULE_LINKS_NS (5 * NS_PER_MS) /* changes of devices, routes and hooks are more urgent */
#define SCHEDULE_TICK_NS  (10 * NS_PER_S) /* a pass without any event: a registry that came back */

struct schedule {
	uint64_t pass_ns;      /* the next pass that was asked for */
	uint64_t tick_ns;      /* the periodic one */
	uint64_t questions_ns; /* the pass that judges a dispute by the answers, or asks again */
	uint64_t proofs_ns;    /* the next look at the peers' proofs of our keys, without a pass */
};

/* A pass at due_ns at the latest. */
void schedule_want_pass(struct schedule *schedule, uint64_t due_ns);

/* A pass soon after a change of devices, addresses or routes, and at once for a new device,
 * because a pass begins with the hooks. */
void schedule_note_links(struct schedule *schedule, enum link_news news, uint64_t now_ns);

/* True: the periodic pass is due. It is then asked for, and the next one is planned. */
bool schedule_pop_tick(struct schedule *schedule, uint64_t now_ns);

/* connect_ns: the next attempt to connect to the tunnel; UINT64_MAX while it is connected. */
uint64_t schedule_next_pass(const struct schedule *schedule, uint64_t connect_ns);

/* How long the agent may sleep, in the milliseconds of poll(): until the next pass, the next
 * look at the proofs, or watch_ns, whichever comes first. */
int schedule_wait_ms(const struct schedule *schedule, uint64_t connect_ns, uint64_t watch_ns,
		     uint64_t now_ns);
