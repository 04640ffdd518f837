// SPDX-License-Identifier: Apache-2.0
/*
 * Requests without our token, to addresses that a third party may have written. Their packets carry
 * PROBE_MARK, with which bpf/policy.h lets them pass to addresses that otherwise get no cleartext.
 * A whole cluster learns of a new server at the same moment, so even the first request waits for a
 * random time.
 */
#include "probes.h"

#include "log.h"

#define AT_ONCE	     4
#define ANSWER_S     5
#define ANSWER_BYTES 65536

/* -- one request -- */

static struct probe *find(struct probes *probes, const struct bypass_key *server)
{
	for (uint32_t i = 0; i < probes->count; i++)
		if (!memcmp(&probes->items[i].server, server, sizeof(*server)))
			return &probes->items[i];
	return NULL;
}

static void handle_failure(struct probe *probe, const struct http_result *result)
{
	char text[BYPASS_TEXT_LEN];

	probe->due_ns = kube_back_off_ns(++probe->failures, NULL);
	if (probe->is_named)
		return;
	log_warning(
		"default/kubernetes lists an API server at %s, which is unreachable: %s: it gets "
		"no bypass until it is reached",
		bypass_format(text, &probe->server), result->reason);
	probe->is_named = true;
}

/* A status exists only if TLS was completed. */
static void on_end(void *context, const struct http_result *result)
{
	struct probe *probe = context;
	struct registry_change change = {.kind = REGISTRY_PROVED, .server_count = 1};

	probe->handle = 0;
	if (!result->status) {
		handle_failure(probe, result);
		return;
	}
	change.servers[0] = probe->server;
	kube_tell(probe->probes->kube, &change);
	probe->due_ns = UINT64_MAX;
}

static void begin(struct probe *probe)
{
	char text[BYPASS_TEXT_LEN];
	struct http_request request = {
		.method = HTTP_GET,
		.path = "/version",
		.connect_to = bypass_format(text, &probe->server),
		.is_anonymous = true,
		.mark = PROBE_MARK,
		.body_max = ANSWER_BYTES,
		.timeout_s = ANSWER_S,
		.on_end = on_end,
		.context = probe,
	};
	int handle = http_start(probe->probes->kube->http, &request);

	if (handle > 0)
		probe->handle = handle;
	else
		probe->due_ns = kube_back_off_ns(++probe->failures, NULL);
}

static void cancel(struct probe *probe)
{
	if (probe->handle)
		http_cancel(probe->probes->kube->http, probe->handle);
	probe->handle = 0;
}

/* -- all of them -- */

void probes_init(struct probes *probes, struct kube *kube)
{
	*probes = (struct probes){.kube = kube};
}

/* A running request points to its probe, so probes never move. */
static struct probe *make_room(struct probes *probes)
{
	for (uint32_t i = 0; i < probes->count; i++)
		if (!probes->items[i].is_wanted)
			return &probes->items[i];
	return probes->count < REGISTRY_SERVERS_MAX ? &probes->items[probes->count++] : NULL;
}

void probes_want(struct probes *probes, const struct bypass_key *servers, uint32_t count)
{
	struct probe *probe;

	for (uint32_t i = 0; i < probes->count; i++)
		probes->items[i].is_wanted =
			bypass_is_among(servers, count, &probes->items[i].server);
	for (uint32_t i = 0; i < probes->count; i++)
		if (!probes->items[i].is_wanted)
			cancel(&probes->items[i]);
	for (uint32_t i = 0; i < count; i++) {
		probe = find(probes, &servers[i]);
		if (probe && probe->is_wanted)
			continue;
		probe = make_room(probes);
		if (probe)
			*probe = (struct probe){.probes = probes,
						.server = servers[i],
						.due_ns = kube_back_off_ns(0, NULL),
						.is_wanted = true};
	}
}

static uint32_t count_running(const struct probes *probes)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < probes->count; i++)
		count += probes->items[i].handle != 0;
	return count;
}

/* If AT_ONCE requests are running, the next event is the end of one of them. */
uint64_t probes_drive(struct probes *probes)
{
	uint64_t now_ns = boot_ns(), next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < probes->count; i++) {
		struct probe *probe = &probes->items[i];

		if (!probe->is_wanted || probe->handle)
			continue;
		if (probe->due_ns <= now_ns && count_running(probes) < AT_ONCE)
			begin(probe);
		if (!probe->handle && probe->due_ns > now_ns)
			next_ns = MIN(next_ns, probe->due_ns);
	}
	return next_ns;
}

void probes_clear(struct probes *probes)
{
	for (uint32_t i = 0; i < probes->count; i++)
		cancel(&probes->items[i]);
	probes->count = 0;
}
