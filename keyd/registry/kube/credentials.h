/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and as whom we speak to it: a pod's service account, or a kubeconfig. SHELL.
 * Files are read when they are needed and not believed for longer than a minute: kubelet exchanges tokens and
 * authorities without a word. Nothing is read from the environment but KUBERNETES_SERVICE_HOST and _PORT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

#define ACCOUNT_FOLDER	   "/var/run/secrets/kubernetes.io/serviceaccount"
#define ACCOUNT_SERVER_LEN 512
#define ACCOUNT_TOKEN_MAX  65536
#define ACCOUNT_PEM_MAX	   (1024 * 1024)

struct credentials; /* opaque: paths, and what was read from them last */

/* What one request needs; the account's memory, valid until the next credentials_refresh or credentials_close. */
struct credentials_view {
	const char *server;		/* "https://10.96.0.1:443", no slash at the end */
	const char *token;		/* NULL: a client certificate speaks for us */
	const char *ca_pem;		/* NULL: the machine's authorities */
	const char *cert_pem, *key_pem; /* both or none */
	const char *tls_name;		/* kubeconfig's tls-server-name, or NULL */
	const char *namespace;		/* the pod's, the context's, or "podveil" */
	uint64_t generation; /* another one: connections made before it are not used any more */
};

/* kubeconfig NULL: the service account of the pod. Logs one line on failure, which names the file and what was
 * expected: exec plugins, auth providers, http:// and insecure-skip-tls-verify are refused. Relative paths are relative
 * to the kubeconfig's folder. */
MUST_CHECK int credentials_open(struct credentials **ret_account, const char *kubeconfig);

/* Reads the files again where the last reading is a minute old, or is_refused (the server said 401). What cannot be
 * read leaves what was there in use, said once. `now_ns` is CLOCK_BOOTTIME. */
const struct credentials_view *credentials_refresh(struct credentials *account, uint64_t now_ns,
						   bool is_refused);

void credentials_close(struct credentials *account);
