// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the secrets of a running engine from its memory, namely the one region that has the size of
 * struct tunnel_secrets, so that a test knows the bytes to look for later. Prints one line each,
 * NAME BASE64; the name gives the kind of secret. Omits secrets that are not set (all zero). With
 * --region it prints only the location of the region: START-END, as in /proc/PID/maps.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "tunnel.h"

#define PAGE_BYTES    4096
#define SECRETS_BYTES ((sizeof(struct tunnel_secrets) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)

static void print_secret(const char *kind, unsigned int number,
			 const uint8_t secret[static KEY_LEN])
{
	static const struct public_key none;
	char text[KEY_BASE64_LEN + 1];
	struct public_key key;

	memcpy(key.bytes, secret, KEY_LEN);
	if (!memcmp(&key, &none, sizeof(key)))
		return;
	public_key_encode(text, &key);
	printf("%s-%u %s\n", kind, number, text);
}

static void print_secrets(const struct tunnel_secrets *secrets)
{
	for (unsigned int i = 0; i < KEY_SLOTS; i++)
		print_secret("static", i, secrets->identities[i].private_key.bytes);
	for (unsigned int i = 0; i < PAIRS_MAX; i++) {
		print_secret("shared", i, secrets->pairs[i].static_static);
		print_secret("ephemeral", i, secrets->pairs[i].ephemeral_private);
		print_secret("chaining", i, secrets->pairs[i].chaining_key);
	}
	for (unsigned int i = 0; i < SESSIONS_MAX; i++) {
		print_secret("session-send", i, secrets->session_keys[i].send);
		print_secret("session-receive", i, secrets->session_keys[i].receive);
	}
}

/* The start of the region; 0: none. */
static uint64_t find_secrets(const char *pid)
{
	char path[64], line[1024];
	uint64_t start, end, found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 &&
		    end - start == SECRETS_BYTES)
			found = start;
	if (maps)
		fclose(maps);
	return found;
}

static bool read_secrets(const char *pid, uint64_t start, struct tunnel_secrets *ret_secrets)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = pread(fd, ret_secrets, sizeof(*ret_secrets), (off_t)start);
	close(fd);
	return len == sizeof(*ret_secrets);
}

int main(int argc, char **argv)
{
	static struct tunnel_secrets secrets;
	bool wants_region = argc == 3 && !strcmp(argv[1], "--region");
	const char *pid = argc > 1 ? argv[argc - 1] : "";
	uint64_t start;

	log_settings.program = "secrets";
	if (argc != 2 + wants_region || atol(pid) < 1) {
		log_error("usage: secrets [--region] PID, of a running engine");
		return 2;
	}
	start = find_secrets(pid);
	if (!start || !read_secrets(pid, start, &secrets)) {
		log_error(
			"process %s has no region of %zu bytes that can be read: is it an engine?",
			pid, SECRETS_BYTES);
		return 1;
	}
	if (wants_region)
		printf("%" PRIx64 "-%" PRIx64 "\n", start, start + SECRETS_BYTES);
	else
		print_secrets(&secrets);
	return 0;
}
