/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server's address and our identity there: a pod's service account, or a kubeconfig. SHELL.
 * Files are read when needed and trusted for at most a minute, because kubelet replaces tokens and
 * authorities without notice. Only KUBERNETES_SERVICE_HOST and _PORT are read from the environment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

#define ACCOUNT_DIRECTORY  "/var/run/secrets/kubernetes.io/serviceaccount"
#define ACCOUNT_SERVER_LEN 512
#define ACCOUNT_TOKEN_MAX  65536
#define ACCOUNT_PEM_MAX	   (1024 * 1024)

struct credentials; /* opaque: the paths, and their content read last */

/* The data that one request needs; the account's memory, valid until the next credentials_refresh
 * or credentials_close. */
struct credentials_view {
	const char *server;		/* "https://10.96.0.1:443", without a trailing slash */
	const char *token;		/* NULL: a client certificate authenticates us */
	const char *ca_pem;		/* NULL: the machine's authorities */
	const char *cert_pem, *key_pem; /* both or neither */
	const char *tls_name;		/* kubeconfig's tls-server-name, or NULL */
	const char *namespace;		/* the pod's, the context's, or "podveil" */
	uint64_t generation;		/* a change means: use no connection made before it */
};

/* kubeconfig NULL: the service account of the pod. Logs one line on failure, which names the file
 * and the expected content: exec plugins, auth providers, http:// and insecure-skip-tls-verify are
 * refused. Relative paths start at the kubeconfig's directory. */
MUST_CHECK int credentials_open(struct credentials **ret_account, const char *kubeconfig);

/* Reads the files again if the last reading is a minute old, or if is_refused (the server answered
 * 401). A part that is unreadable stays as it was, which is logged once. `now_ns` is
 * CLOCK_BOOTTIME. */
const struct credentials_view *credentials_refresh(struct credentials *account, uint64_t now_ns,
						   bool is_refused);

void credentials_close(struct credentials *account);
