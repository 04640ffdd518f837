// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/pod_cidrs.c: which prefixes are this node's pods, and from which source. */
#include "agent/pod_cidrs.h"
#include "test.h"

#define T0   (1000 * NS_PER_S)
#define LATE (60 * NS_PER_S)

static struct settings settings;
static struct pod_cidrs pod_cidrs;
static struct cluster_self self;
static struct node node;
static struct underlay_device devices[4];
static struct route routes[CLUSTER_HOLES_MAX + 8];
static struct underlay_view view;
static struct cidr range, proof;
static const struct refusal good;

static struct cidr cidr(const char *text)
{
	struct cidr parsed;

	assert_true(cidr_parse(&parsed, text));
	return parsed;
}

static int reset(void **state)
{
	memset(&settings, 0, sizeof(settings));
	memset(&pod_cidrs, 0, sizeof(pod_cidrs));
	memset(&self, 0, sizeof(self));
	memset(&node, 0, sizeof(node));
	memset(devices, 0, sizeof(devices));
	memset(routes, 0, sizeof(routes));
	view = (struct underlay_view){.devices = devices, .routes = routes};
	range = cidr("10.244.0.0/16");
	return 0;
}

static void give_node(const char *text)
{
	node.pod_cidrs[0] = cidr(text);
	node.pod_cidr_count = 1;
}

/* A device of a pod with this address, and the route to it. */
static void add_pod(const char *text)
{
	struct underlay_device *device = &devices[view.device_count++];

	*device = (struct underlay_device){.ifindex = view.device_count,
					   .kind = UNDERLAY_VETH,
					   .is_up = true,
					   .has_far_peer = true};
	routes[view.route_count++] = (struct route){
		.ifindex = device->ifindex, .destination = cidr(text), .is_main = true};
	pods_mark_devices(&view, &range, 1);
	assert_true(device->is_pods);
}

static enum pod_cidrs_move follow(uint64_t now_ns)
{
	return pod_cidrs_follow(&pod_cidrs, &view, &range, 1, now_ns, &proof);
}

static void assert_pods(const char *text)
{
	char found[CIDR_TEXT_LEN];

	(void)pod_cidrs_fill(&pod_cidrs, &view, &self);
	if (!text) {
		assert_int_equal(self.pod_count, 0);
		return;
	}
	assert_int_equal(self.pod_count, 1);
	assert_string_equal(cidr_format(found, &self.pods[0]), text);
}

/* -- the start -- */

TEST(flags_come_before_registry_and_kernel, reset)
{
	settings.pods_source = PODS_AUTO;
	settings.pods[0] = cidr("10.244.7.0/24");
	settings.pod_count = 1;
	give_node("10.244.1.0/24");
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, &node, false));
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	add_pod("10.244.9.9/32");
	assert_int_equal(follow(T0), POD_CIDRS_STAY);
	assert_pods("10.244.7.0/24");
	assert_string_equal(pod_cidrs_origin(&pod_cidrs), "flag");
}

TEST(record_at_the_start_gives_the_prefixes, reset)
{
	settings.pods_source = PODS_NODE;
	give_node("10.244.1.0/24");
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, &node, false));
	assert_pods("10.244.1.0/24");
	assert_string_equal(pod_cidrs_origin(&pod_cidrs), "node");
}

TEST(node_alone_needs_a_record_unless_it_may_come_later, reset)
{
	settings.pods_source = PODS_NODE;
	assert_false(pod_cidrs_begin(&pod_cidrs, &settings, NULL, false));
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, NULL, true));
	assert_false(pod_cidrs_are_known(&pod_cidrs));
}

TEST(auto_reads_the_kernel_if_the_file_has_no_record, reset)
{
	settings.pods_source = PODS_AUTO;
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, NULL, false));
	add_pod("10.244.3.3/32");
	assert_int_equal(follow(T0), POD_CIDRS_STAY);
	assert_pods("10.244.3.3/32");
	assert_string_equal(pod_cidrs_origin(&pod_cidrs), "local");
}

TEST(local_ignores_the_record, reset)
{
	settings.pods_source = PODS_LOCAL;
	give_node("10.244.1.0/24");
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, &node, true));
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	add_pod("10.244.3.3/32");
	(void)follow(T0);
	assert_pods("10.244.3.3/32");
	assert_true(pod_cidrs_are_known(&pod_cidrs));
}

TEST(too_many_pods_are_reported_only_if_they_are_in_use, reset)
{
	settings.pods_source = PODS_LOCAL;
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, NULL, false));
	assert_false(pod_cidrs_fill(&pod_cidrs, &view, &self));
	pod_cidrs.local.is_cut = true;
	assert_true(pod_cidrs_fill(&pod_cidrs, &view, &self));
	settings.pods_source = PODS_NODE;
	give_node("10.244.1.0/24");
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, &node, false));
	pod_cidrs.local.is_cut = true;
	assert_false(pod_cidrs_fill(&pod_cidrs, &view, &self));
}

/* -- a server that reports later -- */

static void begin_with_server(enum pods_source source)
{
	settings.pods_source = source;
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, NULL, true));
}

TEST(pods_of_the_kernel_hold_until_the_server_reports, reset)
{
	begin_with_server(PODS_AUTO);
	add_pod("10.244.1.7/32");
	assert_int_equal(follow(T0), POD_CIDRS_STAY);
	assert_false(pod_cidrs_are_known(&pod_cidrs));
	assert_pods("10.244.1.7/32");
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(follow(T0), POD_CIDRS_STAY);
	assert_true(pod_cidrs_are_known(&pod_cidrs));
	assert_pods("10.244.1.0/24");
}

TEST(prefixes_of_an_earlier_agent_are_inherited, reset)
{
	struct cidr own = cidr("10.244.1.0/24"), other = cidr("10.244.2.0/24");
	struct prefix_entry entries[] = {{prefix_key_of_cidr(&own), {.class = PREFIX_LOCAL}},
					 {prefix_key_of_cidr(&other), {.class = PREFIX_NODE}}};

	begin_with_server(PODS_AUTO);
	pod_cidrs_inherit(&pod_cidrs, entries, ARRAY_SIZE(entries));
	assert_true(pod_cidrs_are_known(&pod_cidrs));
	assert_pods("10.244.1.0/24");
}

TEST(prefixes_are_not_inherited_if_there_are_more_than_a_node_object_holds, reset)
{
	struct prefix_entry entries[NODE_POD_CIDRS_MAX + 1];
	char text[CIDR_TEXT_LEN];

	for (unsigned int i = 0; i < ARRAY_SIZE(entries); i++) {
		struct cidr own;

		snprintf(text, sizeof(text), "10.244.%u.0/24", i);
		own = cidr(text);
		entries[i] =
			(struct prefix_entry){prefix_key_of_cidr(&own), {.class = PREFIX_LOCAL}};
	}
	begin_with_server(PODS_AUTO);
	pod_cidrs_inherit(&pod_cidrs, entries, ARRAY_SIZE(entries));
	assert_false(pod_cidrs_are_known(&pod_cidrs));
}

TEST(prefixes_are_not_inherited_where_the_flags_give_them, reset)
{
	struct cidr own = cidr("10.244.1.0/24");
	struct prefix_entry entry = {prefix_key_of_cidr(&own), {.class = PREFIX_LOCAL}};

	settings.pods[0] = cidr("10.244.7.0/24");
	settings.pod_count = 1;
	begin_with_server(PODS_AUTO);
	pod_cidrs_inherit(&pod_cidrs, &entry, 1);
	assert_pods("10.244.7.0/24");
}

TEST(prefix_in_use_outlives_a_record_without_one, reset)
{
	begin_with_server(PODS_NODE);
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	node.pod_cidr_count = 0;
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_pods("10.244.1.0/24");
}

TEST(unfit_prefix_is_a_trouble_and_changes_nothing, reset)
{
	struct refusal unfit = {.text = "it lies outside"};

	begin_with_server(PODS_NODE);
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_FINE);
	give_node("192.0.2.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &unfit, T0);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_BAD);
	assert_string_equal(pod_cidrs.refusal.text, "it lies outside");
	assert_pods("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_FINE);
}

TEST(missing_prefix_is_a_trouble_once_the_server_has_reported, reset)
{
	begin_with_server(PODS_NODE);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_FINE);
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_MISSING);
}

/* -- from the registry to the kernel -- */

TEST(auto_moves_after_a_minute_without_podcidrs, reset)
{
	begin_with_server(PODS_AUTO);
	assert_int_equal(follow(T0), POD_CIDRS_STAY);
	assert_int_equal(follow(T0 + 10 * LATE), POD_CIDRS_STAY); /* no report at all */
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0 + LATE / 2); /* the first one counts */
	assert_int_equal(follow(T0 + LATE - 1), POD_CIDRS_STAY);
	assert_int_equal(follow(T0 + LATE), POD_CIDRS_LATE);
	assert_true(pod_cidrs.are_local);
	assert_true(pod_cidrs_are_known(&pod_cidrs));
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_FINE);
}

TEST(auto_moves_at_once_from_podcidrs_that_cannot_be_used, reset)
{
	struct refusal unfit = {.text = "it lies outside"};

	begin_with_server(PODS_AUTO);
	give_node("192.0.2.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &unfit, T0);
	assert_int_equal(follow(T0), POD_CIDRS_REFUSED);
	assert_true(pod_cidrs.are_local);
	assert_int_equal(pod_cidrs_find_trouble(&pod_cidrs), POD_CIDRS_FINE);
}

TEST(auto_moves_when_a_pod_lies_outside_its_podcidrs, reset)
{
	char text[CIDR_TEXT_LEN];

	begin_with_server(PODS_AUTO);
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	add_pod("10.244.9.9/32");
	assert_int_equal(follow(T0), POD_CIDRS_CONTRADICTED);
	assert_string_equal(cidr_format(text, &proof), "10.244.9.9/32");
	assert_pods("10.244.9.9/32");
}

TEST(auto_never_moves_back, reset)
{
	begin_with_server(PODS_AUTO);
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	add_pod("10.244.9.9/32");
	assert_int_equal(follow(T0), POD_CIDRS_CONTRADICTED);
	view.device_count = view.route_count = 0;
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(follow(T0 + LATE), POD_CIDRS_STAY);
	assert_true(pod_cidrs.are_local);
	assert_pods(NULL);
}

TEST(node_never_moves, reset)
{
	begin_with_server(PODS_NODE);
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	assert_int_equal(follow(T0 + 2 * LATE), POD_CIDRS_STAY);
	give_node("10.244.1.0/24");
	pod_cidrs_learn(&pod_cidrs, &node, &good, T0);
	add_pod("10.244.9.9/32");
	assert_int_equal(follow(T0 + 2 * LATE), POD_CIDRS_STAY);
	assert_pods("10.244.1.0/24");
}

/* -- holes -- */

static void give_holes(uint32_t count)
{
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.244.%u.%u/32", i / 250, 1 + i % 250);
		routes[view.route_count++] = (struct route){.ifindex = 99,
							    .destination = cidr(text),
							    .has_gateway = true,
							    .is_main = true};
	}
	settings.pods[0] = cidr("10.244.0.0/20");
	settings.pod_count = 1;
	assert_true(pod_cidrs_begin(&pod_cidrs, &settings, NULL, false));
}

TEST(route_to_another_machine_is_a_hole, reset)
{
	give_holes(1);
	assert_pods("10.244.0.0/20");
	assert_int_equal(self.hole_count, 1);
	assert_ptr_equal(self.routes, routes);
	assert_int_equal(self.route_count, 1);
}

TEST(node_with_too_many_holes_has_no_pods, reset)
{
	give_holes(CLUSTER_HOLES_MAX + 1);
	assert_pods(NULL);
	assert_int_equal(self.hole_count, CLUSTER_HOLES_MAX);
}
