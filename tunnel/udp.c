// SPDX-License-Identifier: Apache-2.0
/*
 * The outer datagrams, in batches both ways: sendmmsg with UDP_SEGMENT, recvmmsg with UDP_GRO. If a
 * kernel or a route refuses a batch, its datagrams are sent one by one; those refused again are
 * lost, and the caller counts them. Replies leave from the address that they were sent to, while
 * that address exists (kernel netns tests N32-N36); the routing table chooses the device, so that a
 * better route is used at once.
 */
#include "udp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/uio.h>

#include "log.h"

#define BUFFER_BYTES	 (4 * 1024 * 1024)
#define SEND_MESSAGES	 32 /* of one sendmmsg */
#define SEND_PATIENCE_MS 5  /* for a full send buffer; then the datagrams are lost */
#define ANY_PORT_TRIES	 16
#define ERRORS_A_TURN	 64 /* read at once: anyone may forge them */

#ifndef SOL_UDP
#define SOL_UDP 17
#endif

/* -- opening (the parent) -- */

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static void set_buffers(int fd)
{
	if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES))
		(void)set_option(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	if (set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES))
		(void)set_option(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
}

/* Options that an older supported kernel may lack: receiving works without them, only slower. */
static void set_conveniences(int fd, unsigned int family)
{
	set_buffers(fd);
	(void)set_option(fd, SOL_UDP, UDP_GRO, 1);
	if (family == UDP_IPV4) {
		(void)set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
		(void)set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
	} else {
		(void)set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		(void)set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	}
}

static int set_options(int fd, unsigned int family)
{
	int error;

	set_conveniences(fd, family);
	if (family == UDP_IPV4) {
		error = set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
		return error ? error : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
	}
	error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!error)
		error = set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	return error ? error : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static int open_socket(int *ret_fd, unsigned int family, uint16_t port)
{
	struct address any = {.family = family == UDP_IPV4 ? AF_INET : AF_INET6};
	union endpoint endpoint = endpoint_of(&any, port);
	CLEANUP_CLOSE int fd =
		socket(any.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	int error;

	if (fd < 0)
		return -errno;
	error = set_options(fd, family);
	if (error)
		return error;
	if (bind(fd, &endpoint.any, endpoint_len(&endpoint)))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_asker(int *ret_fd, unsigned int family)
{
	*ret_fd = socket(family == UDP_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC,
			 IPPROTO_UDP);
	return *ret_fd < 0 ? -errno : 0;
}

static int bound_port(int fd, uint16_t *ret_port)
{
	union endpoint endpoint;
	socklen_t len = sizeof(endpoint);

	if (getsockname(fd, &endpoint.any, &len))
		return -errno;
	*ret_port = endpoint_port(&endpoint);
	return 0;
}

static int open_both(struct udp_sockets *ret_sockets, uint16_t port, uint16_t *ret_port)
{
	struct udp_sockets sockets = UDP_CLOSED;
	uint16_t bound = 0;
	int error = open_socket(&sockets.fds[UDP_IPV4], UDP_IPV4, port);

	if (error)
		return error;
	error = bound_port(sockets.fds[UDP_IPV4], &bound);
	if (!error)
		error = open_socket(&sockets.fds[UDP_IPV6], UDP_IPV6, bound);
	if (error == -EAFNOSUPPORT)
		error = 0;
	for (unsigned int family = 0; family < UDP_FAMILIES && !error; family++)
		if (sockets.fds[family] >= 0)
			error = open_asker(&sockets.askers[family], family);
	if (error) {
		udp_close(&sockets);
		return error;
	}
	*ret_sockets = sockets;
	*ret_port = bound;
	return 0;
}

int udp_open(struct udp_sockets *ret_sockets, uint16_t port, uint32_t fwmark, uint16_t *ret_port)
{
	struct udp_sockets sockets = UDP_CLOSED;
	int tries = port ? 1 : ANY_PORT_TRIES, error;
	uint16_t bound = 0;

	do
		error = open_both(&sockets, port, &bound);
	while (error == -EADDRINUSE && --tries > 0);
	if (error)
		return error;
	error = udp_set_mark(&sockets, fwmark);
	if (error) {
		udp_close(&sockets);
		return error;
	}
	*ret_sockets = sockets;
	*ret_port = bound;
	return 0;
}

static int set_mark(int fd, uint32_t fwmark)
{
	if (fd < 0 || !setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)))
		return 0;
	return -errno;
}

int udp_set_mark(const struct udp_sockets *sockets, uint32_t fwmark)
{
	int error = 0;

	for (unsigned int family = 0; family < UDP_FAMILIES && !error; family++) {
		error = set_mark(sockets->fds[family], fwmark);
		if (!error)
			error = set_mark(sockets->askers[family], fwmark);
	}
	return error;
}

void udp_close(struct udp_sockets *sockets)
{
	for (unsigned int family = 0; family < UDP_FAMILIES; family++) {
		fd_close(&sockets->fds[family]);
		fd_close(&sockets->askers[family]);
	}
}

/* -- using (the engine) -- */

void udp_init(struct udp *udp, uint8_t (*buffers)[UDP_MESSAGE_MAX])
{
	*udp = (struct udp){.sockets = UDP_CLOSED, .buffers = buffers};
}

void udp_adopt(struct udp *udp, struct udp_sockets *sockets)
{
	udp_close(&udp->sockets);
	udp->sockets = *sockets;
	*sockets = (struct udp_sockets)UDP_CLOSED;
	memset(udp->overflows, 0, sizeof(udp->overflows));
	udp->has_segmentation = !set_option(udp->sockets.fds[UDP_IPV4], SOL_UDP, UDP_SEGMENT, 0);
}

union receive_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int))];
};

static void take_source4(struct local_source *ret_source, const struct cmsghdr *part)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(part), sizeof(info));
	ret_source->address.family = AF_INET;
	memcpy(ret_source->address.bytes, &info.ipi_spec_dst, 4);
	ret_source->ifindex = (uint32_t)info.ipi_ifindex;
}

static void take_source6(struct local_source *ret_source, const struct cmsghdr *part)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(part), sizeof(info));
	if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
		return;
	ret_source->address.family = AF_INET6;
	memcpy(ret_source->address.bytes, &info.ipi6_addr, 16);
	ret_source->ifindex = info.ipi6_ifindex;
}

static void take_part4(struct incoming *ret_incoming, const struct cmsghdr *part)
{
	if (part->cmsg_type == IP_PKTINFO)
		take_source4(&ret_incoming->to, part);
	else if (part->cmsg_type == IP_TOS)
		ret_incoming->tos = *CMSG_DATA(part);
}

static void take_part6(struct incoming *ret_incoming, const struct cmsghdr *part)
{
	int traffic_class;

	if (part->cmsg_type == IPV6_PKTINFO) {
		take_source6(&ret_incoming->to, part);
	} else if (part->cmsg_type == IPV6_TCLASS) {
		memcpy(&traffic_class, CMSG_DATA(part), sizeof(traffic_class));
		ret_incoming->tos = (uint8_t)traffic_class;
	}
}

static void take_segment_len(struct incoming *ret_incoming, const struct cmsghdr *part)
{
	int segment_len;

	memcpy(&segment_len, CMSG_DATA(part), sizeof(segment_len));
	ret_incoming->segment_len = (uint32_t)segment_len;
}

static void take_control(struct incoming *ret_incoming, struct msghdr *header)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level == IPPROTO_IP)
			take_part4(ret_incoming, part);
		else if (part->cmsg_level == IPPROTO_IPV6)
			take_part6(ret_incoming, part);
		else if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_GRO)
			take_segment_len(ret_incoming, part);
	}
}

unsigned int udp_receive(struct udp *udp, unsigned int family,
			 struct incoming ret_incoming[static UDP_RECEIVE_MESSAGES])
{
	union receive_control controls[UDP_RECEIVE_MESSAGES];
	struct mmsghdr messages[UDP_RECEIVE_MESSAGES];
	struct iovec vectors[UDP_RECEIVE_MESSAGES];
	int count;

	for (unsigned int i = 0; i < UDP_RECEIVE_MESSAGES; i++) {
		ret_incoming[i] = (struct incoming){.data = udp->buffers[i]};
		vectors[i] =
			(struct iovec){.iov_base = udp->buffers[i], .iov_len = UDP_MESSAGE_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &ret_incoming[i].from,
						      .msg_namelen = sizeof(ret_incoming[i].from),
						      .msg_iov = &vectors[i],
						      .msg_iovlen = 1,
						      .msg_control = &controls[i],
						      .msg_controllen = sizeof(controls[i])};
	}
	count = recvmmsg(udp->sockets.fds[family], messages, UDP_RECEIVE_MESSAGES, MSG_DONTWAIT,
			 NULL);
	for (int i = 0; i < count; i++) {
		ret_incoming[i].len = messages[i].msg_len;
		take_control(&ret_incoming[i], &messages[i].msg_hdr);
	}
	return count > 0 ? (unsigned int)count : 0;
}

/* Not by SO_RXQ_OVFL, which reports a loss only with a later datagram. */
uint64_t udp_read_overflows(struct udp *udp)
{
	uint32_t memory[SK_MEMINFO_VARS];
	uint64_t lost = 0;

	for (unsigned int family = 0; family < UDP_FAMILIES; family++) {
		socklen_t len = sizeof(memory);

		if (udp->sockets.fds[family] < 0 ||
		    getsockopt(udp->sockets.fds[family], SOL_SOCKET, SO_MEMINFO, memory, &len) ||
		    len <= SK_MEMINFO_DROPS * sizeof(*memory))
			continue;
		lost += memory[SK_MEMINFO_DROPS] - udp->overflows[family];
		udp->overflows[family] = memory[SK_MEMINFO_DROPS];
	}
	return lost;
}

/* -- errors from the kernel -- */

union error_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6)) +
		      CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int))];
};

static bool tells_too_big(struct msghdr *header)
{
	struct sock_extended_err error;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		bool is_error =
			(part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
			(part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);

		if (!is_error)
			continue;
		memcpy(&error, CMSG_DATA(part), sizeof(error));
		if (error.ee_errno == EMSGSIZE)
			return true;
	}
	return false;
}

bool udp_read_errors(struct udp *udp, unsigned int family)
{
	bool was_too_big = false;

	for (unsigned int i = 0; i < ERRORS_A_TURN; i++) {
		union error_control control;
		struct msghdr header = {.msg_control = &control, .msg_controllen = sizeof(control)};

		if (recvmsg(udp->sockets.fds[family], &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		was_too_big |= tells_too_big(&header);
	}
	return was_too_big;
}

/* -- the way -- */

/* The asker releases its port again, so that no datagram can be sent to it. */
static void disconnect(int fd)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	(void)connect(fd, &nowhere, sizeof(nowhere));
}

uint32_t udp_path_mtu(const struct udp *udp, const union endpoint *to)
{
	bool is_ipv4 = to->any.sa_family == AF_INET;
	int fd = udp->sockets.askers[is_ipv4 ? UDP_IPV4 : UDP_IPV6], mtu = 0;
	socklen_t len = sizeof(mtu);

	if (fd < 0 || connect(fd, &to->any, endpoint_len(to)))
		return 0;
	if (getsockopt(fd, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6, is_ipv4 ? IP_MTU : IPV6_MTU, &mtu,
		       &len) ||
	    mtu < 0)
		mtu = 0;
	disconnect(fd);
	return (uint32_t)mtu;
}

/* -- sending -- */

/* A part of an outgoing: all of it, or one datagram if the kernel does not segment. */
struct part {
	const struct outgoing *of;
	uint32_t offset, len;
	bool without_source;
};

union send_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)) +
		      CMSG_SPACE(sizeof(int))];
};

struct message {
	struct msghdr header;
	struct iovec vector;
	union send_control control;
};

static uint32_t part_packets(const struct part *part)
{
	return (part->len + part->of->segment_len - 1) / part->of->segment_len;
}

static void add_control(struct message *message, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *part =
		(struct cmsghdr *)(message->control.bytes + message->header.msg_controllen);

	part->cmsg_level = level;
	part->cmsg_type = type;
	part->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(part), value, len);
	message->header.msg_control = &message->control;
	message->header.msg_controllen += CMSG_SPACE(len);
}

static void add_source(struct message *message, const struct address *source)
{
	struct in_pktinfo info4 = {0};
	struct in6_pktinfo info6 = {0};

	if (source->family == AF_INET) {
		memcpy(&info4.ipi_spec_dst, source->bytes, 4);
		add_control(message, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
	} else {
		memcpy(&info6.ipi6_addr, source->bytes, 16);
		add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
	}
}

static void add_tos(struct message *message, sa_family_t family, int tos)
{
	if (family == AF_INET)
		add_control(message, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else
		add_control(message, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
}

/* `message` points into itself: it must not move until it was sent. */
static void create_message(struct message *message, const struct part *part)
{
	const struct outgoing *outgoing = part->of;
	uint16_t segment_len = (uint16_t)outgoing->segment_len;
	sa_family_t family = outgoing->to.any.sa_family;

	message->vector =
		(struct iovec){.iov_base = outgoing->data + part->offset, .iov_len = part->len};
	message->header = (struct msghdr){.msg_name = (void *)&outgoing->to,
					  .msg_namelen = endpoint_len(&outgoing->to),
					  .msg_iov = &message->vector,
					  .msg_iovlen = 1};
	if (outgoing->from.address.family == family && !part->without_source)
		add_source(message, &outgoing->from.address);
	if (outgoing->tos)
		add_tos(message, family, outgoing->tos);
	if (part->len > outgoing->segment_len)
		add_control(message, SOL_UDP, UDP_SEGMENT, &segment_len, sizeof(segment_len));
}

static int fd_of(const struct udp *udp, const struct outgoing *outgoing)
{
	return udp->sockets.fds[outgoing->to.any.sa_family == AF_INET ? UDP_IPV4 : UDP_IPV6];
}

/* Sends one message, waiting for a full buffer: 0 or -errno. */
static int send_part(const struct udp *udp, const struct part *part)
{
	struct message message = {0};
	int fd = fd_of(udp, part->of);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};

	create_message(&message, part);
	if (sendmsg(fd, &message.header, MSG_DONTWAIT) >= 0)
		return 0;
	if (errno != EAGAIN)
		return -errno;
	(void)poll(&writable, 1, SEND_PATIENCE_MS);
	return sendmsg(fd, &message.header, MSG_DONTWAIT) >= 0 ? 0 : -errno;
}

static uint32_t send_one_by_one(const struct udp *udp, const struct part *whole)
{
	struct part part = *whole;
	uint32_t lost = 0;

	for (uint32_t done = 0; done < whole->len; done += part.len) {
		part.offset = whole->offset + done;
		part.len = MIN(whole->of->segment_len, whole->len - done);
		if (send_part(udp, &part))
			lost++;
	}
	return lost;
}

static void give_up_segmentation(struct udp *udp, int error)
{
	if (udp->has_segmentation)
		log_warning(
			"the kernel refuses UDP_SEGMENT (%s): sending datagrams one by one from now on",
			strerror(-error));
	udp->has_segmentation = false;
}

/* Handles a part that the kernel refused within a batch. EINVAL has three causes: a source address
 * that is no longer ours, a segment larger than the device's MTU, and a route that cannot segment
 * at all (EIO on some kernels). */
static uint32_t send_again(struct udp *udp, struct part part)
{
	bool is_batch = part.len > part.of->segment_len;
	int error = send_part(udp, &part);
	uint32_t lost;

	if (error && part.of->from.address.family && !part.without_source) {
		part.without_source = true;
		error = send_part(udp, &part);
	}
	if (!error)
		return 0;
	if (!is_batch || (error != -EIO && error != -EINVAL && error != -EMSGSIZE))
		return part_packets(&part);
	lost = send_one_by_one(udp, &part);
	if (error == -EIO || (error == -EINVAL && !lost))
		give_up_segmentation(udp, error);
	return lost;
}

/* Parts of one family. */
static uint64_t send_batch(struct udp *udp, const struct part *parts, unsigned int count)
{
	struct message messages[SEND_MESSAGES];
	struct mmsghdr headers[SEND_MESSAGES];
	unsigned int done = 0;
	uint64_t lost = 0;

	for (unsigned int i = 0; i < count; i++) {
		create_message(&messages[i], &parts[i]);
		headers[i].msg_hdr = messages[i].header;
	}
	while (done < count) {
		int sent =
			sendmmsg(fd_of(udp, parts->of), headers + done, count - done, MSG_DONTWAIT);

		if (sent > 0)
			done += (unsigned int)sent;
		else
			lost += send_again(udp, parts[done++]);
	}
	return lost;
}

/* The rest of outgoing[*index], as one part. */
static struct part next_part(const struct udp *udp, const struct outgoing *outgoing,
			     uint32_t *index, uint32_t *offset)
{
	const struct outgoing *of = &outgoing[*index];
	uint32_t rest = of->len - *offset;
	struct part part = {.of = of, .offset = *offset, .len = rest};

	if (!udp->has_segmentation)
		part.len = MIN(rest, of->segment_len);
	*offset += part.len;
	if (*offset == of->len) {
		*offset = 0;
		++*index;
	}
	return part;
}

uint64_t udp_send(struct udp *udp, const struct outgoing *outgoing, uint32_t count)
{
	struct part parts[SEND_MESSAGES];
	uint32_t index = 0, offset = 0;
	uint64_t lost = 0;

	while (index < count) {
		sa_family_t family = outgoing[index].to.any.sa_family;
		unsigned int used = 0;

		while (used < SEND_MESSAGES && index < count &&
		       outgoing[index].to.any.sa_family == family)
			parts[used++] = next_part(udp, outgoing, &index, &offset);
		lost += send_batch(udp, parts, used);
	}
	return lost;
}
