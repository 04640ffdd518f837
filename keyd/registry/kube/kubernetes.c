// SPDX-License-Identifier: Apache-2.0
/*
 * The registry `kubernetes`: Nodes through the API server. It joins the parts of this directory
 * behind one descriptor, and never blocks: slow work continues by itself, and `next` reports its
 * results.
 */
#include "registry/registry.h"

#include <errno.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "admission.h"
#include "api_endpoints.h"
#include "events.h"
#include "log.h"
#include "mode.h"
#include "other_nodes.h"
#include "own_node.h"
#include "probes.h"

struct registry_kubernetes {
	struct registry registry; /* first: each is converted into the other */
	struct credentials *account;
	struct kube kube;
	int timer_fd;
	bool requires_admission;
	bool was_away;	   /* at the last check */
	bool has_seen_own; /* in the list being read */
	enum admission_verdict told_verdict;
	struct reflector reflector; /* of the Nodes */
	struct other_nodes nodes;
	struct own_node own;
	struct api_endpoints servers;
	struct probes probes;
	struct mode mode;
	struct events events;
	struct admission admission;
};

static struct registry_kubernetes *kubernetes_of(struct registry *registry)
{
	return (struct registry_kubernetes *)registry;
}

/* -- Nodes: ours and the others -- */

static bool handle_item(void *context, const json_t *object, struct refusal *refusal)
{
	struct registry_kubernetes *kubernetes = context;
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));

	if (!name || strcmp(name, kubernetes->kube.node_name))
		return other_nodes_handle_item(&kubernetes->nodes, object, refusal);
	kubernetes->has_seen_own = true;
	own_node_handle_item(&kubernetes->own, object);
	return true;
}

static void handle_listed(void *context, enum reflect_verdict verdict)
{
	struct registry_kubernetes *kubernetes = context;
	const struct registry_change listed = {.kind = REGISTRY_LISTED,
					       .are_all = verdict == REFLECT_WHOLE};

	other_nodes_handle_listed(&kubernetes->nodes, verdict);
	if (verdict == REFLECT_WHOLE && !kubernetes->has_seen_own)
		own_node_handle_absence(&kubernetes->own);
	if (verdict != REFLECT_PAST)
		kube_tell(&kubernetes->kube, &listed);
	kubernetes->has_seen_own = false;
	malloc_trim(0); /* the pages of a list are many times larger than the data kept from them */
}

static void begin_list(void *context)
{
	struct registry_kubernetes *kubernetes = context;

	other_nodes_begin_list(&kubernetes->nodes);
}

static void handle_lost(void *context, const struct refusal *why)
{
	struct registry_kubernetes *kubernetes = context;

	other_nodes_handle_lost(&kubernetes->nodes, kubernetes->reflector.reflect.is_listing, why);
}

/* Our own Node is read with the next list. */
static bool handle_bad_event(void *context, const struct object_event *event)
{
	struct registry_kubernetes *kubernetes = context;
	char name[NODE_NAME_LEN];

	if (object_find_name(event->object, name) == OBJECT_NAMED &&
	    !strcmp(name, kubernetes->kube.node_name))
		return false;
	return other_nodes_handle_bad_event(&kubernetes->nodes, event);
}

static void handle_event(void *context, const struct object_event *event)
{
	struct registry_kubernetes *kubernetes = context;

	if (strcmp(event->meta.name, kubernetes->kube.node_name))
		other_nodes_handle_event(&kubernetes->nodes, event);
	else
		own_node_handle_event(&kubernetes->own, event);
}

/* -- the agent's view -- */

static void add_complaint(struct refusal *ret_text, const char *text)
{
	if (text && !ret_text->text[0])
		copy_text(ret_text->text, sizeof(ret_text->text), text);
}

static void refresh(struct registry_kubernetes *kubernetes)
{
	struct registry *registry = &kubernetes->registry;
	struct http_counts counts = http_counts(kubernetes->kube.http);

	registry->away.text[0] = '\0';
	add_complaint(&registry->away, reflector_complaint(&kubernetes->reflector));
	add_complaint(&registry->away, own_node_complaint(&kubernetes->own));
	if (!kubernetes->reflector.was_reached)
		add_complaint(&registry->away, "the API server has not answered yet");
	registry->warning = kubernetes->admission.gap;
	if (!registry->away.text[0])
		add_complaint(&registry->warning,
			      reflector_complaint(&kubernetes->servers.reflector));
	registry->contact_s = kubernetes->kube.contact_s;
	registry->traffic = (struct registry_traffic){counts.requests, counts.failures,
						      counts.sent_bytes, counts.received_bytes};
}

static bool is_barred(const struct registry_kubernetes *kubernetes)
{
	return kubernetes->requires_admission && kubernetes->admission.verdict != ADMISSION_TIGHT;
}

/* If a record was reset to an older one while the server was unreachable, a watch that continues
 * brings no event for it. */
static void handle_return(struct registry_kubernetes *kubernetes)
{
	bool is_away = kubernetes->reflector.troubles;

	if (kubernetes->was_away && !is_away)
		own_node_look_again(&kubernetes->own);
	kubernetes->was_away = is_away;
}

/* The agent may be waiting for the verdict with a record to publish. */
static void handle_verdict(struct registry_kubernetes *kubernetes)
{
	if (kubernetes->told_verdict == kubernetes->admission.verdict)
		return;
	kubernetes->told_verdict = kubernetes->admission.verdict;
	own_node_tell(&kubernetes->own);
}

/* -- the loop -- */

static uint64_t drive_admission(struct registry_kubernetes *kubernetes)
{
	if (!own_node_is_known(&kubernetes->own) || !kubernetes->reflector.reflect.is_known)
		return UINT64_MAX;
	return admission_drive(&kubernetes->admission, other_nodes_any_name(&kubernetes->nodes));
}

static uint64_t drive(struct registry_kubernetes *kubernetes)
{
	uint64_t due_ns;

	http_drive(kubernetes->kube.http);
	handle_verdict(kubernetes);
	handle_return(kubernetes);
	due_ns = reflector_drive(&kubernetes->reflector);
	due_ns = MIN(due_ns, api_endpoints_drive(&kubernetes->servers));
	due_ns = MIN(due_ns, probes_drive(&kubernetes->probes));
	due_ns = MIN(due_ns, mode_drive(&kubernetes->mode));
	due_ns = MIN(due_ns, own_node_drive(&kubernetes->own));
	due_ns = MIN(due_ns, other_nodes_drive(&kubernetes->nodes));
	due_ns = MIN(due_ns, events_drive(&kubernetes->events, kubernetes->own.meta.uid));
	return MIN(due_ns, drive_admission(kubernetes));
}

static void arm_timer(struct registry_kubernetes *kubernetes, uint64_t due_ns)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(due_ns / NS_PER_S),
					       .tv_nsec = (long)(due_ns % NS_PER_S)}};

	if (due_ns == UINT64_MAX)
		when = (struct itimerspec){0};
	timerfd_settime(kubernetes->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Makes `next` run because a caller requested work outside it. */
static void wake(struct registry_kubernetes *kubernetes)
{
	arm_timer(kubernetes, 1);
}

static int kubernetes_next(struct registry *registry, struct registry_change *ret_change)
{
	struct registry_kubernetes *kubernetes = kubernetes_of(registry);
	uint64_t due_ns;

	if (!kube_has_changes(&kubernetes->kube)) {
		due_ns = drive(kubernetes);
		arm_timer(kubernetes, due_ns); /* this also makes it unreadable */
	}
	refresh(kubernetes);
	if (!kube_next_change(&kubernetes->kube, ret_change))
		return 0;
	if (ret_change->kind == REGISTRY_OWN) {
		copy_text(registry->uid, sizeof(registry->uid), ret_change->node->uid);
		registry->created_s = ret_change->node->created_s;
	}
	return 1;
}

/* -- the agent's requests -- */

static int kubernetes_publish(struct registry *registry, const struct node *own)
{
	struct registry_kubernetes *kubernetes = kubernetes_of(registry);
	int written;

	if (is_barred(kubernetes))
		return kubernetes->admission.verdict == ADMISSION_OPEN ? -EPERM : -EINPROGRESS;
	written = own_node_publish(&kubernetes->own, &own->annotation);
	wake(kubernetes);
	return written;
}

static bool kubernetes_request(struct registry *registry, const char *node_name,
			       struct refusal *refusal)
{
	struct registry_kubernetes *kubernetes = kubernetes_of(registry);
	struct registry_change change = {.kind = REGISTRY_REQUESTED};

	if (strcmp(node_name, kubernetes->kube.node_name))
		return refuse(refusal, "this node's token may not write other Nodes: run kubectl "
				       "podveil rotate-key --all");
	copy_text(change.name, sizeof(change.name), node_name);
	kube_tell(&kubernetes->kube, &change);
	wake(kubernetes);
	return true;
}

static void kubernetes_settle_request(struct registry *registry)
{
	own_node_settle_request(&kubernetes_of(registry)->own);
	wake(kubernetes_of(registry));
}

static void kubernetes_remove_startup_taint(struct registry *registry)
{
	own_node_remove_startup_taint(&kubernetes_of(registry)->own);
}

static void kubernetes_notify(struct registry *registry, enum registry_event event,
			      const char *text)
{
	events_add(&kubernetes_of(registry)->events, event, text);
	wake(kubernetes_of(registry));
}

static void kubernetes_probe(struct registry *registry, const struct bypass_key *servers,
			     uint32_t count)
{
	probes_want(&kubernetes_of(registry)->probes, servers, count);
	wake(kubernetes_of(registry));
}

static void kubernetes_renew(struct registry *registry)
{
	http_renew(kubernetes_of(registry)->kube.http);
}

/* -- open, close -- */

static void kubernetes_close(struct registry *registry)
{
	struct registry_kubernetes *kubernetes = kubernetes_of(registry);

	if (kubernetes->kube.http) {
		reflector_clear(&kubernetes->reflector);
		other_nodes_clear(&kubernetes->nodes);
		own_node_clear(&kubernetes->own);
		api_endpoints_clear(&kubernetes->servers);
		probes_clear(&kubernetes->probes);
		mode_clear(&kubernetes->mode);
		events_clear(&kubernetes->events);
		admission_clear(&kubernetes->admission);
		http_close(kubernetes->kube.http);
	}
	if (kubernetes->account)
		credentials_close(kubernetes->account);
	kube_clear_changes(&kubernetes->kube);
	fd_close(&kubernetes->timer_fd);
	fd_close(&registry->fd);
	free(kubernetes->kube.pods);
	free(kubernetes);
}

static int follow(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_fds(struct registry_kubernetes *kubernetes)
{
	int error;

	kubernetes->registry.fd = epoll_create1(EPOLL_CLOEXEC);
	kubernetes->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (kubernetes->registry.fd < 0 || kubernetes->timer_fd < 0)
		return -errno;
	error = follow(kubernetes->registry.fd, kubernetes->timer_fd);
	return error ? error : follow(kubernetes->registry.fd, http_fd(kubernetes->kube.http));
}

static void init_parts(struct registry_kubernetes *kubernetes)
{
	const struct credentials_view *view =
		credentials_refresh(kubernetes->account, boot_ns(), false);
	const struct reflector_source source = {
		.what = "Nodes",
		.path = "/api/v1/nodes",
		.watch_accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
		.begin_list = begin_list,
		.handle_item = handle_item,
		.handle_listed = handle_listed,
		.handle_event = handle_event,
		.handle_bad_event = handle_bad_event,
		.handle_lost = handle_lost,
		.context = kubernetes,
	};
	struct kube *kube = &kubernetes->kube;

	copy_text(kube->namespace, sizeof(kube->namespace), view->namespace);
	reflector_init(&kubernetes->reflector, kube, &source);
	other_nodes_init(&kubernetes->nodes, kube);
	own_node_init(&kubernetes->own, kube);
	api_endpoints_init(&kubernetes->servers, kube, view->server);
	probes_init(&kubernetes->probes, kube);
	mode_init(&kubernetes->mode, kube);
	events_init(&kubernetes->events, kube);
	admission_init(&kubernetes->admission, kube);
}

static int open_parts(struct registry_kubernetes *kubernetes, const char *kubeconfig)
{
	int error = credentials_open(&kubernetes->account, kubeconfig);

	if (error)
		return error;
	error = http_open(&kubernetes->kube.http, kubernetes->account);
	if (!error)
		error = open_fds(kubernetes);
	if (error)
		log_error("registry kubernetes: %s", strerror(-error));
	else
		init_parts(kubernetes);
	return error;
}

int registry_kubernetes_open(struct registry **ret_registry, const char *kubeconfig,
			     const char *node_name, bool requires_admission)
{
	static const struct registry_operations operations = {
		.publish = kubernetes_publish,
		.next = kubernetes_next,
		.request = kubernetes_request,
		.settle_request = kubernetes_settle_request,
		.remove_startup_taint = kubernetes_remove_startup_taint,
		.notify = kubernetes_notify,
		.probe = kubernetes_probe,
		.renew = kubernetes_renew,
		.close = kubernetes_close,
	};
	struct registry_kubernetes *kubernetes = calloc(1, sizeof(*kubernetes));
	int error;

	if (kubernetes)
		kubernetes->kube.pods = calloc(ANNOTATION_PODS_MAX, sizeof(struct cidr));
	if (!kubernetes || !kubernetes->kube.pods) {
		log_error("registry kubernetes: not enough memory");
		free(kubernetes);
		return -ENOMEM;
	}
	kubernetes->registry.operations = &operations;
	kubernetes->registry.is_server = true;
	kubernetes->registry.fd = kubernetes->timer_fd = -1;
	kubernetes->requires_admission = requires_admission;
	copy_text(kubernetes->kube.node_name, sizeof(kubernetes->kube.node_name), node_name);
	error = open_parts(kubernetes, kubeconfig);
	if (error) {
		kubernetes_close(&kubernetes->registry);
		return error;
	}
	*ret_registry = &kubernetes->registry;
	return 0;
}
