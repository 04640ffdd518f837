// SPDX-License-Identifier: Apache-2.0
/*
 * The loop's turn, as tunnel.h describes it: clocks, arrivals (a bounded amount from each side, so
 * that neither starves the other), deadlines, flush. Descriptors are level-triggered: input that is
 * left over wakes the next turn.
 */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "clock.h"
#include "configure.h"
#include "log.h"
#include "verbs.h"

#define TUN_PACKETS_A_TURN 64
#define TUN_BYTES_A_TURN   (256 * 1024)
#define STACK_BYTES_A_TURN (16 * 1024) /* more than the calls of any turn use */

enum source {
	SOURCE_TUN,
	SOURCE_UDP_IPV4,
	SOURCE_UDP_IPV6,
	SOURCE_CONTROL,
	SOURCE_LINKS,
	SOURCE_TIMER,
	SOURCE_SIGNALS,
	SOURCE_PARENT,
	SOURCE_COUNT
};

static void leave(struct loop *loop, int status)
{
	loop->is_leaving = true;
	loop->status = status;
}

static int watch(struct loop *loop, enum source source, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* -- CORE's upcalls -- */

static void transmit(void *context, const struct outgoing *outgoing, uint32_t count)
{
	struct loop *loop = context;
	uint64_t lost = udp_send(&loop->udp, outgoing, count);

	if (lost)
		tunnel_count_drop(&loop->tunnel, DROP_UDP_SEND, lost);
}

static void deliver(void *context, uint8_t *packet, size_t len)
{
	struct loop *loop = context;

	coalesce_add(&loop->coalescer, packet, len);
}

static void write_super_packet(void *context, const struct iovec *vector, unsigned int count,
			       unsigned int packets)
{
	struct loop *loop = context;

	if (!tun_write(&loop->tun, vector, count))
		tunnel_count_drop(&loop->tunnel, DROP_TUN_WRITE, packets);
}

static void inject(void *context, const uint8_t *packet, size_t len)
{
	struct virtio_net_hdr vnet = {0};
	struct iovec vector[] = {
		{.iov_base = &vnet, .iov_len = sizeof(vnet)},
		{.iov_base = (void *)packet, .iov_len = len},
	};

	write_super_packet(context, vector, ARRAY_SIZE(vector), 1);
}

static uint32_t path_mtu(void *context, const union endpoint *to)
{
	const struct loop *loop = context;

	return udp_path_mtu(&loop->udp, to);
}

/* -- upcalls of manage.c and uapi.c -- */

static int watch_sockets(struct loop *loop)
{
	int error = watch(loop, SOURCE_UDP_IPV4, loop->udp.sockets.fds[UDP_IPV4]);

	if (!error && loop->udp.sockets.fds[UDP_IPV6] >= 0)
		error = watch(loop, SOURCE_UDP_IPV6, loop->udp.sockets.fds[UDP_IPV6]);
	return error;
}

/* The device's own count survives a restart of the engine and of the whole tunnel, so it includes
 * the losses in between. */
static void count_kernel_drops(void *context)
{
	struct loop *loop = context;
	uint64_t *drops = loop->tunnel.state->drops;
	uint64_t packets;

	if (!tun_read_overflows(&loop->tun, &packets))
		drops[DROP_TUN_OVERFLOW] = packets;
	drops[DROP_UDP_OVERFLOW] += udp_read_overflows(&loop->udp);
}

static int set_device(void *context, uint16_t port, uint32_t fwmark)
{
	struct loop *loop = context;
	struct udp_sockets sockets = UDP_CLOSED;
	uint16_t bound;
	int error = verbs_request_sockets(loop->verbs, port, fwmark, &bound, &sockets);

	if (error)
		return error;
	if (sockets.fds[UDP_IPV4] >= 0) {
		count_kernel_drops(loop); /* the old sockets' counts are lost with them */
		udp_adopt(&loop->udp, &sockets);
		error = watch_sockets(loop);
	}
	loop->tunnel.state->port = bound;
	loop->tunnel.state->fwmark = fwmark;
	return error;
}

static void persist(void *context)
{
	struct loop *loop = context;
	int error = tun_persist(&loop->tun);

	if (error)
		log_warning(
			"cannot make interface '%s' persistent: %s: it disappears when this process exits",
			loop->tun.name, strerror(-error));
}

static uint32_t find_interface(void *context, const char *name)
{
	const struct loop *loop = context;

	return tun_find_interface(&loop->tun, name);
}

/* As in the kernel's WireGuard, a device that is up and has a key listens, on any port if none was
 * set. keyd always sets the port. */
static void listen_if_due(struct loop *loop)
{
	struct tunnel_state *state = loop->tunnel.state;
	int error;

	if (state->port || state->is_managed || !loop->tun.is_up ||
	    !state->secrets.identities[KEY_CURRENT].is_set)
		return;
	error = set_device(loop, 0, state->fwmark);
	if (error)
		log_error("cannot open a UDP port: %s", strerror(-error));
}

/* -- arrivals -- */

/* Keys, peers and sessions stay; keyd configures the new device as soon as it sees it. */
static int replace_device(struct loop *loop)
{
	struct tun *tun = &loop->tun;
	int error;

	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, tun->fd, NULL);
	fd_close(&tun->fd);
	error = verbs_request_device(loop->verbs, &tun->fd);
	if (!error)
		error = tun_follow(tun);
	if (error)
		return error;
	tun->ifindex = tun_find_interface(tun, tun->name);
	loop->device.ifindex = tun->ifindex;
	loop->tunnel.state->mtu = tun->mtu;
	persist(loop);
	return watch(loop, SOURCE_TUN, tun->fd);
}

/* Deleting a managed device while its keyd runs is a mistake or an attack: to end the tunnel, stop
 * keyd first. With wg(8), deleting the device is the customary way to end the tunnel. */
static void lose_device(struct loop *loop)
{
	if (loop->tunnel.state->is_managed && control_has_keyd(&loop->control) &&
	    !replace_device(loop)) {
		log_warning("interface '%s' was removed by another program; recreated",
			    loop->tun.name);
		return;
	}
	log_error("interface '%s' was removed: exiting; restart podveil-tunnel to recreate it",
		  loop->tun.name);
	leave(loop, EXIT_FAILURE);
}

static void handle_tun(struct loop *loop)
{
	struct virtio_net_hdr vnet;
	size_t taken = 0;
	ssize_t len;

	for (unsigned int i = 0; i < TUN_PACKETS_A_TURN && taken < TUN_BYTES_A_TURN; i++) {
		len = tun_read(&loop->tun, &vnet, loop->buffers->packet);
		if (len < 0) {
			lose_device(loop);
			return;
		}
		if (!len)
			return;
		tunnel_send(&loop->tunnel, &vnet, loop->buffers->packet, (size_t)len);
		taken += (size_t)len;
	}
}

static void handle_udp(struct loop *loop, unsigned int family, uint32_t events)
{
	struct incoming incoming[UDP_RECEIVE_MESSAGES];
	unsigned int count;

	if (events & EPOLLERR && udp_read_errors(&loop->udp, family))
		tunnel_path_changed(&loop->tunnel);
	count = udp_receive(&loop->udp, family, incoming);
	if (!count)
		return;
	tunnel_receive(&loop->tunnel, incoming, count);
	coalesce_flush(&loop->coalescer);
}

static void handle_control(struct loop *loop)
{
	control_handle(&loop->control);
	listen_if_due(loop);
}

/* As in the kernel's WireGuard, taking the device down ends its sessions. keyd immediately sets a
 * managed device up again, and then only the packets of that moment may be lost. */
static void stop_talking(struct loop *loop)
{
	if (!loop->tunnel.state->is_managed)
		tunnel_interface_down(&loop->tunnel);
}

static void handle_links(struct loop *loop)
{
	struct tun before = loop->tun;
	int error = tun_follow(&loop->tun);

	if (error == -EBADFD) {
		lose_device(loop);
		return;
	}
	if (error)
		log_warning(
			"interface '%s' was moved to another network namespace: still using MTU %u",
			loop->tun.name, loop->tun.mtu);
	if (before.mtu != loop->tun.mtu)
		log_info("interface '%s' has MTU %u", loop->tun.name, loop->tun.mtu);
	loop->tunnel.state->mtu = loop->tun.mtu;
	tunnel_path_changed(&loop->tunnel); /* events of all devices arrive here */
	if (before.is_up && !loop->tun.is_up)
		stop_talking(loop);
	if (before.is_up || !loop->tun.is_up)
		return;
	listen_if_due(loop);
	tunnel_interface_up(&loop->tunnel);
}

static void handle_timer(struct loop *loop)
{
	uint64_t expirations;

	if (read(loop->timer, &expirations, sizeof(expirations)) > 0)
		loop->armed_ns = 0;
}

static void handle_signals(struct loop *loop)
{
	struct signalfd_siginfo signal;

	if (read(loop->signals, &signal, sizeof(signal)) > 0)
		leave(loop, EXIT_SUCCESS);
}

static void handle(struct loop *loop, enum source source, uint32_t events)
{
	switch (source) {
	case SOURCE_TUN:
		handle_tun(loop);
		break;
	case SOURCE_UDP_IPV4:
		handle_udp(loop, UDP_IPV4, events);
		break;
	case SOURCE_UDP_IPV6:
		handle_udp(loop, UDP_IPV6, events);
		break;
	case SOURCE_CONTROL:
		handle_control(loop);
		break;
	case SOURCE_LINKS:
		handle_links(loop);
		break;
	case SOURCE_TIMER:
		handle_timer(loop);
		break;
	case SOURCE_SIGNALS:
		handle_signals(loop);
		break;
	case SOURCE_PARENT: /* it sends nothing unasked: this is its end */
		leave(loop, EXIT_FAILURE);
		break;
	case SOURCE_COUNT:
		break;
	}
}

/* -- the turn -- */

static void arm_timer(struct loop *loop)
{
	uint64_t deadline = tunnel_next_deadline(&loop->tunnel);
	struct itimerspec when = {0};

	if (deadline == UINT64_MAX)
		deadline = 0;
	if (deadline == loop->armed_ns)
		return;
	when.it_value.tv_sec = (time_t)(deadline / NS_PER_S);
	when.it_value.tv_nsec = (long)(deadline % NS_PER_S);
	if (timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &when, NULL))
		abort(); /* without deadlines keys would live for ever */
	loop->armed_ns = deadline;
}

static void take_turn(struct loop *loop)
{
	struct epoll_event events[SOURCE_COUNT];
	int count = epoll_wait(loop->epoll, events, ARRAY_SIZE(events), -1);

	clock_update(&loop->tunnel);
	for (int i = 0; i < count && !loop->is_leaving; i++)
		handle(loop, (enum source)events[i].data.u32, events[i].events);
	tunnel_expire(&loop->tunnel);
	tunnel_flush(&loop->tunnel);
	arm_timer(loop);
	/* libsodium and libb2 leave keys in stack frames that may never be overwritten: a retired
	 * key would stay there. */
	sodium_stackzero(STACK_BYTES_A_TURN);
}

int loop_run(struct loop *loop)
{
	while (!loop->is_leaving)
		take_turn(loop);
	return loop->status;
}

/* -- init and clear -- */

static bool map_buffers(struct loop *loop)
{
	void *buffers = mmap(NULL, sizeof(*loop->buffers), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffers == MAP_FAILED)
		return false;
	loop->buffers = buffers;
	/* A private key passes through this buffer. If the limit refuses the lock, locking the
	 * state has logged it. */
	(void)mlock(loop->buffers->control_request,
		    sizeof(struct control_header) + sizeof(struct control_identity));
	return !madvise(buffers, sizeof(*loop->buffers), MADV_DONTDUMP);
}

static bool open_descriptors(struct loop *loop)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop->epoll >= 0 && loop->timer >= 0 && loop->signals >= 0;
}

static bool watch_all(struct loop *loop)
{
	return !watch(loop, SOURCE_TUN, loop->tun.fd) &&
	       !watch(loop, SOURCE_LINKS, loop->tun.events) &&
	       !watch(loop, SOURCE_CONTROL, loop->control.epoll) &&
	       !watch(loop, SOURCE_TIMER, loop->timer) &&
	       !watch(loop, SOURCE_SIGNALS, loop->signals) &&
	       !watch(loop, SOURCE_PARENT, loop->verbs);
}

static void init_tunnel(struct loop *loop, const struct loop_setup *setup)
{
	static const struct tunnel_upcalls upcalls = {
		.transmit = transmit,
		.deliver = deliver,
		.inject = inject,
		.random = clock_fill_random,
		.path_mtu = path_mtu,
	};

	tunnel_init(&loop->tunnel, setup->state, &loop->buffers->outbox, setup->aead, &upcalls,
		    loop);
	clock_update(&loop->tunnel);
	setup->state->mtu = loop->tun.mtu;
	coalesce_init(&loop->coalescer, write_super_packet, loop, loop->tun.takes_tcp_super,
		      loop->tun.takes_udp_super);
	udp_init(&loop->udp, loop->buffers->udp);
}

bool loop_init(struct loop *loop, const struct loop_setup *setup)
{
	*loop = (struct loop){
		.tun = setup->tun, .epoll = -1, .timer = -1, .signals = -1, .verbs = setup->verbs};
	loop->device = (struct device_upcalls){
		.set_device = set_device,
		.persist = persist,
		.find_interface = find_interface,
		.count_kernel_drops = count_kernel_drops,
		.interface = loop->tun.name,
		.ifindex = loop->tun.ifindex,
		/* the parent: the process that a supervisor started and stops */
		.pid = (uint32_t)getppid(),
		.context = loop,
	};
	if (!map_buffers(loop) || !open_descriptors(loop)) {
		log_error("cannot start the engine: %s", strerror(errno));
		return false;
	}
	init_tunnel(loop, setup);
	if (!control_init(&loop->control, setup->keyd_listener, setup->wireguard_listener,
			  &loop->tunnel, &loop->device, loop->buffers->control_request,
			  loop->buffers->control_answer) &&
	    watch_all(loop))
		return true;
	log_error("cannot start the engine: %s", strerror(errno));
	return false;
}

void loop_clear(struct loop *loop)
{
	struct tunnel_state *state = loop->tunnel.state;

	control_clear(&loop->control);
	if (state)
		sodium_memzero(&state->secrets, sizeof(state->secrets));
	if (loop->buffers)
		sodium_memzero(loop->buffers, sizeof(*loop->buffers));
	udp_close(&loop->udp.sockets);
	tun_close(&loop->tun);
}
