/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kubeconfig says of its current context: the server, and where our credentials are or what they are.
 * Text in, values out. Whatever would make us run a program, trust anybody or speak through somebody is refused.
 */
#pragma once

#include "cluster/refusal.h"

#define KUBECONFIG_MAX (4 * 1024 * 1024)

/* A file, or the text itself; both NULL: there is none. */
struct place {
	char *path, *text;
};

struct kubeconfig {
	char *server;	 /* "https://...", no slash at the end */
	char *tls_name;	 /* NULL: the server's own name */
	char *namespace; /* NULL: not said */
	struct place ca, token, cert, key;
};

/* `folder` is what relative paths are relative to. False: *refusal says why, and *config is empty. */
bool kubeconfig_parse(struct kubeconfig *config, const char *text, size_t len, const char *folder,
		      struct refusal *refusal);

/* Wipes what was secret. */
void kubeconfig_clear(struct kubeconfig *config);

/* "https://HOST[:PORT][/PATH]" without anything that a URL could hide in it. */
bool kubeconfig_is_server(const char *text);
