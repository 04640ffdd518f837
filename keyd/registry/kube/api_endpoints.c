// SPDX-License-Identifier: Apache-2.0
/*
 * Keys are distributed through the API server, so the path to it must never need one: a missing or
 * unreadable slice takes away no known address. A listed address is only a candidate, see
 * keyd/cluster/bypass_rules.c.
 */
#include "api_endpoints.h"

#include "endpoint_slice.h"
#include "log.h"

#define SLICE_NAME "kubernetes"

static void tell(struct api_endpoints *servers)
{
	struct registry_change change = {.kind = REGISTRY_SERVERS,
					 .are_all = servers->count,
					 .has_own_server = servers->has_own,
					 .own_server = servers->own,
					 .server_count = servers->count};

	memcpy(change.servers, servers->keys, sizeof(change.servers));
	kube_tell(servers->kube, &change);
}

/* -- the slices -- */

/* Any slice can carry the service's label. The API server itself writes only the one of this
 * name. */
static void name_stranger(struct api_endpoints *servers, const char *name)
{
	for (uint32_t i = 0; i < servers->stranger_count; i++)
		if (!strcmp(servers->strangers[i], name))
			return;
	if (servers->stranger_count == SERVERS_STRANGERS_MAX)
		return;
	copy_text(servers->strangers[servers->stranger_count++], NODE_NAME_LEN, name);
	log_warning(
		"EndpointSlice %s of default/kubernetes is ignored: only the one named " SLICE_NAME
		" is the API server's own%s",
		name,
		servers->stranger_count == SERVERS_STRANGERS_MAX ? "; further ones are not logged"
								 : "");
}

/* A starting server lists no address yet; this takes none away. */
static void handle_slice(struct api_endpoints *servers, const json_t *object)
{
	struct bypass_key keys[REGISTRY_SERVERS_MAX] = {0};
	struct refusal why = {0};
	uint32_t count;

	if (!endpoint_slice_decode(object, keys, REGISTRY_SERVERS_MAX, &count, &why)) {
		log_warning("EndpointSlice " SLICE_NAME
			    " of default/kubernetes: %s: the known addresses stay in use",
			    why.text);
		return;
	}
	if (!count)
		return;
	servers->count = count;
	memcpy(servers->keys, keys, sizeof(keys));
	tell(servers);
}

static bool handle_item(void *context, const json_t *object, struct refusal *refusal)
{
	struct object_meta meta;

	if (!object_decode_meta(object, &meta, refusal))
		log_warning("an EndpointSlice of default/kubernetes is ignored: %s", refusal->text);
	else if (strcmp(meta.name, SLICE_NAME))
		name_stranger(context, meta.name);
	else
		handle_slice(context, object);
	return true;
}

/* A slice that is on no page may be re-created, so its absence changes nothing. */
static void handle_listed(void *context, enum reflect_verdict verdict)
{
	(void)context;
	(void)verdict;
}

static void handle_event(void *context, const struct object_event *event)
{
	if (strcmp(event->meta.name, SLICE_NAME))
		name_stranger(context, event->meta.name);
	else if (event->type != OBJECT_DELETED)
		handle_slice(context, event->object);
}

/* -- following the slices -- */

/* Parses "https://ADDRESS[:PORT]"; false for a host name. */
static bool parse_url(struct bypass_key *ret_key, const char *url)
{
	static const char scheme[] = "https://", port[] = ":443";
	char text[BYPASS_TEXT_LEN];

	if (strncmp(url, scheme, strlen(scheme)))
		return false;
	url += strlen(scheme);
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(url, "/"), url);
	if (!bypass_parse(ret_key, text)) {
		snprintf(text, sizeof(text), "%.*s%s", (int)strcspn(url, "/"), url, port);
		if (!bypass_parse(ret_key, text))
			return false;
	}
	return !bypass_special_name(ret_key);
}

void api_endpoints_init(struct api_endpoints *servers, struct kube *kube, const char *url)
{
	const struct reflector_source source = {
		.what = "EndpointSlices of default/kubernetes",
		.path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
		.selector = "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
		.handle_item = handle_item,
		.handle_listed = handle_listed,
		.handle_event = handle_event,
		.context = servers,
	};

	*servers = (struct api_endpoints){.kube = kube};
	servers->has_own = parse_url(&servers->own, url);
	reflector_init(&servers->reflector, kube, &source);
	if (servers->has_own)
		tell(servers);
}

uint64_t api_endpoints_drive(struct api_endpoints *servers)
{
	return reflector_drive(&servers->reflector);
}

void api_endpoints_clear(struct api_endpoints *servers)
{
	reflector_clear(&servers->reflector);
}
