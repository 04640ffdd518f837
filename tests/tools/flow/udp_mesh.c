/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every node sends to every other, through one socket.
 */
#include "flow.h"

#define MESH_TICK_NS   (2 * NS_PER_MS)
#define MESH_END_NS    (3 * NS_PER_S) /* the others stop at about the same time */
#define END_SPACING_NS (40 * NS_PER_MS)

struct mesh {
	const struct settings *settings;
	unsigned int count;
	struct pace paces[OTHERS_MAX];
	struct udp_sender senders[OTHERS_MAX];
	struct udp_receiver receivers[OTHERS_MAX];
};

static void mesh_receive(struct mesh *mesh)
{
	while (udp_receive_batch(mesh->receivers, mesh->count) == BATCH)
		;
}

/* In turn, and not all in one tick. */
static void mesh_begin(struct mesh *mesh, uint8_t *buffers)
{
	uint64_t run = tool_clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48,
		 start = tool_now_ns();

	for (unsigned int i = 0; i < mesh->count; i++) {
		mesh->senders[i].run = run;
		mesh->senders[i].buffers = buffers;
		mesh->paces[i] = (struct pace){
			.start_ns = start - NS_PER_S / mesh->settings->rate * i / mesh->count,
			.rate = mesh->settings->rate,
		};
	}
}

static void mesh_send(struct mesh *mesh, uint64_t deadline)
{
	while (!is_stopping && tool_now_ns() < deadline) {
		for (unsigned int i = 0; i < mesh->count; i++)
			udp_send_due(&mesh->senders[i], &mesh->paces[i], UINT64_MAX);
		mesh_receive(mesh);
		tool_sleep_until(tool_now_ns() + MESH_TICK_NS);
	}
}

static bool mesh_has_all(const struct mesh *mesh)
{
	for (unsigned int i = 0; i < mesh->count; i++)
		if (!mesh->receivers[i].has_end ||
		    mesh->receivers[i].received != mesh->receivers[i].announced)
			return false;
	return true;
}

static void mesh_end(struct mesh *mesh)
{
	uint64_t deadline = tool_now_ns() + MESH_END_NS;

	for (unsigned int n = 0;
	     n < END_DATAGRAMS || (!mesh_has_all(mesh) && tool_now_ns() < deadline); n++) {
		for (unsigned int i = 0; i < mesh->count && n < END_DATAGRAMS; i++)
			udp_send_end(&mesh->senders[i], &mesh->paces[i]);
		tool_sleep_until(tool_now_ns() + END_SPACING_NS);
		mesh_receive(mesh);
	}
	for (unsigned int i = 0; i < mesh->count; i++)
		udp_print_received(&mesh->receivers[i]);
}

static bool mesh_open(struct mesh *mesh, const struct settings *settings)
{
	int on = 1, fd = socket_open(SOCK_DGRAM, &settings->bind);

	if (fd < 0)
		return false;
	socket_set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	socket_set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	mesh->settings = settings;
	mesh->count = settings->to_count;
	for (unsigned int i = 0; i < mesh->count; i++) {
		const union endpoint *other = &settings->to[i];

		mesh->senders[i] = (struct udp_sender){.settings = settings, .fd = fd, .to = other};
		mesh->receivers[i] =
			(struct udp_receiver){.settings = settings, .fd = fd, .from = other};
	}
	return tool_announce(settings->ready_file);
}

int udp_mesh(const struct settings *settings)
{
	static struct mesh mesh; /* too large for the stack */
	uint64_t deadline = tool_now_ns() + settings->seconds * NS_PER_S;
	uint8_t *buffers = calloc(BATCH, settings->size);

	if (!buffers || !mesh_open(&mesh, settings))
		return 1;
	while (settings->start_file && access(settings->start_file, F_OK) && !is_stopping &&
	       tool_now_ns() < deadline)
		tool_sleep_until(tool_now_ns() + MESH_TICK_NS);
	mesh_begin(&mesh, buffers);
	mesh_send(&mesh, deadline);
	mesh_end(&mesh);
	free(buffers);
	return 0;
}
