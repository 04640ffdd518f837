// SPDX-License-Identifier: Apache-2.0
/*
 * Requests are one fixed structure, answers another with descriptors beside it (SCM_RIGHTS). Only
 * the first VERB_ANSWER_LEN bytes of an answer travel: descriptor numbers mean nothing to the other
 * process.
 */
#include "verbs.h"

#include <errno.h>
#include <sys/socket.h>

#define VERB_ANSWER_LEN offsetof(struct verb_answer, fds)

union verb_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(VERB_DESCRIPTORS_MAX * sizeof(int))];
};

/* -- the parent's side -- */

void verbs_add_device(struct verb_answer *answer, int fd)
{
	answer->fds[0] = fd;
	answer->count = 1;
}

void verbs_add_sockets(struct verb_answer *answer, const struct udp_sockets *sockets)
{
	uint32_t families = sockets->fds[UDP_IPV6] >= 0 ? 2 : 1;

	memcpy(answer->fds, sockets->fds, families * sizeof(int));
	memcpy(answer->fds + families, sockets->askers, families * sizeof(int));
	answer->count = 2 * families;
}

static void put_descriptors(struct msghdr *message, union verb_control *control,
			    const struct verb_answer *answer)
{
	struct cmsghdr *part = &control->align;
	size_t len = answer->count * sizeof(int);

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(part), answer->fds, len);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(len);
}

int verbs_answer(int verbs, const struct verb_answer *answer)
{
	union verb_control control = {0};
	struct iovec vector = {.iov_base = (void *)answer, .iov_len = VERB_ANSWER_LEN};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	if (answer->count)
		put_descriptors(&message, &control, answer);
	return sendmsg(verbs, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* -- the engine's side -- */

/* Descriptors that did not arrive stay -1. */
static void read_descriptors(const struct msghdr *message, struct verb_answer *answer)
{
	const struct cmsghdr *part = CMSG_FIRSTHDR(message);
	size_t len = answer->count * sizeof(int);

	if (part && part->cmsg_type == SCM_RIGHTS && part->cmsg_len == CMSG_LEN(len))
		memcpy(answer->fds, CMSG_DATA(part), len);
}

static int ask_parent(int verbs, const struct verb_request *request, struct verb_answer *ret_answer)
{
	union verb_control control;
	struct iovec vector = {.iov_base = ret_answer, .iov_len = VERB_ANSWER_LEN};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	for (unsigned int i = 0; i < VERB_DESCRIPTORS_MAX; i++)
		ret_answer->fds[i] = -1;
	if (send(verbs, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return -errno;
	if (recvmsg(verbs, &message, MSG_CMSG_CLOEXEC) != VERB_ANSWER_LEN)
		return -EPIPE;
	if (ret_answer->error)
		return ret_answer->error;
	if (ret_answer->count > VERB_DESCRIPTORS_MAX)
		return -EPROTO;
	read_descriptors(&message, ret_answer);
	return 0;
}

int verbs_request_sockets(int verbs, uint16_t port, uint32_t fwmark, uint16_t *ret_port,
			  struct udp_sockets *ret_sockets)
{
	struct verb_request request = {.verb = VERB_OPEN_SOCKETS, .fwmark = fwmark, .port = port};
	struct verb_answer answer;
	int error = ask_parent(verbs, &request, &answer);
	uint32_t families;

	if (error)
		return error;
	families = answer.count / 2;
	if (families) {
		memcpy(ret_sockets->fds, answer.fds, families * sizeof(int));
		memcpy(ret_sockets->askers, answer.fds + families, families * sizeof(int));
	}
	*ret_port = (uint16_t)answer.port;
	return 0;
}

int verbs_request_device(int verbs, int *ret_fd)
{
	struct verb_request request = {.verb = VERB_OPEN_DEVICE};
	struct verb_answer answer;
	int error = ask_parent(verbs, &request, &answer);

	if (error || answer.fds[0] < 0)
		return error ? error : -EPIPE;
	*ret_fd = answer.fds[0];
	return 0;
}
