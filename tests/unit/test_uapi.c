// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration protocol of wg(8), text in, text out: the requests and answers of wg(8), and
 * malformed text. Errors are negative: wg(8) negates the number that it reads.
 */
#include "bare_tunnel.h"
#include "draw.h"
#include "uapi.h"

#define PEER_A "1111111111111111111111111111111111111111111111111111111111111111"
#define PEER_B "2222222222222222222222222222222222222222222222222222222222222222"
#define PSK    "5555555555555555555555555555555555555555555555555555555555555555"
#define ZERO   "0000000000000000000000000000000000000000000000000000000000000000"

static char request[32 * 1024 * 1024], answer[32 * 1024 * 1024];
static size_t answer_len;

static void collect(void *context, const char *text, size_t len)
{
	(void)context;
	assert_true(answer_len + len < sizeof(answer));
	memcpy(answer + answer_len, text, len);
	answer_len += len;
	answer[answer_len] = '\0';
}

/* What is in `request`; its errno. */
static int handle(void)
{
	size_t len = strlen(request);
	const char *last;
	int error;

	answer_len = 0;
	uapi_handle(&tunnel, &device, request, collect, NULL);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(request[i], 0);
	last = memmem(answer, answer_len, "errno=", 6);
	assert_non_null(last);
	assert_int_equal(sscanf(last, "errno=%d\n\n", &error), 1);
	assert_memory_equal(answer + answer_len - 2, "\n\n", 2);
	return error;
}

static int set(const char *lines)
{
	snprintf(request, sizeof(request), "set=1\n%s", lines);
	return handle();
}

static void assert_get(const char *wanted)
{
	strcpy(request, "get=1\n");
	assert_int_equal(handle(), 0);
	assert_string_equal(answer, wanted);
}

static uint32_t peer_count(void)
{
	return tunnel.state->peer_count;
}

static struct peer *only_peer(void)
{
	assert_int_equal(peer_count(), 1);
	for (uint32_t slot = 0; slot < tunnel.state->peers_used_end; slot++)
		if (tunnel.state->peers[slot].is_used)
			return &tunnel.state->peers[slot];
	fail();
	return NULL;
}

/* -- get -- */

TUNNEL_TEST(get_on_a_fresh_device_is_empty)
{
	assert_get("errno=0\n\n");
}

TUNNEL_TEST(get_returns_the_configuration_that_was_set)
{
	struct peer *peer;

	assert_int_equal(
		set("private_key=" PEER_B "\nlisten_port=51820\nfwmark=119\nreplace_peers=true\n"
		    "public_key=" PEER_A "\npreshared_key=" PSK "\nendpoint=192.0.2.1:51821\n"
		    "persistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
		    "allowed_ip=10.0.0.0/24\nallowed_ip=fd00::/64\nprotocol_version=1\n"),
		0);
	assert_string_equal(answer, "errno=0\n\n");
	peer = only_peer();
	peer->last_handshake_wall_ns = 1795348800 * NS_PER_S + 42;
	peer->received_bytes = 1ULL << 40;
	peer->sent_bytes = 148;
	assert_get("private_key=2022222222222222222222222222222222222222222222222222222222222262\n"
		   "listen_port=51820\nfwmark=119\n"
		   "public_key=" PEER_A "\npreshared_key=" PSK
		   "\nprotocol_version=1\nendpoint=192.0.2.1:51821\n"
		   "last_handshake_time_sec=1795348800\nlast_handshake_time_nsec=42\n"
		   "tx_bytes=148\nrx_bytes=1099511627776\npersistent_keepalive_interval=25\n"
		   "allowed_ip=10.0.0.0/24\nallowed_ip=fd00::/64\nerrno=0\n\n");
}

TUNNEL_TEST(get_shows_every_peer)
{
	assert_int_equal(
		set("public_key=" PEER_A "\npublic_key=" PEER_B "\nallowed_ip=0.0.0.0/0\n"), 0);
	assert_get("public_key=" PEER_A "\npreshared_key=" ZERO "\nprotocol_version=1\n"
		   "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
		   "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
		   "public_key=" PEER_B "\npreshared_key=" ZERO "\nprotocol_version=1\n"
		   "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
		   "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
		   "allowed_ip=0.0.0.0/0\nerrno=0\n\n");
}

TUNNEL_TEST(endpoints_of_both_families_and_scopes_are_understood)
{
	static const struct {
		const char *given, *shown;
	} endpoints[] = {
		{"192.0.2.1:1", "192.0.2.1:1"},
		{"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{"[fe80::1%3]:51820", "[fe80::1%3]:51820"},
		{"[fe80::1%eth7]:51820", "[fe80::1%7]:51820"},
	};
	char text[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(endpoints); i++) {
		snprintf(text, sizeof(text), "public_key=" PEER_A "\nendpoint=%s\n",
			 endpoints[i].given);
		assert_int_equal(set(text), 0);
		strcpy(request, "get=1\n");
		assert_int_equal(handle(), 0);
		snprintf(text, sizeof(text), "\nendpoint=%s\n", endpoints[i].shown);
		assert_non_null(strstr(answer, text));
	}
}

/* -- the device -- */

TUNNEL_TEST(port_and_mark_are_one_act_on_the_sockets)
{
	assert_int_equal(set("listen_port=51820\nfwmark=7\n"), 0);
	assert_int_equal(device_log.opens, 1);
	assert_int_equal(device_log.port, 51820);
	assert_int_equal(device_log.fwmark, 7);
	assert_int_equal(set("fwmark=4294967295\n"), 0);
	assert_int_equal(device_log.port, 51820);
	assert_int_equal(device_log.fwmark, UINT32_MAX);
}

TUNNEL_TEST(port_and_mark_as_they_are_leave_the_sockets_alone)
{
	assert_int_equal(set("listen_port=51820\nfwmark=7\n"), 0);
	assert_int_equal(set("listen_port=51820\nfwmark=7\n"), 0);
	assert_int_equal(set("public_key=" PEER_A "\n"), 0);
	assert_int_equal(device_log.opens, 1);
	assert_int_equal(set("listen_port=0\n"), 0); /* any other, as in the kernel */
	assert_int_equal(device_log.opens, 2);
	assert_int_equal(device_log.port, 0);
	assert_int_equal(device_log.fwmark, 7);
}

TUNNEL_TEST(port_that_is_taken_stops_everything_else)
{
	struct fingerprint before = take_fingerprint();

	device_log.error = -EADDRINUSE;
	assert_int_equal(set("private_key=" PEER_B "\nlisten_port=53\npublic_key=" PEER_A "\n"),
			 -EADDRINUSE);
	assert_unchanged(&before);
}

TUNNEL_TEST(private_key_given_again_disturbs_no_handshake)
{
	assert_int_equal(set("private_key=" PEER_B "\npublic_key=" PEER_A "\n"), 0);
	tunnel.state->secrets.pairs[0].state = HANDSHAKE_INITIATION_SENT;
	assert_int_equal(set("private_key=" PEER_B "\n"), 0);
	assert_int_equal(tunnel.state->secrets.pairs[0].state, HANDSHAKE_INITIATION_SENT);
	assert_int_equal(set("private_key=" PSK "\n"), 0);
	assert_int_equal(tunnel.state->secrets.pairs[0].state, HANDSHAKE_NONE);
}

TUNNEL_TEST(private_key_of_zeros_removes_the_key)
{
	assert_int_equal(set("private_key=" PEER_B "\n"), 0);
	assert_int_equal(set("private_key=" ZERO "\n"), 0);
	assert_false(tunnel.state->secrets.identities[KEY_CURRENT].is_set);
	assert_get("errno=0\n\n");
}

TUNNEL_TEST(managed_device_is_read_only_and_hides_its_secrets)
{
	struct fingerprint before;

	assert_int_equal(set("private_key=" PEER_B "\nlisten_port=51820\npublic_key=" PEER_A
			     "\npreshared_key=" PSK "\nallowed_ip=10.0.0.0/24\n"),
			 0);
	tunnel.state->is_managed = true;
	before = take_fingerprint();
	assert_int_equal(set("public_key=" PEER_B "\n"), -EPERM);
	assert_int_equal(set("private_key=" PSK "\n"), -EPERM);
	assert_int_equal(set(""), -EPERM);
	assert_unchanged(&before);
	assert_get("listen_port=51820\npublic_key=" PEER_A "\nprotocol_version=1\n"
		   "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
		   "tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
		   "allowed_ip=10.0.0.0/24\nerrno=0\n\n");
}

/* -- peers -- */

TUNNEL_TEST(replace_peers_removes_those_not_named)
{
	struct public_key a = key_number(0x11), b = key_number(0x22);

	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\n"), 0);
	assert_int_equal(set("replace_peers=true\npublic_key=" PEER_B "\n"), 0);
	assert_int_equal(peer_find(&tunnel, &a), NO_PEER);
	assert_int_not_equal(peer_find(&tunnel, &b), NO_PEER);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
}

TUNNEL_TEST(removed_peer_is_gone_and_unknown_ones_are_not_made)
{
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\n"), 0);
	assert_int_equal(set("public_key=" PEER_A "\nremove=true\nallowed_ip=10.0.1.0/24\n"), 0);
	assert_int_equal(peer_count(), 0);
	assert_int_equal(find_address("10.0.1.1"), NO_PEER);
	assert_int_equal(set("public_key=" PEER_B "\nremove=true\n"), 0);
	assert_int_equal(peer_count(), 0);
}

TUNNEL_TEST(removed_peer_can_be_added_again_in_the_same_request)
{
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\n"), 0);
	assert_int_equal(set("public_key=" PEER_A "\nremove=true\npublic_key=" PEER_A
			     "\nallowed_ip=10.0.1.0/24\n"),
			 0);
	assert_int_equal(peer_count(), 1);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.1.1"), NO_PEER);
}

TUNNEL_TEST(update_only_never_makes_a_peer)
{
	assert_int_equal(set("public_key=" PEER_A "\nupdate_only=true\nallowed_ip=10.0.0.0/24\n"),
			 0);
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\nupdate_only=true\n"),
			 0);
	assert_int_equal(peer_count(), 0);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
	assert_int_equal(set("public_key=" PEER_A "\n"), 0);
	assert_int_equal(set("public_key=" PEER_A "\nupdate_only=true\nallowed_ip=10.0.0.0/24\n"),
			 0);
	assert_int_not_equal(find_address("10.0.0.1"), NO_PEER);
}

TUNNEL_TEST(own_key_as_peer_is_ignored)
{
	char own[2 * KEY_LEN + 1], text[512];

	assert_int_equal(set("private_key=" PEER_B "\n"), 0);
	sodium_bin2hex(own, sizeof(own),
		       tunnel.state->secrets.identities[KEY_CURRENT].public_key.bytes, KEY_LEN);
	snprintf(
		text, sizeof(text),
		"public_key=%s\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/24\npublic_key=" PEER_A
		"\nallowed_ip=10.0.1.0/24\n",
		own);
	assert_int_equal(set(text), 0);
	assert_memory_equal(only_peer()->keys[KEY_CURRENT].key.bytes, key_number(0x11).bytes,
			    KEY_LEN);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.1.1"), NO_PEER);
}

TUNNEL_TEST(low_order_key_may_be_configured)
{
	assert_int_equal(set("public_key=" ZERO "\nallowed_ip=10.0.0.0/24\n"), 0);
	assert_int_equal(peer_count(), 1);
}

TUNNEL_TEST(keepalive_is_set_and_removed)
{
	assert_int_equal(set("public_key=" PEER_A "\npersistent_keepalive_interval=65535\n"), 0);
	assert_int_equal(only_peer()->persistent_keepalive_s, 65535);
	assert_int_equal(set("public_key=" PEER_A "\npersistent_keepalive_interval=0\n"), 0);
	assert_int_equal(only_peer()->persistent_keepalive_s, 0);
}

/* -- allowed IPs -- */

TUNNEL_TEST(allowed_ips_are_added_replaced_and_removed)
{
	assert_int_equal(
		set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\nallowed_ip=10.0.1.7/24\n"), 0);
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.2.0/24\n"), 0);
	assert_int_equal(tunnel.state->allowedips.count, 3);
	assert_int_equal(
		set("public_key=" PEER_A "\nallowed_ip=-10.0.1.0/24\nallowed_ip=-192.0.2.0/24\n"),
		0);
	assert_int_equal(find_address("10.0.1.1"), NO_PEER);
	assert_int_equal(tunnel.state->allowedips.count, 2);
	assert_int_equal(set("public_key=" PEER_A
			     "\nreplace_allowed_ips=true\nallowed_ip=10.0.2.0/24\n"
			     "allowed_ip=fd00::/64\n"),
			 0);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.2.1"), NO_PEER);
	assert_int_not_equal(find_address("fd00::1"), NO_PEER);
	assert_int_equal(set("public_key=" PEER_A "\nreplace_allowed_ips=true\n"), 0);
	assert_int_equal(tunnel.state->allowedips.count, 0);
}

TUNNEL_TEST(replacing_concerns_the_named_peer_alone)
{
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\n"
			     "public_key=" PEER_B "\nallowed_ip=10.0.1.0/24\n"),
			 0);
	assert_int_equal(set("public_key=" PEER_A
			     "\nreplace_allowed_ips=true\nallowed_ip=10.0.3.0/24\n"
			     "public_key=" PEER_B "\nallowed_ip=10.0.2.0/24\n"),
			 0);
	assert_int_equal(find_address("10.0.0.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.1.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.2.1"), NO_PEER);
	assert_int_not_equal(find_address("10.0.3.1"), NO_PEER);
}

TUNNEL_TEST(old_allowed_ips_stay_where_there_is_no_room_for_new_ones)
{
	assert_int_equal(
		set("public_key=" PEER_A "\nallowed_ip=10.0.0.0/24\nallowed_ip=10.0.1.0/24\n"), 0);
	fill_allowed_ips(0, 1);
	assert_int_equal(set("public_key=" PEER_A
			     "\nreplace_allowed_ips=true\nallowed_ip=10.0.1.0/24\n"
			     "allowed_ip=10.0.2.0/24\nallowed_ip=10.0.3.0/24\n"),
			 -ENOSPC);
	assert_int_equal(find_address("10.0.0.1"), 0);
	assert_int_equal(find_address("10.0.1.1"), 0);
	assert_int_equal(find_address("10.0.3.1"), NO_PEER);
	/* A peer that this request marked but did not sweep is not swept by a later one that
	 * replaces nothing. */
	assert_int_equal(set("public_key=" PEER_A "\nallowed_ip=-10.0.2.0/24\n"), 0);
	assert_int_equal(find_address("10.0.0.1"), 0);
}

TUNNEL_TEST(many_allowed_ips_are_set_and_read_back_exactly)
{
	size_t used = (size_t)sprintf(request,
				      "set=1\npublic_key=" PEER_A "\nreplace_allowed_ips=true\n");
	const char *line;

	for (unsigned int i = 1; i < 256; i++)
		for (unsigned int j = 0; j < 256; j++)
			used += (size_t)sprintf(
				request + used,
				"allowed_ip=10.%u.%u.0/24\nallowed_ip=fd%x:%x::/32\n", i, j,
				0x10 + i % 16, i << 8 | j);
	assert_int_equal(handle(), 0);
	assert_int_equal(tunnel.state->allowedips.count, 130560);
	strcpy(request, "get=1\n");
	assert_int_equal(handle(), 0);
	line = strstr(answer, "allowed_ip=");
	for (unsigned int i = 1; i < 256; i++)
		for (unsigned int j = 0; j < 256; j++) {
			char wanted[128];
			size_t len = (size_t)snprintf(
				wanted, sizeof(wanted),
				"allowed_ip=10.%u.%u.0/24\nallowed_ip=fd%x:%x::/32\n", i, j,
				0x10 + i % 16, i << 8 | j);

			if (strncmp(line, wanted, len))
				fail_msg("wanted %s, got %.60s", wanted, line);
			line += len;
		}
	assert_string_equal(line, "errno=0\n\n");
}

/* -- text that nobody should send -- */

static const struct {
	int error;
	const char *lines;
} malformed_lines[] = {
	{-EPROTO, "private_key\n"},
	{-EPROTO, "\x01\x02\x1b[31m\n"},
	{-EINVAL, "=\n"},
	{-EINVAL, "=51820\n"},
	{-EINVAL, "unknown=1\n"},
	{-EINVAL, "listen_port =1\n"},
	{-EINVAL, "LISTEN_PORT=1\n"},
	{-EINVAL, "listen_portx=1\n"},
	{-EINVAL, "listen_por=1\n"},
	{-EINVAL, "listen_port=\n"},
	{-EINVAL, "listen_port=65536\n"},
	{-EINVAL, "listen_port=-1\n"},
	{-EINVAL, "listen_port=+1\n"},
	{-EINVAL, "listen_port= 1\n"},
	{-EINVAL, "listen_port=1 \n"},
	{-EINVAL, "listen_port=1\r\n"},
	{-EINVAL, "listen_port=0x50\n"},
	{-EINVAL, "listen_port=99999999999999999999999999999999\n"},
	{-EINVAL, "fwmark=4294967296\n"},
	{-EINVAL, "fwmark=18446744073709551616\n"},
	{-EINVAL, "replace_peers=false\n"},
	{-EINVAL, "replace_peers=\n"},
	{-EINVAL, "private_key=\n"},
	{-EINVAL, "private_key=11111111111111111111111111111111111111111111111111111111111111\n"},
	{-EINVAL, "private_key=" PEER_B "22\n"},
	{-EINVAL, "private_key=g222222222222222222222222222222222222222222222222222222222222222\n"},
	{-EINVAL,
	 "private_key=22222222222222222222222222222222:22222222222222222222222222222222\n"},
	{-EINVAL, "private_key=\xb2"
		  "222222222222222222222222222222222222222222222222222222222222222\n"},
	{-EINVAL, "set=1\n"},
	{-EINVAL, "errno=0\n"},
	/* a peer's lines without a peer, and the device's after one */
	{-EINVAL, "allowed_ip=10.0.0.0/24\n"},
	{-EINVAL, "remove=true\n"},
	{-EINVAL, "public_key=" PEER_A "\nlisten_port=1\n"},
	{-EINVAL, "public_key=" PEER_A "\nprivate_key=" PEER_B "\n"},
	{-EINVAL, "public_key=" PEER_A "\nreplace_peers=true\n"},
	{-EINVAL, "public_key=111111111111111111111111111111111111111111111111111111111111\n"},
	{-EINVAL, "public_key=" PEER_A "\npreshared_key=55\n"},
	{-EINVAL, "public_key=" PEER_A "\nremove=yes\n"},
	{-EINVAL, "public_key=" PEER_A "\nupdate_only=1\n"},
	{-EINVAL, "public_key=" PEER_A "\nprotocol_version=2\n"},
	{-EINVAL, "public_key=" PEER_A "\npersistent_keepalive_interval=65536\n"},
	{-EINVAL, "public_key=" PEER_A "\npersistent_keepalive_interval=off\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=:\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=192.0.2.1\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=192.0.2.1:\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=192.0.2.1:0\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=192.0.2.1:65536\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=192.0.2:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[192.0.2.1]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=2001:db8::1:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[2001:db8::1:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=2001:db8::1]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[fe80::1%]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[fe80::1%0]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[fe80::1%nosuchdevice]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=[fe80::1%averylongnameofadevice]:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nendpoint=example.org:80\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=-\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=--10.0.0.0/24\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/33\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/-1\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/24/24\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.256/24\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=fd00::/129\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=fd00:::/64\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/99999999999999999999\n"},
	{-EINVAL, "public_key=" PEER_A "\nallowed_ip=10.0.0.0/24 \n"},
};

TUNNEL_TEST(malformed_line_refuses_the_whole_request)
{
	char text[1024];

	for (unsigned int i = 0; i < ARRAY_SIZE(malformed_lines); i++) {
		struct fingerprint before = take_fingerprint();
		bool is_of_peer = !strncmp(malformed_lines[i].lines, "public_key", 10);
		int error;

		snprintf(text, sizeof(text), "private_key=" PSK "\nlisten_port=1\n%s%s%s",
			 is_of_peer ? "public_key=" PEER_B "\nallowed_ip=10.9.0.0/16\n" : "",
			 malformed_lines[i].lines, is_of_peer ? "public_key=" PEER_B "\n" : "");
		error = set(text);
		if (error != malformed_lines[i].error)
			fail_msg("%s gave %d", malformed_lines[i].lines, error);
		assert_unchanged(&before);
		assert_int_equal(device_log.opens, 0);
	}
}

TUNNEL_TEST(request_cut_short_is_refused)
{
	static const char whole[] =
		"set=1\nlisten_port=51820\npublic_key=" PEER_A "\nallowed_ip=10.0.0.0/24\n";
	struct fingerprint before = take_fingerprint();

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		memcpy(request, whole, len);
		request[len] = '\0';
		if (len && whole[len - 1] == '\n')
			continue;
		assert_int_equal(handle(), -EINVAL);
		assert_unchanged(&before);
	}
}

TUNNEL_TEST(unknown_operation_is_refused)
{
	static const char *const bad[] = {
		"",	 "\n",	   "get=2\n",	"set=0\n",	  "get\n",
		"get=1", "set=1 ", "reset=1\n", "get=1\nget=1\n", "get=1\nx\n"};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		strcpy(request, bad[i]);
		assert_int_equal(handle(), -EINVAL);
		assert_string_equal(answer, "errno=-22\n\n");
	}
}

TUNNEL_TEST(empty_set_changes_nothing)
{
	struct fingerprint before = take_fingerprint();

	assert_int_equal(set(""), 0);
	assert_unchanged(&before);
}

/* Changes a byte, doubles a stretch, or takes one out. */
static void damage(char *text)
{
	static const char spice[] = "=\n%/[]:-0123456789abcdefx\r\t\x7f\xff ";
	size_t len = strlen(text), from = draw((uint32_t)len),
	       part = 1 + draw((uint32_t)(len - from));

	switch (draw(4)) {
	case 0:
	case 1:
		text[from] = spice[draw(sizeof(spice) - 1)];
		break;
	case 2:
		memmove(text + from + part, text + from, len + 1 - from);
		break;
	case 3:
		if (part < len)
			memmove(text + from, text + from + part, len + 1 - from - part);
		break;
	}
}

TUNNEL_TEST(damaged_text_never_does_harm)
{
	static const char whole[] =
		"set=1\nprivate_key=" PEER_B "\nlisten_port=51820\nfwmark=119\n"
		"public_key=" PEER_A "\npreshared_key=" PSK "\nendpoint=[fe80::1%eth7]:51820\n"
		"persistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
		"allowed_ip=10.0.0.0/24\nallowed_ip=-fd00::/64\npublic_key=" PSK "\nremove=true\n";
	unsigned int refused = 0, taken = 0;

	seed = 0x2545f4914f6cdd1d;
	for (unsigned int i = 0; i < 4000; i++) {
		strcpy(request, whole);
		for (unsigned int j = draw(4); j; j--)
			damage(request);
		if (handle())
			refused++;
		else
			taken++;
		strcpy(request, "get=1\n");
		assert_int_equal(handle(), 0);
		if (peer_count() > 4)
			assert_int_equal(set("replace_peers=true\n"), 0);
	}
	assert_true(refused > 500 && taken > 500);
}
