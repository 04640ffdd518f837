// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel has the routes, the devices and the ICMP errors of routers (RFC 1191, RFC 8201), and
 * forgets those after ten minutes. Such errors are not authenticated, so a forged one must not gain
 * more than every IPv6 path concedes: no path is taken to be narrower than 1280 bytes. (A narrower
 * device reduces podveil0's own MTU, and that is obeyed.)
 */
#include "path.h"

#include "wire.h"

#define PATH_MTU_MIN 1280
#define PATH_AGE_NS  NS_PER_S
/* A flood of errors must not make each packet query the kernel. */
#define PATH_AGE_HINT_NS (50 * NS_PER_MS)
#define OUTER_LEN_IPV4	 (20 + 8)
#define OUTER_LEN_IPV6	 (40 + 8)

static bool is_due(const struct tunnel *tunnel, const struct path *path)
{
	uint64_t age_ns = tunnel->now_ns - path->asked_ns;

	if (!path->asked_ns || age_ns >= PATH_AGE_NS)
		return true;
	return path->asked_ns <= tunnel->state->path_hint_ns && age_ns >= PATH_AGE_HINT_NS;
}

static void ask(struct tunnel *tunnel, struct peer *peer)
{
	peer->path.mtu = tunnel->upcalls.path_mtu(tunnel->context, &peer->endpoint);
	peer->path.asked_ns = tunnel->now_ns;
}

size_t path_inner_mtu(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	size_t mtu = tunnel->state->mtu, overhead = DATA_OVERHEAD;

	if (is_due(tunnel, &peer->path))
		ask(tunnel, peer);
	if (!peer->path.mtu)
		return mtu;
	overhead += peer->endpoint.any.sa_family == AF_INET ? OUTER_LEN_IPV4 : OUTER_LEN_IPV6;
	return MIN(mtu, MAX(peer->path.mtu, (uint32_t)PATH_MTU_MIN) - overhead);
}

void path_forget(struct peer *peer)
{
	peer->path = (struct path){0};
}

void tunnel_path_changed(struct tunnel *tunnel)
{
	tunnel->state->path_hint_ns = tunnel->now_ns;
}
