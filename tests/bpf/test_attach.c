/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching with real devices and real packets: no hook is ever missing while it is replaced, none
 * is attached twice, and foreign programs stay.
 */
#include "capture.h"
#include "flood.h"

#define REATTACHMENTS	  100
#define PACKETS_PER_ROUND 1000

/* -- attach, detach, restart -- */

static void attach_guards_and_detach_unguards(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	unsigned int ifindex;

	fill(loader, 0);
	assert_not_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	assert_int_equal(loader_list_attached(loader, LOADER_TO_WIRE, &ifindex, 1), 1);
	assert_int_equal(ifindex, ifindex_of("up0"));
	assert_int_equal(loader_list_attached(loader, LOADER_FROM_TUNNEL, &ifindex, 1), 0);
	assert_int_equal(is_link_pinned("to_wire", "up0"),
			 !strcmp(loader_mechanism(loader), "tcx"));

	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_not_guarded(loader);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	loader_close(loader);
}

VETH_TEST(tcx_guards_from_attach_to_detach)
{
	require_tcx();
	attach_guards_and_detach_unguards(false);
}

VETH_TEST(clsact_guards_from_attach_to_detach)
{
	attach_guards_and_detach_unguards(true);
}

static void hooks_and_maps_outlive_the_agent(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	struct prefix_key key = key_of_cidr("10.244.2.0/24");
	struct prefix_value value = {0};

	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	loader_close(loader);

	loader = open_loader(force_clsact);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	assert_int_equal(bpf_map_lookup_elem(loader_get_maps(loader)->prefixes, &key, &value), 0);
	assert_int_equal(value.class, PREFIX_PEER);
	assert_int_equal(value.peer_id, PEER_USABLE);
	assert_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_guarded(loader);
	loader_close(loader);
}

VETH_TEST(tcx_hooks_and_maps_outlive_the_agent)
{
	require_tcx();
	hooks_and_maps_outlive_the_agent(false);
}

VETH_TEST(clsact_hooks_and_maps_outlive_the_agent)
{
	hooks_and_maps_outlive_the_agent(true);
}

/* -- replacement under a flood -- */

/* Two agents take over the hook from each other during the flood. */
static void replace_under_flood(bool is_first_clsact, bool is_second_clsact)
{
	struct loader *agents[2] = {open_loader(is_first_clsact), open_loader(is_second_clsact)};
	CLEANUP_CLOSE int far = open_wire("far0");
	struct flood flood;
	uint64_t before, sent;

	fill(agents[0], 0);
	attach(agents[0], LOADER_TO_WIRE, "up0");
	before = count_drops(agents[0], DROP_PEER_UNUSABLE);
	start_flood(&flood);
	for (unsigned int round = 1; round <= REATTACHMENTS; round++) {
		attach(agents[round % 2], LOADER_TO_WIRE, "up0");
		assert_int_equal(count_attached(agents[round % 2], LOADER_TO_WIRE), 1);
		wait_for_packets(&flood, PACKETS_PER_ROUND);
	}
	sent = stop_flood(&flood);
	assert_int_equal(count_drops(agents[0], DROP_PEER_UNUSABLE) - before, sent);
	assert_int_equal(count_arrived(far), 0);
	loader_close(agents[0]);
	loader_close(agents[1]);
}

VETH_TEST(tcx_is_replaced_without_a_packet_missing_it)
{
	require_tcx();
	replace_under_flood(false, false);
}

VETH_TEST(clsact_is_replaced_without_a_packet_missing_it)
{
	replace_under_flood(true, true);
}

VETH_TEST(change_of_mechanism_lets_no_packet_through)
{
	require_tcx();
	replace_under_flood(false, true);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_false(has_clsact_filter("up0", 1, 0x70760001));
}

/* -- beside others -- */

VETH_TEST(tcx_attaches_in_front_of_others)
{
	CLEANUP_CLOSE int program = load_passer("foreign"), link = -1;
	struct loader *loader;

	require_tcx();
	link = attach_foreign_tcx(program, "up0");
	assert_true(link >= 0);
	loader = open_loader(false);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	loader_close(loader);
}

static void assert_attach_refused(struct loader *loader, enum loader_program program,
				  unsigned int ifindex, int expected, const char *part)
{
	struct capture capture = capture_stderr();
	int err = loader_attach(loader, program, ifindex);
	const char *text = end_capture(&capture);

	assert_int_equal(err, expected);
	assert_one_line_with(text, part);
}

VETH_TEST(attach_refuses_devices_it_cannot_read)
{
	struct loader *loader = open_loader(false);

	assert_attach_refused(loader, LOADER_FROM_TUNNEL, ifindex_of("up0"), -EPROTONOSUPPORT,
			      "device up0: from_tunnel cannot read this kind of device");
	assert_attach_refused(loader, LOADER_TO_WIRE, 999999, -ENODEV, "device #999999");
	loader_close(loader);
}

VETH_TEST(attach_leaves_a_foreign_filter_in_its_place)
{
	struct loader *loader = open_loader(true);
	CLEANUP_CLOSE int program = load_passer("foreign");

	attach_foreign_clsact(program, "up0", 1, 0x70760001);
	assert_attach_refused(loader, LOADER_TO_WIRE, ifindex_of("up0"), -EBUSY, "foreign filter");
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_true(has_clsact_filter("up0", 1, 0x70760001));
	loader_close(loader);
}

/* -- devices come and go -- */

static void attach_works_on_a_device_made_again_under_its_number(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	unsigned int ifindex = ifindex_of("up0");

	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	remove_device("up0");
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_int_equal(loader_attach(loader, LOADER_TO_WIRE, ifindex), -ENODEV);

	add_veth("up0", "far0", ifindex);
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 0);
	assert_not_guarded(loader);
	attach(loader, LOADER_TO_WIRE, "up0");
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	assert_guarded(loader);
	loader_close(loader);
}

VETH_TEST(tcx_returns_to_a_device_made_again_under_its_number)
{
	require_tcx();
	attach_works_on_a_device_made_again_under_its_number(false);
}

VETH_TEST(clsact_returns_to_a_device_made_again_under_its_number)
{
	attach_works_on_a_device_made_again_under_its_number(true);
}

VETH_TEST(open_sweeps_pins_of_devices_that_are_gone)
{
	struct loader *loader;
	char name[64];

	require_tcx();
	loader = open_loader(false);
	attach(loader, LOADER_TO_WIRE, "up0");
	snprintf(name, sizeof(name), "to_wire_%u", ifindex_of("up0"));
	remove_device("up0");
	assert_true(is_pinned("links", name));
	loader_close(loader);
	loader_close(open_loader(false));
	assert_false(is_pinned("links", name));
}

TEST_GROUP(setup_namespace, NULL);
