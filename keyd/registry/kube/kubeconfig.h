/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The current context of a kubeconfig: the server, and our credentials or their paths. Text in,
 * values out. Any setting that would make us run a program, skip verification or connect through a
 * proxy is refused.
 */
#pragma once

#include "cluster/refusal.h"

#define KUBECONFIG_MAX (4 * 1024 * 1024)

/* A file, or the text itself; both NULL: absent. */
struct place {
	char *path, *text;
};

struct kubeconfig {
	char *server;	 /* "https://...", without a trailing slash */
	char *tls_name;	 /* NULL: the server's own name */
	char *namespace; /* NULL: none is set */
	struct place ca, token, cert, key;
};

/* Relative paths start at `directory`. False: *refusal gives the reason, and *config is empty. */
bool kubeconfig_parse(struct kubeconfig *config, const char *text, size_t len,
		      const char *directory, struct refusal *refusal);

/* Wipes the secret parts. */
void kubeconfig_clear(struct kubeconfig *config);

/* "https://HOST[:PORT][/PATH]" without characters by which a URL could mean another host. */
bool kubeconfig_is_server(const char *text);
