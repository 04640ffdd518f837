// SPDX-License-Identifier: Apache-2.0
/*
 * Requests to podveil-tunnel, one at a time. A private key exists here during one call only, in
 * memory that is locked, guarded and excluded from core dumps (sodium_malloc), from which it is
 * passed to the kernel directly.
 */
#include "tunnel_client.h"

#include <errno.h>
#include <sys/time.h>
#include <sys/un.h>

#define ANSWER_TIMEOUT_S 5
#define STACK_OF_A_PAIR	 8192 /* libsodium does not wipe its stack frames after creating a pair */

void tunnel_client_init(struct tunnel_client *client, const char *path)
{
	*client = (struct tunnel_client){.path = path, .fd = -1};
}

void tunnel_client_close(struct tunnel_client *client)
{
	fd_close(&client->fd);
}

int tunnel_client_connect(struct tunnel_client *client)
{
	static const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int size = 2 * CONTROL_PACKET_MAX;
	CLEANUP_CLOSE int fd = -1;

	if (!copy_text(address.sun_path, sizeof(address.sun_path), client->path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	client->fd = TAKE_FD(fd);
	return 0;
}

static int disconnect(struct tunnel_client *client, int error)
{
	tunnel_client_close(client);
	return error;
}

/* `parts` are the body of the request. The headers of request and answer are handled here.
 * *ret_len is the length of the answer's body, at most answer_size. */
static int request(struct tunnel_client *client, enum control_verb verb, const struct iovec *parts,
		   size_t part_count, void *answer, size_t answer_size, size_t *ret_len)
{
	struct control_header header = {.version = CONTROL_VERSION, .verb = (uint16_t)verb},
			      answered = {0};
	struct iovec out[4] = {{&header, sizeof(header)}},
		     in[2] = {{&answered, sizeof(answered)}, {answer, answer_size}};
	struct msghdr sent = {.msg_iov = out, .msg_iovlen = 1 + part_count};
	struct msghdr received = {.msg_iov = in, .msg_iovlen = answer_size ? 2 : 1};
	ssize_t len;

	if (client->fd < 0)
		return -ENOTCONN;
	for (size_t i = 0; i < part_count; i++)
		out[1 + i] = parts[i];
	if (sendmsg(client->fd, &sent, MSG_NOSIGNAL) < 0)
		return disconnect(client, errno == EAGAIN ? -ETIMEDOUT : -errno);
	do
		len = recvmsg(client->fd, &received, 0);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return disconnect(client, errno == EAGAIN ? -ETIMEDOUT : -errno);
	if (!len)
		return disconnect(client, -ECONNRESET);
	if ((size_t)len < sizeof(answered) || received.msg_flags & MSG_TRUNC ||
	    answered.version != CONTROL_VERSION || answered.verb != header.verb)
		return disconnect(client, -EPROTO);
	if (answered.error)
		return answered.error < 0 ? answered.error : -EPROTO;
	*ret_len = (size_t)len - sizeof(answered);
	return 0;
}

/* The answer must have exactly this length. */
static int exchange(struct tunnel_client *client, enum control_verb verb, const void *body,
		    size_t body_len, void *answer, size_t answer_len)
{
	struct iovec part = {(void *)body, body_len};
	size_t got = 0;
	int error = request(client, verb, &part, body_len ? 1 : 0, answer, answer_len, &got);

	return error || got == answer_len ? error : disconnect(client, -EPROTO);
}

int tunnel_client_hello(struct tunnel_client *client, struct control_hello *ret_hello)
{
	struct control_hello hello;
	int error = exchange(client, CONTROL_HELLO, NULL, 0, &hello, sizeof(hello));

	if (error)
		return error;
	hello.interface[sizeof(hello.interface) - 1] = '\0';
	hello.uid[sizeof(hello.uid) - 1] = '\0';
	*ret_hello = hello;
	return 0;
}

int tunnel_client_promote(struct tunnel_client *client, uint64_t epoch)
{
	struct control_epoch promotion = {epoch};

	return exchange(client, CONTROL_PROMOTE_IDENTITY, &promotion, sizeof(promotion), NULL, 0);
}

int tunnel_client_clear_key(struct tunnel_client *client, enum key_slot slot, uint64_t epoch,
			    bool ends_sessions)
{
	struct control_clear clear = {.slot = slot, .ends_sessions = ends_sessions, .epoch = epoch};

	return exchange(client, CONTROL_CLEAR_IDENTITY, &clear, sizeof(clear), NULL, 0);
}

int tunnel_client_set_device(struct tunnel_client *client, uint16_t port)
{
	struct control_device device = {.port = port};

	return exchange(client, CONTROL_SET_DEVICE, &device, sizeof(device), NULL, 0);
}

int tunnel_client_set_peer(struct tunnel_client *client, const struct tunnel_peer *peer)
{
	struct iovec parts[] = {
		{(void *)&peer->fixed, sizeof(peer->fixed)},
		{(void *)peer->endpoints, peer->fixed.endpoint_count * sizeof(*peer->endpoints)},
		{(void *)peer->cidrs, peer->fixed.cidr_count * sizeof(*peer->cidrs)},
	};
	size_t got;

	return request(client, CONTROL_SET_PEER, parts, ARRAY_SIZE(parts), NULL, 0, &got);
}

int tunnel_client_remove_peer(struct tunnel_client *client, uint32_t id)
{
	struct control_peer_id peer = {id};

	return exchange(client, CONTROL_REMOVE_PEER, &peer, sizeof(peer), NULL, 0);
}

int tunnel_client_try_peer(struct tunnel_client *client, uint32_t id)
{
	struct control_peer_id peer = {id};

	return exchange(client, CONTROL_TRY_PEER, &peer, sizeof(peer), NULL, 0);
}

int tunnel_client_ask_peer(struct tunnel_client *client, uint32_t id, const union endpoint *to)
{
	struct control_question question = {.id = id, .endpoint = *to};

	return exchange(client, CONTROL_ASK_PEER, &question, sizeof(question), NULL, 0);
}

int tunnel_client_forget_place(struct tunnel_client *client, uint32_t id,
			       const struct address *address)
{
	struct control_place_of place = {.id = id, .address = *address};

	return exchange(client, CONTROL_FORGET_PLACE, &place, sizeof(place), NULL, 0);
}

int tunnel_client_read_drops(struct tunnel_client *client, struct control_drops *ret_drops)
{
	return exchange(client, CONTROL_READ_DROPS, NULL, 0, ret_drops, sizeof(*ret_drops));
}

int tunnel_client_list_peers(struct tunnel_client *client, uint32_t after_id,
			     struct control_page *ret_page)
{
	struct control_peer_id after = {after_id};
	struct iovec part = {&after, sizeof(after)};
	size_t got = 0, head = offsetof(struct control_page, peers);
	int error =
		request(client, CONTROL_LIST_PEERS, &part, 1, ret_page, sizeof(*ret_page), &got);

	if (error)
		return error;
	if (got < head || ret_page->count > CONTROL_PAGE ||
	    got < head + ret_page->count * sizeof(ret_page->peers[0]))
		return disconnect(client, -EPROTO);
	return 0;
}

int tunnel_client_give_new_key(struct tunnel_client *client, enum key_slot slot, const char *uid,
			       uint64_t epoch, struct public_key *ret_public)
{
	struct control_identity *identity = sodium_malloc(sizeof(*identity));
	struct public_key public_key;
	int error;

	if (!identity)
		return -ENOMEM;
	*identity = (struct control_identity){.slot = slot, .epoch = epoch};
	copy_text(identity->uid, sizeof(identity->uid), uid);
	error = crypto_box_keypair(public_key.bytes, identity->private_key.bytes) ? -EIO : 0;
	sodium_stackzero(STACK_OF_A_PAIR);
	if (!error)
		error = exchange(client, CONTROL_SET_IDENTITY, identity, sizeof(*identity), NULL,
				 0);
	sodium_free(identity); /* wipes it first */
	if (!error)
		*ret_public = public_key;
	return error;
}
