// SPDX-License-Identifier: Apache-2.0
/*
 * The WireGuard cross-platform configuration protocol (wireguard.com/xplatform). `set` reads its
 * text twice: the first pass decodes every line without effect, the second applies them, so that a
 * malformed line changes nothing. Errors are negative in the answer ("errno=-22"), as wireguard-go
 * sends them: wg(8) negates the number.
 *
 * replace_allowed_ips marks the peer's prefixes, each allowed_ip clears its mark, and those still
 * marked at the end of the peer's lines are removed: no address in both sets is ever without its
 * peer, and neither set is copied.
 */
#include "uapi.h"

#include <errno.h>
#include <stdarg.h>

#include "configure.h"
#include "crypto.h"

#define KEY_HEX_LEN (2 * KEY_LEN)
#define LINE_LEN    256 /* of an answer: names are short, values are keys, addresses and numbers */

enum word {
	PRIVATE_KEY,
	LISTEN_PORT,
	FWMARK,
	REPLACE_PEERS,
	PUBLIC_KEY,
	REMOVE,
	UPDATE_ONLY,
	PRESHARED_KEY,
	ENDPOINT,
	PERSISTENT_KEEPALIVE,
	REPLACE_ALLOWED_IPS,
	ALLOWED_IP,
	PROTOCOL_VERSION,
};

/* One line of a `set`, decoded. Secret: may hold a key. */
struct setting {
	const struct device_upcalls *device; /* knows the names of network devices */
	enum word word;
	bool is_taken_away; /* allowed_ip=-... */
	uint32_t number;
	uint8_t key[KEY_LEN];
	union endpoint endpoint;
	struct cidr cidr;
};

/* -- values -- */

static bool decode_number(uint32_t *ret_number, const char *text, uint32_t max)
{
	unsigned long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	number = strtoull(text, &end, 10);
	if (*end || number > max) /* overflow is reported as ULLONG_MAX */
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool decode_16_bits(struct setting *setting, const char *value)
{
	return decode_number(&setting->number, value, UINT16_MAX);
}

static bool decode_32_bits(struct setting *setting, const char *value)
{
	return decode_number(&setting->number, value, UINT32_MAX);
}

static bool decode_true(struct setting *setting, const char *value)
{
	setting->number = 1;
	return !strcmp(value, "true");
}

static bool decode_version(struct setting *setting, const char *value)
{
	return decode_16_bits(setting, value) && setting->number == 1;
}

static bool decode_key(struct setting *setting, const char *value)
{
	size_t len;

	return strlen(value) == KEY_HEX_LEN &&
	       !sodium_hex2bin(setting->key, KEY_LEN, value, KEY_HEX_LEN, NULL, &len, NULL) &&
	       len == KEY_LEN;
}

/* The zone of a link-local address, after '%': the number or the name of a network device. */
static bool decode_scope(const struct device_upcalls *device, uint32_t *ret_scope, const char *text)
{
	if (decode_number(ret_scope, text, UINT32_MAX))
		return *ret_scope != 0;
	if (!device->find_interface || strlen(text) >= IF_NAMESIZE)
		return false;
	*ret_scope = device->find_interface(device->context, text);
	return *ret_scope != 0;
}

/* "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%eth0]:51820" */
static bool decode_endpoint(struct setting *setting, const char *value)
{
	char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[%]:65535")], *host = copy, *port,
									 *scope = NULL;
	uint32_t port_number, scope_id = 0;
	struct address address;
	uint8_t family = AF_INET;

	if (!copy_text(copy, sizeof(copy), value) || !(port = strrchr(copy, ':')))
		return false;
	*port = '\0';
	if (host[0] == '[') {
		if (port[-1] != ']')
			return false;
		port[-1] = '\0';
		host++;
		family = AF_INET6;
		scope = strchr(host, '%');
	}
	if (scope) {
		*scope = '\0';
		if (!decode_scope(setting->device, &scope_id, scope + 1))
			return false;
	}
	if (!decode_number(&port_number, port + 1, UINT16_MAX) || !port_number ||
	    !address_parse(&address, host) || address.family != family)
		return false;
	setting->endpoint = endpoint_of(&address, (uint16_t)port_number);
	if (scope)
		setting->endpoint.in6.sin6_scope_id = scope_id;
	return true;
}

static bool decode_allowed_ip(struct setting *setting, const char *value)
{
	setting->is_taken_away = value[0] == '-';
	value += setting->is_taken_away;
	return strchr(value, '/') && cidr_parse(&setting->cidr, value);
}

static const struct {
	const char *name;
	bool is_of_peer;
	bool (*decode)(struct setting *setting, const char *value);
} words[] = {
	[PRIVATE_KEY] = {"private_key", false, decode_key},
	[LISTEN_PORT] = {"listen_port", false, decode_16_bits},
	[FWMARK] = {"fwmark", false, decode_32_bits},
	[REPLACE_PEERS] = {"replace_peers", false, decode_true},
	[PUBLIC_KEY] = {"public_key", true, decode_key},
	[REMOVE] = {"remove", true, decode_true},
	[UPDATE_ONLY] = {"update_only", true, decode_true},
	[PRESHARED_KEY] = {"preshared_key", true, decode_key},
	[ENDPOINT] = {"endpoint", true, decode_endpoint},
	[PERSISTENT_KEEPALIVE] = {"persistent_keepalive_interval", true, decode_16_bits},
	[REPLACE_ALLOWED_IPS] = {"replace_allowed_ips", true, decode_true},
	[ALLOWED_IP] = {"allowed_ip", true, decode_allowed_ip},
	[PROTOCOL_VERSION] = {"protocol_version", true, decode_version},
};

static int decode_line(struct setting *setting, const char *line)
{
	const char *equals = strchr(line, '=');
	size_t len;

	if (!equals)
		return -EPROTO;
	len = (size_t)(equals - line);
	setting->is_taken_away = false;
	for (unsigned int word = 0; word < ARRAY_SIZE(words); word++) {
		if (strlen(words[word].name) != len || memcmp(words[word].name, line, len))
			continue;
		setting->word = (enum word)word;
		return words[word].decode(setting, equals + 1) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* -- lines: each ends with a zero where its newline was -- */

struct lines {
	const char *first, *end;
};

static const char *next_line(const char *line)
{
	return line + strlen(line) + 1;
}

static bool cut_lines(struct lines *ret_lines, char *text, size_t len)
{
	if (!len || text[len - 1] != '\n')
		return false;
	for (char *newline = text; (newline = strchr(newline, '\n')); newline++)
		*newline = '\0';
	ret_lines->first = text;
	ret_lines->end = text + len;
	return true;
}

/* -- set -- */

struct edit {
	struct tunnel *tunnel;
	const struct device_upcalls *device;
	struct setting setting;

	/* the device's settings, collected in the first pass, as both are one operation on the
	 * sockets */
	bool wants_port, wants_mark;
	uint16_t port;
	uint32_t mark;

	/* the peer whose lines are being applied */
	bool has_peer;	   /* public_key was read */
	bool is_ignored;   /* it is ourselves, was removed, or must not be created */
	bool is_new;	   /* created by these lines */
	bool is_replacing; /* its allowed IPs */
	struct public_key key;
	uint32_t peer_index; /* NO_PEER: not created yet */
};

static void note_device_setting(struct edit *edit)
{
	if (edit->setting.word == LISTEN_PORT) {
		edit->wants_port = true;
		edit->port = (uint16_t)edit->setting.number;
	} else if (edit->setting.word == FWMARK) {
		edit->wants_mark = true;
		edit->mark = edit->setting.number;
	}
}

/* Changes nothing outside of *edit. */
static int check_lines(struct edit *edit, const struct lines *lines)
{
	bool has_peer = false;

	for (const char *line = lines->first; line < lines->end; line = next_line(line)) {
		int error = decode_line(&edit->setting, line);

		if (error)
			return error;
		has_peer = has_peer || edit->setting.word == PUBLIC_KEY;
		if (words[edit->setting.word].is_of_peer != has_peer)
			return -EINVAL;
		note_device_setting(edit);
	}
	return 0;
}

static int apply_sockets(const struct edit *edit)
{
	const struct tunnel_state *state = edit->tunnel->state;
	uint16_t port = edit->wants_port ? edit->port : state->port;
	uint32_t mark = edit->wants_mark ? edit->mark : state->fwmark;
	bool is_other_port = edit->wants_port && (!port || port != state->port);

	if (!is_other_port && mark == state->fwmark)
		return 0;
	return edit->device->set_device(edit->device->context, port, mark);
}

static void apply_private_key(struct edit *edit)
{
	struct private_key key;

	memcpy(key.bytes, edit->setting.key, KEY_LEN);
	tunnel_set_private_key(edit->tunnel, KEY_CURRENT,
			       sodium_is_zero(key.bytes, KEY_LEN) ? NULL : &key);
	crypto_wipe(&key, sizeof(key));
}

/* From the end, so that new peers use the pool from its start and are listed in the order of their
 * creation. */
static void remove_all_peers(struct tunnel *tunnel)
{
	for (uint32_t peer_index = tunnel->state->peers_used_end; peer_index--;)
		if (tunnel_peer(tunnel, peer_index)->is_used)
			tunnel_remove_peer(tunnel, peer_index);
}

/* The first line with a setting creates the peer, so that `remove` and `update_only` never create
 * one. */
static int make_peer(struct edit *edit)
{
	int error;

	if (!edit->has_peer || edit->is_ignored || edit->peer_index != NO_PEER)
		return 0;
	error = tunnel_add_peer(edit->tunnel, &edit->key, &edit->peer_index);
	edit->is_new = !error;
	edit->is_ignored = error == -EADDRNOTAVAIL;
	return edit->is_ignored ? 0 : error;
}

static int end_peer(struct edit *edit)
{
	struct tunnel_state *state = edit->tunnel->state;
	int error = make_peer(edit);

	if (!error && edit->is_replacing && !edit->is_ignored)
		allowedips_sweep_peer(&state->allowedips, state->allowedips_heads,
				      edit->peer_index);
	edit->has_peer = false;
	return error;
}

static int begin_peer(struct edit *edit)
{
	int error = end_peer(edit);

	if (error)
		return error;
	memcpy(edit->key.bytes, edit->setting.key, KEY_LEN);
	edit->peer_index = peer_find(edit->tunnel, &edit->key);
	edit->has_peer = true;
	edit->is_ignored = edit->is_new = edit->is_replacing = false;
	return 0;
}

static void ignore_peer(struct edit *edit, bool is_removed)
{
	if (is_removed && !edit->is_ignored && edit->peer_index != NO_PEER)
		tunnel_remove_peer(edit->tunnel, edit->peer_index);
	edit->is_ignored = true;
}

static int apply_allowed_ip(struct edit *edit)
{
	struct tunnel_state *state = edit->tunnel->state;

	if (!edit->setting.is_taken_away)
		return allowedips_insert(&state->allowedips, state->allowedips_heads,
					 &edit->setting.cidr, edit->peer_index);
	allowedips_remove(&state->allowedips, state->allowedips_heads, &edit->setting.cidr,
			  edit->peer_index);
	return 0;
}

static void apply_preshared(struct edit *edit)
{
	struct preshared_key key;

	memcpy(key.bytes, edit->setting.key, KEY_LEN);
	tunnel_set_preshared(edit->tunnel, edit->peer_index, KEY_CURRENT, KEY_CURRENT, &key);
	crypto_wipe(&key, sizeof(key));
}

/* Applies a setting to a peer that exists and is not ignored. */
static int apply_to_peer(struct edit *edit)
{
	struct tunnel_state *state = edit->tunnel->state;

	switch (edit->setting.word) {
	case PRESHARED_KEY:
		apply_preshared(edit);
		return 0;
	case ENDPOINT:
		tunnel_set_endpoint(edit->tunnel, edit->peer_index, &edit->setting.endpoint);
		return 0;
	case PERSISTENT_KEEPALIVE:
		tunnel_set_keepalive(edit->tunnel, edit->peer_index,
				     (uint16_t)edit->setting.number);
		return 0;
	case REPLACE_ALLOWED_IPS:
		allowedips_mark_peer(&state->allowedips, state->allowedips_heads, edit->peer_index);
		edit->is_replacing = true;
		return 0;
	case ALLOWED_IP:
		return apply_allowed_ip(edit);
	case PROTOCOL_VERSION:
	case PRIVATE_KEY:
	case LISTEN_PORT:
	case FWMARK:
	case REPLACE_PEERS:
	case PUBLIC_KEY:
	case REMOVE:
	case UPDATE_ONLY:
		return 0;
	}
	return 0;
}

static int apply_setting(struct edit *edit)
{
	int error;

	switch (edit->setting.word) {
	case PRIVATE_KEY:
		apply_private_key(edit);
		return 0;
	case LISTEN_PORT:
	case FWMARK:
		return 0; /* done before: apply_sockets */
	case REPLACE_PEERS:
		remove_all_peers(edit->tunnel);
		return 0;
	case PUBLIC_KEY:
		return begin_peer(edit);
	case REMOVE:
		ignore_peer(edit, true);
		return 0;
	case UPDATE_ONLY:
		if (edit->is_new || edit->peer_index == NO_PEER)
			ignore_peer(edit, edit->is_new);
		return 0;
	case PRESHARED_KEY:
	case ENDPOINT:
	case PERSISTENT_KEEPALIVE:
	case REPLACE_ALLOWED_IPS:
	case ALLOWED_IP:
	case PROTOCOL_VERSION:
		error = make_peer(edit);
		return error || edit->is_ignored ? error : apply_to_peer(edit);
	}
	return 0;
}

static int apply_lines(struct edit *edit, const struct lines *lines)
{
	int error = apply_sockets(edit);

	for (const char *line = lines->first; line < lines->end && !error; line = next_line(line)) {
		error = decode_line(&edit->setting, line);
		if (!error)
			error = apply_setting(edit);
	}
	return error ? error : end_peer(edit);
}

static int handle_set(struct tunnel *tunnel, const struct device_upcalls *device,
		      const struct lines *lines)
{
	struct edit edit = {.tunnel = tunnel,
			    .device = device,
			    .setting.device = device,
			    .peer_index = NO_PEER};
	int error;

	if (tunnel->state->is_managed)
		return -EPERM;
	error = check_lines(&edit, lines);
	if (!error)
		error = apply_lines(&edit, lines);
	crypto_wipe(&edit, sizeof(edit));
	return error;
}

/* -- get -- */

struct answer {
	uapi_emit_fn *emit;
	void *context;
};

static void PRINTF(2, 3) say(const struct answer *answer, const char *format, ...)
{
	char line[LINE_LEN];
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	assert(len >= 0 && (size_t)len < sizeof(line));
	answer->emit(answer->context, line, (size_t)len);
	crypto_wipe(line, (size_t)len);
}

static void say_key(const struct answer *answer, const char *name,
		    const uint8_t key[static KEY_LEN])
{
	char hex[KEY_HEX_LEN + 1];

	sodium_bin2hex(hex, sizeof(hex), key, KEY_LEN);
	say(answer, "%s=%s\n", name, hex);
	crypto_wipe(hex, sizeof(hex));
}

static void say_endpoint(const struct answer *answer, const union endpoint *endpoint)
{
	struct address address = endpoint_address(endpoint);
	char text[ENDPOINT_TEXT_LEN];

	if (address.family == AF_INET6 && endpoint->in6.sin6_scope_id)
		say(answer, "endpoint=[%s%%%u]:%u\n", address_format(text, &address),
		    endpoint->in6.sin6_scope_id, endpoint_port(endpoint));
	else
		say(answer, "endpoint=%s\n", endpoint_format(text, endpoint));
}

static void say_allowed_ips(const struct answer *answer, const struct tunnel_state *state,
			    uint32_t peer_index)
{
	char text[CIDR_TEXT_LEN];
	uint32_t position = 0;
	struct cidr cidr;

	while ((position = allowedips_next(&state->allowedips, state->allowedips_heads, peer_index,
					   position, &cidr)))
		say(answer, "allowed_ip=%s\n", cidr_format(text, &cidr));
}

static void say_peer(const struct answer *answer, const struct tunnel_state *state,
		     uint32_t peer_index)
{
	const struct peer *peer = &state->peers[peer_index];
	uint32_t pair_index = peer->pairs[KEY_CURRENT][KEY_CURRENT];

	say_key(answer, "public_key", peer->keys[KEY_CURRENT].key.bytes);
	if (!state->is_managed)
		say_key(answer, "preshared_key", state->secrets.pairs[pair_index].preshared.bytes);
	say(answer, "protocol_version=1\n");
	if (peer->has_endpoint)
		say_endpoint(answer, &peer->endpoint);
	say(answer, "last_handshake_time_sec=%llu\n",
	    (unsigned long long)(peer->last_handshake_wall_ns / NS_PER_S));
	say(answer, "last_handshake_time_nsec=%llu\n",
	    (unsigned long long)(peer->last_handshake_wall_ns % NS_PER_S));
	say(answer, "tx_bytes=%llu\n", (unsigned long long)peer->sent_bytes);
	say(answer, "rx_bytes=%llu\n", (unsigned long long)peer->received_bytes);
	say(answer, "persistent_keepalive_interval=%u\n", peer->persistent_keepalive_s);
	say_allowed_ips(answer, state, peer_index);
}

static int handle_get(const struct answer *answer, const struct tunnel_state *state,
		      const struct lines *lines)
{
	const struct identity *own = &state->secrets.identities[KEY_CURRENT];

	if (lines->first < lines->end)
		return -EINVAL;
	if (own->is_set && !state->is_managed)
		say_key(answer, "private_key", own->private_key.bytes);
	if (state->port)
		say(answer, "listen_port=%u\n", state->port);
	if (state->fwmark)
		say(answer, "fwmark=%u\n", state->fwmark);
	for (uint32_t peer_index = 0; peer_index < state->peers_used_end; peer_index++)
		if (state->peers[peer_index].is_used)
			say_peer(answer, state, peer_index);
	return 0;
}

void uapi_handle(struct tunnel *tunnel, const struct device_upcalls *device, char *request,
		 uapi_emit_fn *emit, void *context)
{
	const struct answer answer = {.emit = emit, .context = context};
	size_t len = strlen(request);
	struct lines lines;
	int error = -EINVAL;

	if (cut_lines(&lines, request, len)) {
		const char *operation = lines.first;

		lines.first = next_line(operation);
		if (!strcmp(operation, "get=1"))
			error = handle_get(&answer, tunnel->state, &lines);
		else if (!strcmp(operation, "set=1"))
			error = handle_set(tunnel, device, &lines);
	}
	say(&answer, "errno=%d\n\n", error);
	crypto_wipe(request, len);
}
