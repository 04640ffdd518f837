// SPDX-License-Identifier: Apache-2.0
/*
 * The way on which keys are spread must never need them, so what is not known yet, or cannot be read, takes no address
 * away that was known before.
 */
#include "servers.h"

#include "endpoint_slice.h"
#include "log.h"

/* -- telling -- */

static void add(struct registry_change *change, const struct bypass_key *key)
{
	if (change->server_count < REGISTRY_SERVERS_MAX &&
	    !bypass_is_among(change->servers, change->server_count, key))
		change->servers[change->server_count++] = *key;
}

static void tell(struct servers *servers)
{
	struct registry_change change = {.event = REGISTRY_SERVERS,
					 .are_all = servers->slice_count};

	if (servers->has_own)
		add(&change, &servers->own);
	for (uint32_t s = 0; s < servers->slice_count; s++)
		for (uint32_t i = 0; i < servers->slices[s].count; i++)
			add(&change, &servers->slices[s].keys[i]);
	kube_tell(servers->kube, &change);
}

/* -- slices -- */

static struct servers_slice *find(struct servers *servers, const char *name)
{
	for (uint32_t i = 0; i < servers->slice_count; i++)
		if (!strcmp(servers->slices[i].name, name))
			return &servers->slices[i];
	return NULL;
}

/* NULL: there are too many, or it cannot be read, which is said. */
static struct servers_slice *take_slice(struct servers *servers, const json_t *object)
{
	struct servers_slice slice = {.is_listed = true}, *place;
	struct object_meta meta = {0};
	struct refusal why = {0};

	if (!object_decode_meta(object, &meta, &why) ||
	    !endpoint_slice_decode(object, slice.keys, REGISTRY_SERVERS_MAX, &slice.count, &why)) {
		log_warning("EndpointSlice %s of default/kubernetes: %s: what was known stays",
			    meta.name, why.text);
		return find(servers, meta.name);
	}
	place = find(servers, meta.name);
	if (!place && servers->slice_count < SERVERS_SLICES_MAX)
		place = &servers->slices[servers->slice_count++];
	if (!place) {
		log_warning("default/kubernetes has more than %d EndpointSlices: %s is left out",
			    SERVERS_SLICES_MAX, meta.name);
		return NULL;
	}
	copy_text(slice.name, sizeof(slice.name), meta.name);
	*place = slice;
	return place;
}

static bool take_item(void *context, const json_t *object, struct refusal *refusal)
{
	struct servers_slice *slice = take_slice(context, object);

	(void)refusal;
	if (slice)
		slice->is_listed = true;
	return true;
}

static void forget(struct servers *servers, struct servers_slice *slice)
{
	*slice = servers->slices[--servers->slice_count];
}

/* A list of none is the moment before a server is up: nothing is taken away for it. */
static void take_whole(void *context, enum reflect_verdict verdict)
{
	struct servers *servers = context;
	uint32_t listed = 0;

	for (uint32_t i = 0; i < servers->slice_count; i++)
		listed += servers->slices[i].is_listed;
	for (uint32_t i = servers->slice_count; i-- > 0;) {
		if (listed && verdict == REFLECT_WHOLE && !servers->slices[i].is_listed)
			forget(servers, &servers->slices[i]);
		else
			servers->slices[i].is_listed = false;
	}
	tell(servers);
}

static void take_event(void *context, const struct object_event *event)
{
	struct servers *servers = context;
	struct servers_slice *slice;

	if (event->type == OBJECT_DELETED) {
		slice = find(servers, event->meta.name);
		if (slice && servers->slice_count > 1)
			forget(servers, slice);
	} else {
		slice = take_slice(servers, event->object);
		if (slice)
			slice->is_listed = false;
	}
	tell(servers);
}

/* -- the whole -- */

/* "https://ADDRESS[:PORT]"; one with a name says nothing. */
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

void servers_init(struct servers *servers, struct kube *kube, const char *url)
{
	const struct reflector_source source = {
		.what = "EndpointSlices of default/kubernetes",
		.path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
		.selector = "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
		.take_item = take_item,
		.take_whole = take_whole,
		.take_event = take_event,
		.context = servers,
	};

	*servers = (struct servers){.kube = kube};
	servers->has_own = parse_url(&servers->own, url);
	reflector_init(&servers->reflector, kube, &source);
	if (servers->has_own)
		tell(servers);
}

uint64_t servers_drive(struct servers *servers)
{
	return reflector_drive(&servers->reflector);
}

void servers_clear(struct servers *servers)
{
	reflector_clear(&servers->reflector);
}
