// SPDX-License-Identifier: Apache-2.0
/*
 * The batch between the protocol and the wire: one AEAD call for everything that a turn sends, one
 * message for each run of datagrams that the kernel can split (UDP_SEGMENT: equal lengths, only the
 * last may be shorter). A job borrows its session's key, so no session is wiped before the batch is
 * sealed.
 */
#include "outbox.h"

static bool is_same_source(const struct local_source *a, const struct local_source *b)
{
	return a->ifindex == b->ifindex && address_is_equal(&a->address, &b->address);
}

/* Can one more datagram of this length join the last message? Endpoints are compared as bytes:
 * those of one peer are copies, and a false mismatch only costs one message more. */
static bool may_join(const struct outgoing *last, const struct outbox_address *address, size_t len)
{
	return len <= last->segment_len && last->len == last->count * last->segment_len &&
	       last->count < UDP_GSO_SEGMENTS && last->len + len <= UDP_GSO_BYTES &&
	       last->tos == address->tos && is_same_source(&last->from, address->from) &&
	       !memcmp(&last->to, address->to, sizeof(last->to));
}

/* Space is allocated end to end, so a datagram that joins a message directly follows it. */
static void append(struct outbox *outbox, const struct outbox_address *address, uint8_t *data,
		   uint32_t len)
{
	struct outgoing *last = outbox->messages ? &outbox->outgoing[outbox->messages - 1] : NULL;

	if (last && may_join(last, address, len)) {
		last->len += len;
		last->count++;
		return;
	}
	outbox->outgoing[outbox->messages++] = (struct outgoing){
		.to = *address->to,
		.from = *address->from,
		.tos = address->tos,
		.data = data,
		.len = len,
		.segment_len = len,
		.count = 1,
	};
}

uint8_t *outbox_add(struct tunnel *tunnel, const struct outbox_address *address, size_t len)
{
	struct outbox *outbox = tunnel->outbox;
	uint8_t *data;

	assert(len && len <= UDP_GSO_BYTES);
	if (outbox->messages == OUTBOX_DATAGRAMS || outbox->jobs == OUTBOX_DATAGRAMS ||
	    len > OUTBOX_BYTES - outbox->used)
		tunnel_flush(tunnel);
	data = outbox->bytes + outbox->used;
	outbox->used += (uint32_t)len;
	append(outbox, address, data, (uint32_t)len);
	return data;
}

uint8_t *outbox_add_sealed(struct tunnel *tunnel, const struct outbox_address *address,
			   size_t head_len, size_t len, uint32_t session_index, uint64_t counter)
{
	uint8_t *data = outbox_add(tunnel, address, head_len + len + TAG_LEN);
	struct outbox *outbox = tunnel->outbox;

	outbox->aead_jobs[outbox->jobs++] = (struct aead_job){
		.key = tunnel->state->secrets.session_keys[session_index].send,
		.counter = counter,
		.input = data + head_len,
		.output = data + head_len,
		.len = (uint32_t)len,
	};
	return data;
}

void tunnel_flush(struct tunnel *tunnel)
{
	struct outbox *outbox = tunnel->outbox;

	if (!outbox->messages)
		return;
	if (outbox->jobs)
		tunnel->aead->seal(outbox->aead_jobs, outbox->jobs);
	tunnel->upcalls.transmit(tunnel->context, outbox->outgoing, outbox->messages);
	outbox->messages = outbox->jobs = outbox->used = 0;
}

void outbox_settle_session(struct tunnel *tunnel, uint32_t session_index)
{
	const uint8_t *key = tunnel->state->secrets.session_keys[session_index].send;
	const struct outbox *outbox = tunnel->outbox;

	for (uint32_t i = 0; i < outbox->jobs; i++) {
		if (outbox->aead_jobs[i].key == key) {
			tunnel_flush(tunnel);
			return;
		}
	}
}
