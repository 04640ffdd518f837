// SPDX-License-Identifier: Apache-2.0
/*
 * The part of a kubeconfig (k8s.io/client-go/tools/clientcmd/api/v1) that an agent needs. Each
 * dangerous setting is refused by name: exec plugins and auth providers run programs,
 * insecure-skip-tls-verify trusts any server, proxy-url leads away from the addresses that are kept
 * outside the tunnel.
 */
#include "kubeconfig.h"

#include <errno.h>
#include <sodium.h>

#include "yaml_text.h"

struct reading {
	yaml_document_t *document;
	const char *directory;
	struct refusal *refusal;
};

bool kubeconfig_is_server(const char *text)
{
	static const char scheme[] = "https://";
	const char *host = text + sizeof(scheme) - 1;

	if (strncmp(text, scheme, sizeof(scheme) - 1) || !*host || *host == '/' || *host == ':')
		return false;
	for (const char *c = host; *c; c++)
		if (*c <= 0x20 || *c >= 0x7f || strchr("@?#\\\"'<>{}|^`", *c))
			return false;
	return true;
}

static void clear_text(char **text)
{
	if (*text)
		sodium_memzero(*text, strlen(*text));
	free(TAKE_PTR(*text));
}

void kubeconfig_clear(struct kubeconfig *config)
{
	struct place *places[] = {&config->ca, &config->token, &config->cert, &config->key};

	clear_text(&config->server);
	clear_text(&config->tls_name);
	clear_text(&config->namespace);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		clear_text(&places[i]->path);
		clear_text(&places[i]->text);
	}
}

/* -- the values of one mapping -- */

static bool parse_text(const struct reading *reading, const yaml_node_t *from, const char *key,
		       char **ret_text)
{
	const char *text = yaml_scalar(reading->document, from, key);

	*ret_text = text ? strdup(text) : NULL;
	return !text || *ret_text ||
	       refuse(reading->refusal, "cannot be read: %s", strerror(ENOMEM));
}

static bool parse_path(const struct reading *reading, const yaml_node_t *from, const char *key,
		       char **ret_path)
{
	const char *path = yaml_scalar(reading->document, from, key);

	*ret_path = NULL;
	if (!path)
		return true;
	if (*path == '/' ? !(*ret_path = strdup(path))
			 : asprintf(ret_path, "%s/%s", reading->directory, path) < 0)
		return refuse(reading->refusal, "cannot be read: %s", strerror(ENOMEM));
	return true;
}

/* Decodes the base64 of a text, as `kubectl config` writes it. */
static bool parse_data(const struct reading *reading, const yaml_node_t *from, const char *key,
		       char **ret_text)
{
	const char *base64 = yaml_scalar(reading->document, from, key);
	size_t len, size = base64 ? strlen(base64) / 4 * 3 + 4 : 0;

	*ret_text = NULL;
	if (!base64)
		return true;
	*ret_text = calloc(1, size);
	if (!*ret_text)
		return refuse(reading->refusal, "cannot be read: %s", strerror(ENOMEM));
	if (sodium_base642bin((unsigned char *)*ret_text, size - 1, base64, strlen(base64), " \r\n",
			      &len, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    strlen(*ret_text) != len)
		return refuse(reading->refusal, "'%s' is not the base64 of a text", key);
	return true;
}

/* -- cluster, user, context -- */

static bool read_cluster(const struct reading *reading, const yaml_node_t *cluster,
			 struct kubeconfig *config)
{
	const char *insecure = yaml_scalar(reading->document, cluster, "insecure-skip-tls-verify");
	struct quote quoted;
	size_t len;

	if (insecure && strcmp(insecure, "false"))
		return refuse(reading->refusal,
			      "insecure-skip-tls-verify is set: expected certificate-authority, "
			      "because the server is always verified");
	if (!yaml_is_empty(yaml_find(reading->document, cluster, "proxy-url")))
		return refuse(reading->refusal,
			      "proxy-url is set: expected a server that is reached directly");
	if (!parse_text(reading, cluster, "server", &config->server) ||
	    !parse_text(reading, cluster, "tls-server-name", &config->tls_name) ||
	    !parse_path(reading, cluster, "certificate-authority", &config->ca.path) ||
	    !parse_data(reading, cluster, "certificate-authority-data", &config->ca.text))
		return false;
	if (!config->server || !kubeconfig_is_server(config->server))
		return refuse(reading->refusal, "'server' is %s: expected https://HOST:PORT",
			      config->server ? quote(&quoted, config->server) : "missing");
	if (config->tls_name &&
	    strspn(config->tls_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789-.") != strlen(config->tls_name))
		return refuse(reading->refusal, "'tls-server-name' is %s: expected a host's name",
			      quote(&quoted, config->tls_name));
	for (len = strlen(config->server); config->server[len - 1] == '/'; len--)
		config->server[len - 1] = '\0';
	return true;
}

static bool read_user(const struct reading *reading, const yaml_node_t *user,
		      struct kubeconfig *config)
{
	static const char *const refused[] = {"exec", "auth-provider", "username", "password",
					      "as",   "as-uid"};

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
		if (!yaml_is_empty(yaml_find(reading->document, user, refused[i])))
			return refuse(reading->refusal,
				      "the user has '%s': expected token, tokenFile, or "
				      "client-certificate and client-key",
				      refused[i]);
	if (!parse_text(reading, user, "token", &config->token.text) ||
	    !parse_path(reading, user, "tokenFile", &config->token.path) ||
	    !parse_path(reading, user, "client-certificate", &config->cert.path) ||
	    !parse_data(reading, user, "client-certificate-data", &config->cert.text) ||
	    !parse_path(reading, user, "client-key", &config->key.path) ||
	    !parse_data(reading, user, "client-key-data", &config->key.text))
		return false;
	if (!(config->cert.path || config->cert.text) != !(config->key.path || config->key.text))
		return refuse(reading->refusal, "the user has only one of client-certificate and "
						"client-key: expected both");
	if (!config->token.text && !config->token.path && !config->cert.path && !config->cert.text)
		return refuse(reading->refusal,
			      "the user has no credentials: expected token, tokenFile, or "
			      "client-certificate and client-key");
	return true;
}

/* In a list of {name, WHAT}, finds the entry `name` and returns its WHAT. */
static const yaml_node_t *find_named(const struct reading *reading, const char *list,
				     const char *what, const char *name)
{
	yaml_document_t *document = reading->document;
	const yaml_node_t *entries =
		yaml_find(document, yaml_document_get_root_node(document), list);
	struct quote quoted;

	if (!name) {
		refusal_write(reading->refusal,
			      "no %s is named: expected a current-context with cluster and user",
			      what);
		return NULL;
	}
	if (entries && entries->type == YAML_SEQUENCE_NODE)
		for (yaml_node_item_t *item = entries->data.sequence.items.start;
		     item < entries->data.sequence.items.top; item++) {
			yaml_node_t *entry = yaml_document_get_node(document, *item);
			const char *is = yaml_scalar(document, entry, "name");

			if (is && !strcmp(is, name))
				return yaml_find(document, entry, what);
		}
	refusal_write(reading->refusal, "there is no %s %s", what, quote(&quoted, name));
	return NULL;
}

static bool read_config(const struct reading *reading, struct kubeconfig *config)
{
	yaml_document_t *document = reading->document;
	const char *name =
		yaml_scalar(document, yaml_document_get_root_node(document), "current-context");
	const yaml_node_t *context, *cluster, *user;

	context = find_named(reading, "contexts", "context", name);
	if (!context)
		return false;
	cluster = find_named(reading, "clusters", "cluster",
			     yaml_scalar(document, context, "cluster"));
	if (!cluster)
		return false;
	user = find_named(reading, "users", "user", yaml_scalar(document, context, "user"));
	return user && parse_text(reading, context, "namespace", &config->namespace) &&
	       read_cluster(reading, cluster, config) && read_user(reading, user, config);
}

bool kubeconfig_parse(struct kubeconfig *config, const char *text, size_t len,
		      const char *directory, struct refusal *refusal)
{
	yaml_document_t document;
	struct reading reading = {&document, directory, refusal};
	bool is_good;

	*config = (struct kubeconfig){0};
	*refusal = (struct refusal){0};
	if (!yaml_text_open(&document, text, len, refusal))
		return false;
	is_good = read_config(&reading, config);
	yaml_document_delete(&document);
	if (!is_good)
		kubeconfig_clear(config);
	if (!is_good && !refusal->text[0])
		refusal_write(refusal, "not a kubeconfig");
	return is_good;
}
