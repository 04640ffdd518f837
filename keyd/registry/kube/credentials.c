// SPDX-License-Identifier: Apache-2.0
/*
 * Each reading reads every file again and replaces each part that is good: an unreadable authority
 * must not keep an expired token in use. A certificate and its key are replaced together or not at
 * all. Reading never blocks, wherever a path leads, and never trusts a partly written file.
 */
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

#include "kubeconfig.h"
#include "log.h"
#include "registry/whole_file.h"

#define READ_EVERY_NS (60 * NS_PER_S)
#define NAMESPACE_MAX 64
#define NAMESPACE     "podveil" /* if no other is configured */

enum part { SERVER, TLS_NAME, NAMESPACE_NAME, CA, TOKEN, CERT, KEY, PARTS };

struct credentials {
	char *kubeconfig; /* its path; NULL: the service account of the pod */
	char *directory;  /* of the kubeconfig */
	char *parts[PARTS];
	struct credentials_view view; /* points into parts */
	uint64_t read_ns;
	struct refusal said; /* the last complaint, so that it is not logged every minute */
};

/* -- files -- */

/* Returns the file as zero-terminated text, for the caller to free; or NULL and the reason. Refused
 * text may be a secret, too. */
static char *read_file(const char *path, size_t max, struct refusal *refusal)
{
	CLEANUP_FREE char *text = calloc(1, max + 2);
	struct stat status;
	ssize_t len = text ? whole_file_read(AT_FDCWD, path, 0, text, max + 1, &status) : -ENOMEM;

	if (len == -EINVAL)
		refusal_write(refusal, "%s: not a regular file", path);
	else if (len < 0)
		refusal_write(refusal, "%s: cannot be read: %s", path, strerror((int)-len));
	else if ((size_t)len > max)
		refusal_write(refusal, "%s: larger than %zu bytes", path, max);
	else if (strlen(text) != (size_t)len)
		refusal_write(refusal, "%s: contains a zero byte: expected text", path);
	else
		return TAKE_PTR(text);
	if (text)
		sodium_memzero(text, max + 2);
	return NULL;
}

static void free_secret(char *text)
{
	if (text)
		sodium_memzero(text, strlen(text));
	free(text);
}

/* -- the form of each part -- */

static bool is_pem(const char *text, const char *what)
{
	return strstr(text, "-----BEGIN ") && strstr(text, what) && strstr(text, "-----END ");
}

/* A token must not contain anything that ends the header in which it is sent. */
static bool is_token(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return false;
	return *text;
}

static bool judge(enum part part, const char *text, const char *origin, struct refusal *refusal)
{
	if (part == TOKEN)
		return is_token(text) ||
		       refuse(refusal, "%s: contains no token: expected one line", origin);
	if (part == KEY)
		return is_pem(text, " KEY-----") ||
		       refuse(refusal, "%s: contains no private key: expected PEM", origin);
	return is_pem(text, "-----END CERTIFICATE-----") ||
	       refuse(refusal, "%s: contains no certificate: expected PEM", origin);
}

/* False: *refusal gives the reason. *ret_text NULL: there is no such part. */
static bool read_part(enum part part, const struct place *place, const char *origin,
		      char **ret_text, struct refusal *refusal)
{
	char *text;

	*ret_text = NULL;
	if (!place->path && !place->text)
		return true;
	text = place->path ? read_file(place->path,
				       part == TOKEN ? ACCOUNT_TOKEN_MAX : ACCOUNT_PEM_MAX, refusal)
			   : strdup(place->text);
	if (!text)
		return false;
	if (part == TOKEN)
		text[strcspn(text, "\r\n")] = '\0';
	if (judge(part, text, place->path ? place->path : origin, refusal)) {
		*ret_text = text;
		return true;
	}
	free_secret(text);
	return false;
}

/* -- the source of each part -- */

static bool read_kubeconfig(const struct credentials *account, struct kubeconfig *config,
			    struct refusal *refusal)
{
	char *text = read_file(account->kubeconfig, KUBECONFIG_MAX, refusal);
	struct refusal why;
	bool is_good;

	if (!text)
		return false;
	is_good = kubeconfig_parse(config, text, strlen(text), account->directory, &why);
	if (!is_good)
		refusal_write(refusal, "%s: %.200s", account->kubeconfig, why.text);
	free_secret(text);
	return is_good;
}

/* The first line of the pod's namespace file; NULL without that file. */
static char *pod_namespace(void)
{
	struct refusal refusal;
	char *text = read_file(ACCOUNT_DIRECTORY "/namespace", NAMESPACE_MAX, &refusal);

	if (text)
		text[strcspn(text, "\r\n")] = '\0';
	return text;
}

/* The service account that kubelet mounts into every pod. */
static bool find_service_account(struct kubeconfig *config, struct refusal *refusal)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");

	*config = (struct kubeconfig){0};
	if (!host || !*host || !port || !*port)
		return refuse(
			refusal,
			"KUBERNETES_SERVICE_HOST and _PORT are not set: expected them in a pod, or "
			"--kubeconfig outside of one");
	if (asprintf(&config->server, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
		     port) < 0) {
		config->server = NULL;
		return refuse(refusal, "%s", strerror(ENOMEM));
	}
	config->ca.path = strdup(ACCOUNT_DIRECTORY "/ca.crt");
	config->token.path = strdup(ACCOUNT_DIRECTORY "/token");
	config->namespace = pod_namespace();
	if (config->ca.path && config->token.path && kubeconfig_is_server(config->server))
		return true;
	kubeconfig_clear(config);
	return refuse(refusal, "KUBERNETES_SERVICE_HOST and _PORT are not an address and a port");
}

static bool find_places(const struct credentials *account, struct kubeconfig *config,
			struct refusal *refusal)
{
	return account->kubeconfig ? read_kubeconfig(account, config, refusal)
				   : find_service_account(config, refusal);
}

/* -- replacing parts -- */

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Returns true if the part has changed. */
static bool replace_part(struct credentials *account, enum part part, char **fresh)
{
	bool is_other = !is_same(account->parts[part], *fresh);

	free_secret(account->parts[part]);
	account->parts[part] = TAKE_PTR(*fresh);
	return is_other;
}

static void show(struct credentials *account, bool needs_new_connections)
{
	char **parts = account->parts;

	account->view = (struct credentials_view){
		.server = parts[SERVER],
		.token = parts[TOKEN],
		.ca_pem = parts[CA],
		.cert_pem = parts[CERT],
		.key_pem = parts[KEY],
		.tls_name = parts[TLS_NAME],
		.namespace = parts[NAMESPACE_NAME] ? parts[NAMESPACE_NAME] : NAMESPACE,
		.generation = account->view.generation + needs_new_connections,
	};
}

/* False: a part was unreadable, and *refusal names the last such part; the other parts are
 * replaced. */
static bool read_parts(struct credentials *account, struct kubeconfig *config,
		       struct refusal *refusal)
{
	const char *origin = account->kubeconfig ? account->kubeconfig : ACCOUNT_DIRECTORY;
	char *ca = NULL, *token = NULL, *cert = NULL, *key = NULL;
	bool has_ca = read_part(CA, &config->ca, origin, &ca, refusal);
	bool has_token = read_part(TOKEN, &config->token, origin, &token, refusal);
	bool has_pair = read_part(CERT, &config->cert, origin, &cert, refusal) &&
			read_part(KEY, &config->key, origin, &key, refusal);
	bool is_other = replace_part(account, SERVER, &config->server);

	is_other |= replace_part(account, TLS_NAME, &config->tls_name);
	replace_part(account, NAMESPACE_NAME, &config->namespace);
	if (has_ca)
		is_other |= replace_part(account, CA, &ca);
	if (has_token)
		replace_part(account, TOKEN, &token);
	if (has_pair) {
		is_other |= replace_part(account, CERT, &cert);
		is_other |= replace_part(account, KEY, &key);
	}
	free_secret(cert);
	free_secret(key);
	show(account, is_other);
	return has_ca && has_token && has_pair;
}

static bool read_again(struct credentials *account, struct refusal *refusal)
{
	struct kubeconfig config;
	bool is_whole;

	*refusal = (struct refusal){0};
	if (!find_places(account, &config, refusal))
		return false;
	is_whole = read_parts(account, &config, refusal);
	kubeconfig_clear(&config);
	return is_whole;
}

const struct credentials_view *credentials_refresh(struct credentials *account, uint64_t now_ns,
						   bool is_refused)
{
	struct refusal refusal;

	if (!is_refused && now_ns - account->read_ns < READ_EVERY_NS)
		return &account->view;
	account->read_ns = now_ns;
	if (!read_again(account, &refusal) && strcmp(refusal.text, account->said.text))
		log_warning("registry kubernetes: %s; the previous credentials stay in use",
			    refusal.text);
	if (!refusal.text[0] && account->said.text[0])
		log_info("registry kubernetes: the credentials are readable again");
	account->said = refusal;
	return &account->view;
}

/* -- open, refresh, close -- */

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int credentials_open(struct credentials **ret_account, const char *kubeconfig)
{
	struct credentials *account = calloc(1, sizeof(*account));
	struct refusal refusal = {0};

	if (account && kubeconfig) {
		account->kubeconfig = strdup(kubeconfig);
		account->directory = directory_of(kubeconfig);
	}
	if (!account || (kubeconfig && (!account->kubeconfig || !account->directory))) {
		log_error("registry kubernetes: %s", strerror(ENOMEM));
		credentials_close(account);
		return -ENOMEM;
	}
	if (read_again(account, &refusal)) {
		*ret_account = account;
		return 0;
	}
	log_error("registry kubernetes: %s", refusal.text);
	credentials_close(account);
	return -EINVAL;
}

void credentials_close(struct credentials *account)
{
	if (!account)
		return;
	for (enum part part = 0; part < PARTS; part++)
		free_secret(account->parts[part]);
	free(account->kubeconfig);
	free(account->directory);
	free(account);
}
