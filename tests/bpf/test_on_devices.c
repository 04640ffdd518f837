/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs on real devices, with packets that the kernel routes, tags, segments and merges. If
 * one program is detached, the other stops the packets that it would have stopped.
 */
#include "veth.h"

#include <linux/virtio_net.h>

/* -- the second check: wire_guard beside to_wire, and from_wire at the ingress -- */

VETH_TEST(wire_guard_stops_and_counts_the_leak_when_to_wire_is_gone)
{
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	attach_both_looks(loader);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_true(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	detach_link_as_another_program("to_wire", "up0");
	assert_leak_is_stopped(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	delete_qdisc("up0");
	assert_guarded(loader);
	loader_close(loader);
}

/* Both are filters here: each can be removed alone. */
VETH_TEST(clsact_guard_stops_the_leak_when_the_filter_of_to_wire_is_gone)
{
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	assert_true(has_clsact_filter("up0", 1, FILTER_TO_WIRE));
	assert_true(has_clsact_filter("up0", 2, FILTER_WIRE_GUARD));
	delete_filter("up0", 1, FILTER_TO_WIRE);
	assert_leak_is_stopped(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	assert_int_equal(count_drops(loader, DROP_CLEAR_OUT), 1);
	delete_filter("up0", 2, FILTER_WIRE_GUARD);
	assert_guarded(loader);
	loader_close(loader);
}

VETH_TEST(guard_changes_its_priority_with_the_mechanism)
{
	struct loader *tcx, *clsact;

	require_tcx();
	tcx = open_loader(false);
	clsact = open_loader(true);
	attach_both_looks(tcx);
	attach_both_looks(clsact);
	assert_string_equal(list_tcx("up0"), "");
	assert_false(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	assert_int_equal(count_attached(clsact, LOADER_WIRE_GUARD), 1);
	attach_both_looks(tcx);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_false(has_clsact_filter("up0", 1, FILTER_TO_WIRE));
	assert_true(has_clsact_filter("up0", 1, FILTER_WIRE_GUARD));
	assert_int_equal(count_attached(tcx, LOADER_WIRE_GUARD), 1);
	loader_close(tcx);
	loader_close(clsact);
}

static void from_wire_stops_spoofed_pods_before_the_stack(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	CLEANUP_CLOSE int receiver = -1, far = open_wire("far0");
	struct frame spoofed, honest;
	uint8_t bytes[128];
	struct pollfd ready;

	fill(loader, 0);
	COMMAND("ip addr add 192.168.50.1/24 dev up0");
	COMMAND("ip route add default dev up0 && ip link set up0 address 02:00:00:00:00:02");
	receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ready = (struct pollfd){.fd = receiver, .events = POLLIN};
	assert_int_equal(bind(receiver,
			      (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET,
								       .sin_port = htobe16(5000)},
			      sizeof(struct sockaddr_in)),
			 0);
	frame_make_udp(&spoofed, peer_pod.ip4, self.ip4);
	frame_make_udp(&honest, world.ip4, self.ip4);
	send_frame(far, &spoofed);
	assert_int_equal(poll(&ready, 1, ARRIVAL_MS), 1); /* positive control */
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), 64);

	attach(loader, LOADER_FROM_WIRE, "up0");
	assert_int_equal(count_attached(loader, LOADER_FROM_WIRE), 1);
	send_frame(far, &spoofed);
	send_frame(far, &honest);
	assert_int_equal(poll(&ready, 1, ARRIVAL_MS), 1);
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), 64);
	assert_int_equal(recv(receiver, bytes, sizeof(bytes), 0), -1);
	assert_int_equal(count_drops(loader, DROP_CLEAR_IN), 1);
	loader_close(loader);
}

VETH_TEST(tcx_from_wire_stops_spoofed_pods_before_the_stack)
{
	require_tcx();
	from_wire_stops_spoofed_pods_before_the_stack(false);
}

VETH_TEST(clsact_from_wire_stops_spoofed_pods_before_the_stack)
{
	from_wire_stops_spoofed_pods_before_the_stack(true);
}

/* -- the way into the tunnel -- */

struct path {
	struct loader *loader;
	int tun, near, far;
};

static void open_path(struct path *path, bool force_clsact)
{
	path->loader = open_loader(force_clsact);
	path->tun = open_tun("podveil0", 0);
	path->near = open_wire("up0");
	path->far = open_wire("far0");
	fill(path->loader, ifindex_of("podveil0"));
	attach(path->loader, LOADER_TO_WIRE, "up0");
}

static void close_path(struct path *path)
{
	close(path->tun);
	close(path->near);
	close(path->far);
	loader_close(path->loader);
}

static void assert_read_from_tun(int tun, const struct frame *frame)
{
	uint8_t bytes[FRAME_MAX];
	size_t len = read_tun(tun, bytes, sizeof(bytes));

	assert_int_equal(len, frame->len - frame->ip);
	assert_memory_equal(bytes, frame->bytes + frame->ip, len);
}

/* With its positive control: the same frame to the world is seen on the wire, and a pod's is
 * not. */
static void redirect_takes_packets_off_the_wire(bool force_clsact)
{
	struct frame pod, marker;
	struct path path;

	open_path(&path, force_clsact);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		frame_make_udp(&pod, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		frame_make_udp(&marker, place_text(&local_pod, is_ip6), place_text(&world, is_ip6));
		send_frame(path.near, &pod);
		send_frame(path.near, &marker);
		assert_int_equal(count_before_marker(path.far, &pod, &marker), 0);
		assert_read_from_tun(path.tun, &pod);
		assert_true(tun_is_silent(path.tun));
	}
	assert_int_equal(read_peer_traffic(loader_get_maps(path.loader)->peer_traffic, PEER_USABLE)
				 .to_tunnel.packets,
			 2);
	close_path(&path);
}

VETH_TEST(tcx_redirects_bare_ip_into_the_tunnel_and_off_the_wire)
{
	require_tcx();
	redirect_takes_packets_off_the_wire(false);
}

VETH_TEST(clsact_redirects_bare_ip_into_the_tunnel_and_off_the_wire)
{
	redirect_takes_packets_off_the_wire(true);
}

/* The same through the node's own routing: here the kernel makes the frame. */
VETH_TEST(routed_packets_are_redirected)
{
	CLEANUP_CLOSE int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htobe16(5000)};
	uint8_t bytes[FRAME_MAX];
	struct path path;
	size_t len;

	open_path(&path, false);
	COMMAND("ip addr add 192.168.50.1/24 dev up0 && ip route add 10.244.2.0/24 via 192.168.50.2 dev up0 && "
		"ip neigh add 192.168.50.2 lladdr 02:00:00:00:00:02 dev up0 nud permanent");
	inet_pton(AF_INET, peer_pod.ip4, &to.sin_addr);
	assert_int_equal(sendto(sender, "in the tunnel", 13, 0, (struct sockaddr *)&to, sizeof(to)),
			 13);
	len = read_tun(path.tun, bytes, sizeof(bytes));
	assert_int_equal(len, sizeof(struct iphdr) + sizeof(struct udphdr) + 13);
	assert_int_equal(bytes[0], 0x45);
	assert_memory_equal(bytes + 28, "in the tunnel", 13);
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

VETH_TEST(vlan_tags_never_reach_the_tunnel)
{
	CLEANUP_CLOSE int program = load_tagger(), link = -1;
	struct frame plain, tagged;
	struct path path;

	open_path(&path, false);
	frame_make_udp(&plain, local_pod.ip4, peer_pod.ip4);
	frame_begin(&tagged);
	frame_put_tag(&tagged, ETH_P_8021AD, 9);
	frame_put_tag(&tagged, ETH_P_8021Q, 10);
	frame_put_ip(&tagged, local_pod.ip4, peer_pod.ip4);
	frame_put_udp(&tagged, 4000, 5000, 64);
	frame_end(&tagged);

	send_frame(path.near, &tagged); /* both in the frame */
	assert_read_from_tun(path.tun, &plain);
	if (has_tcx) {
		link = attach_foreign_tcx(program, "up0");
		assert_string_equal(list_tcx("up0"), "tagger to_wire ");
		send_frame(path.near, &plain); /* one beside it */
		assert_read_from_tun(path.tun, &plain);
		send_frame(path.near, &tagged); /* one beside it, two in it */
		assert_read_from_tun(path.tun, &plain);
	}
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

VETH_TEST(vlan_tag_that_the_kernel_does_not_see_is_dropped)
{
	struct frame tagged;
	struct path path;

	open_path(&path, false);
	frame_begin(&tagged);
	frame_put_tag(&tagged, ETH_P_8021Q, 9);
	frame_put_ip(&tagged, local_pod.ip4, peer_pod.ip4);
	frame_put_udp(&tagged, 4000, 5000, 64);
	frame_end(&tagged);
	send_frame_as(path.near, &tagged, "up0", ETH_P_IP);
	assert_int_equal(count_drops(path.loader, DROP_VLAN_STUCK), 1);
	assert_true(tun_is_silent(path.tun));
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

VETH_TEST(frames_cut_in_the_ip_header_never_reach_the_wire)
{
	struct frame frame;
	struct path path;
	uint64_t sent = 0;

	open_path(&path, false);
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		frame_make_udp(&frame, place_text(&local_pod, is_ip6),
			       place_text(&peer_pod, is_ip6));
		/* The kernel sends no frame that is a header alone. */
		for (frame.len = ETH_HLEN + 1; frame.len < (size_t)(ETH_HLEN + (is_ip6 ? 40 : 20));
		     frame.len++, sent++)
			send_frame(path.near, &frame);
	}
	assert_int_equal(count_drops(path.loader, DROP_TRUNCATED), sent);
	assert_true(tun_is_silent(path.tun));
	assert_int_equal(count_arrived(path.far), 0);
	close_path(&path);
}

/* A tunnel device here represents ipip, gre and the like: all of them hand over bare IP. */
VETH_TEST(devices_without_ethernet_are_guarded_too)
{
	struct frame pod, other;
	struct path path;
	int uplink, near;

	open_path(&path, false);
	uplink = open_tun("up1", 0);
	near = open_wire("up1");
	attach(path.loader, LOADER_TO_WIRE, "up1");
	for (int is_ip6 = 0; is_ip6 < 2; is_ip6++) {
		uint16_t type = is_ip6 ? ETH_P_IPV6 : ETH_P_IP;

		frame_begin_bare(&pod);
		frame_put_ip(&pod, place_text(&local_pod, is_ip6), place_text(&peer_pod, is_ip6));
		frame_put_udp(&pod, 4000, 5000, 64);
		frame_end(&pod);
		frame_begin_bare(&other);
		frame_put_ip(&other, place_text(&local_pod, is_ip6), place_text(&world, is_ip6));
		frame_put_udp(&other, 4000, 5000, 64);
		frame_end(&other);
		send_frame_as(near, &pod, "up1", type);
		assert_read_from_tun(path.tun, &pod);
		assert_true(tun_is_silent(uplink));
		send_frame_as(near, &other, "up1", type);
		assert_read_from_tun(uplink, &other);
		assert_true(tun_is_silent(path.tun));
	}
	close(near);
	close(uplink);
	close_path(&path);
}

/* -- from_tunnel on a real TUN -- */

static int open_receiver(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htobe16(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void write_udp(int tun, const char *source, const char *destination, uint16_t port)
{
	struct frame frame;

	frame_begin_bare(&frame);
	frame_put_ip(&frame, source, destination);
	frame_put_udp(&frame, 4000, port, 32);
	frame_end(&frame);
	assert_int_equal(write(tun, frame.bytes, frame.len), (ssize_t)frame.len);
}

static bool has_received(int fd)
{
	uint8_t bytes[64];

	return recv(fd, bytes, sizeof(bytes), 0) == 32;
}

VETH_TEST(decrypted_packets_reach_this_node_and_nothing_else)
{
	CLEANUP_CLOSE int receiver = open_receiver(5000), own_port = open_receiver(TUNNEL_PORT);
	struct path path;

	open_path(&path, false);
	COMMAND("ip addr add 192.168.50.1/24 dev up0 && ip route add 10.244.2.0/24 dev podveil0");
	write_udp(path.tun, peer_pod.ip4, self.ip4, TUNNEL_PORT);
	assert_true(has_received(own_port)); /* positive control: no program yet */
	attach(path.loader, LOADER_FROM_TUNNEL, "podveil0");
	assert_int_equal(count_attached(path.loader, LOADER_FROM_TUNNEL), 1);

	write_udp(path.tun, peer_pod.ip4, self.ip4, 5000);
	assert_true(has_received(receiver));
	write_udp(path.tun, peer_pod.ip4, self.ip4, TUNNEL_PORT);
	assert_false(has_received(own_port));
	assert_int_equal(count_drops(path.loader, DROP_TUNNEL_PORT), 1);
	write_udp(path.tun, peer_pod.ip4, "127.0.0.1", 5000);
	write_udp(path.tun, peer_pod.ip4, "169.254.77.1", 5000);
	write_udp(path.tun, peer_pod.ip4, "224.0.0.1", 5000);
	write_udp(path.tun, peer_pod.ip4, world.ip4, 5000);
	write_udp(path.tun, peer_pod.ip6, "fe80::1", 5000);
	assert_false(has_received(receiver));
	assert_int_equal(count_drops(path.loader, DROP_NOT_LOCAL), 5);
	assert_int_equal(read_peer_traffic(loader_get_maps(path.loader)->peer_traffic, PEER_USABLE)
				 .from_tunnel.packets,
			 1);
	close_path(&path);
}

VETH_TEST(decrypted_super_packets_count_their_segments)
{
	struct virtio_net_hdr header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 40,
		.gso_size = 400,
		.csum_start = 20,
		.csum_offset = 16,
	};
	uint8_t bytes[sizeof(header) + FRAME_MAX];
	struct loader *loader = open_loader(false);
	int tun = open_tun("podveil0", IFF_VNET_HDR);
	struct frame frame;

	fill(loader, ifindex_of("podveil0"));
	attach(loader, LOADER_FROM_TUNNEL, "podveil0");
	frame_begin_bare(&frame);
	frame_put_ip(&frame, peer_pod.ip4, local_pod.ip4);
	frame_put_tcp(&frame, TCP_ACK, NULL, 0, 1000);
	frame_end(&frame);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), frame.bytes, frame.len);
	assert_int_equal(write(tun, bytes, sizeof(header) + frame.len),
			 (ssize_t)(sizeof(header) + frame.len));
	assert_int_equal(read_peer_traffic(loader_get_maps(loader)->peer_traffic, PEER_USABLE)
				 .from_tunnel.packets,
			 3);
	close(tun);
	loader_close(loader);
}

TEST_GROUP(setup_namespace, NULL);
