// SPDX-License-Identifier: Apache-2.0
/*
 * The text that wg(8) sends, from any text: it is answered by one errno line and an empty line, and
 * wiped; malformed text changes nothing. The output of `get` can be passed to `set`, and then `get`
 * prints the same again.
 */
#include "device.h"
#include "uapi.h"

#define TEXT_MAX (1024 * 1024)

struct text {
	char bytes[TEXT_MAX];
	size_t len;
};

static struct text before, after, request, again;

static void take_text(void *context, const char *bytes, size_t len)
{
	struct text *text = context;

	MUST(text->len + len < TEXT_MAX);
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

/* Sends one request, in a memory block of its own; returns its errno. */
static int ask(struct text *ret_answer, const void *bytes, size_t len)
{
	char *copy = malloc(len + 1), *last;
	int number;

	MUST(copy);
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	len = strlen(copy);
	ret_answer->len = 0;
	uapi_handle(&stand.tunnel, &device, copy, take_text, ret_answer);
	tunnel_flush(&stand.tunnel);
	MUST(sodium_is_zero((unsigned char *)copy, len));
	free(copy);
	MUST(ret_answer->len > 2 && !strcmp(ret_answer->bytes + ret_answer->len - 2, "\n\n"));
	last = strstr(ret_answer->bytes, "errno=");
	MUST(last && sscanf(last, "errno=%d\n", &number) == 1);
	return number;
}

static void get(struct text *ret_text)
{
	MUST(!ask(ret_text, "get=1\n", 6));
}

static bool is_settable(const char *line)
{
	return strncmp(line, "last_handshake", 14) && strncmp(line, "tx_bytes", 8) &&
	       strncmp(line, "rx_bytes", 8) && strncmp(line, "errno", 5) && *line != '\n';
}

/* Turns the output of a `get` into a `set` that restores all of it. */
static void turn_around(struct text *ret_request, const struct text *shown)
{
	ret_request->len = 0;
	take_text(ret_request, "set=1\nreplace_peers=true\n", 25);
	for (const char *line = shown->bytes, *end; *line; line = end) {
		end = strchr(line, '\n') + 1;
		if (is_settable(line))
			take_text(ret_request, line, (size_t)(end - line));
	}
}

static void check_round_trip(void)
{
	get(&before);
	turn_around(&request, &before);
	MUST(!ask(&after, request.bytes, request.len));
	get(&after);
	turn_around(&again, &after);
	MUST(!strcmp(request.bytes, again.bytes));
}

/* The text between two empty lines is one request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t at = 0;

	stand_begin(&stand, 1, &aead_sodium);
	while (at < len) {
		const uint8_t *end = memmem(data + at, len - at, "\n\n", 2);
		size_t part = end ? (size_t)(end - data) + 1 - at : len - at;
		int error;

		get(&before);
		error = ask(&after, data + at, part);
		MUST(error <= 0);
		if (error == -EINVAL || error == -EPROTO || error == -EPERM) {
			get(&after);
			MUST(!strcmp(before.bytes, after.bytes));
		}
		check_allowed_ips();
		at += part + 1;
	}
	check_round_trip();
	return 0;
}
