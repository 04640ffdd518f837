/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes by other programs to hooks and pins are found by asking the kernel, and repaired without
 * a moment in which a packet gets through.
 */
#include "capture.h"
#include "flood.h"

#define REATTACHMENTS	  100
#define PACKETS_PER_ROUND 1000

static void repair(struct loader *loader, enum loader_program program)
{
	assert_int_equal(loader_repair(loader, program, ifindex_of("up0")), 0);
	assert_finding(loader, program, LOADER_IN_PLACE, 0);
}

/* -- links -- */

static void every_program_is_found_missing_and_put_back(bool force_clsact)
{
	static const enum loader_program on_wires[] = {LOADER_TO_WIRE, LOADER_WIRE_GUARD,
						       LOADER_FROM_WIRE};
	struct loader *loader = open_loader(force_clsact);

	fill(loader, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(on_wires); i++) {
		assert_finding(loader, on_wires[i], LOADER_MISSING, 0);
		repair(loader, on_wires[i]);
		repair(loader, on_wires[i]);
		assert_int_equal(loader_detach(loader, on_wires[i], ifindex_of("up0")), 0);
		assert_finding(loader, on_wires[i], LOADER_MISSING, 0);
		repair(loader, on_wires[i]);
	}
	assert_guarded(loader);
	for (unsigned int i = 0; i < ARRAY_SIZE(on_wires); i++)
		assert_finding(loader, on_wires[i], LOADER_IN_PLACE, 0);
	loader_close(loader);
}

VETH_TEST(tcx_every_program_is_found_missing_and_put_back)
{
	require_tcx();
	every_program_is_found_missing_and_put_back(false);
}

VETH_TEST(clsact_every_program_is_found_missing_and_put_back)
{
	every_program_is_found_missing_and_put_back(true);
}

VETH_TEST(inspect_names_a_device_that_is_gone)
{
	struct loader *loader = open_loader(false);
	enum loader_finding finding;
	uint32_t other;

	assert_int_equal(loader_inspect(loader, LOADER_TO_WIRE, 999999, &finding, &other), -ENODEV);
	assert_int_equal(loader_inspect(loader, LOADER_WIRE_GUARD, 999999, &finding, &other),
			 -ENODEV);
	loader_close(loader);
}

VETH_TEST(link_that_another_program_detached_is_replaced)
{
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	attach(loader, LOADER_FROM_WIRE, "up0");
	detach_link_as_another_program("to_wire", "up0");
	detach_link_as_another_program("from_wire", "up0");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_finding(loader, LOADER_FROM_WIRE, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	repair(loader, LOADER_FROM_WIRE);
	assert_guarded(loader);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_string_equal(list_tcx_at("up0", ATTACH_TCX_INGRESS), "from_wire ");
	loader_close(loader);
}

/* While the foreign program is first, it hides everything from those after it. */
VETH_TEST(program_put_before_ours_is_found_and_overtaken)
{
	CLEANUP_CLOSE int program = load_accepter("foreign"), link = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	link = attach_foreign_tcx(program, "up0");
	assert_string_equal(list_tcx("up0"), "foreign to_wire ");
	assert_not_guarded(loader);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire foreign ");
	assert_guarded(loader);
	assert_true(is_link_pinned("to_wire", "up0"));
	assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	loader_close(loader);
}

/* The foreign program passes everything on, so each packet must still reach to_wire, exactly
 * once. */
VETH_TEST(overtaking_lets_no_packet_through_and_counts_none_twice)
{
	CLEANUP_CLOSE int program = load_passer("foreign"), far = open_wire("far0");
	struct loader *loader;
	struct flood flood;
	uint64_t before, sent;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	before = count_drops(loader, DROP_PEER_UNUSABLE);
	start_flood(&flood);
	for (unsigned int round = 0; round < REATTACHMENTS; round++) {
		CLEANUP_CLOSE int link = attach_foreign_tcx(program, "up0");

		assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
		repair(loader, LOADER_TO_WIRE);
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		wait_for_packets(&flood, PACKETS_PER_ROUND);
	}
	sent = stop_flood(&flood);
	assert_int_equal(count_drops(loader, DROP_PEER_UNUSABLE) - before, sent);
	assert_int_equal(count_arrived(far), 0);
	loader_close(loader);
}

VETH_TEST(link_without_its_pin_is_pinned_again)
{
	CLEANUP_CLOSE int held = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	held = hold_link("to_wire", "up0");
	unpin_link("to_wire", "up0");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_true(is_link_pinned("to_wire", "up0"));
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	unpin_link("to_wire", "up0");
	fd_close(&held);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_guarded(loader);
	loader_close(loader);
}

/* By its name the program is ours: another version of the agent left it, and its pin is lost. */
VETH_TEST(stale_copies_are_taken_over_or_removed)
{
	CLEANUP_CLOSE int old = load_passer("to_wire"), older = load_passer("to_wire");
	CLEANUP_CLOSE int before = -1, behind = -1, again = -1;
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	before = attach_foreign_tcx(old, "up0");
	behind = attach_tcx_at(older, "up0", ATTACH_TCX_EGRESS, AFTER_ALL);
	assert_string_equal(list_tcx("up0"), "to_wire to_wire to_wire ");
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	again = attach_tcx_at(old, "up0", ATTACH_TCX_EGRESS, AFTER_ALL);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_string_equal(list_tcx("up0"), "to_wire ");
	assert_guarded(loader);
	loader_close(loader);
}

/* The result must not depend on previous overtaking or on the number of restarts. */
VETH_TEST(overtaking_works_again_and_again_and_after_a_restart)
{
	CLEANUP_CLOSE int program = load_accepter("foreign");
	struct loader *loader;

	require_tcx();
	loader = open_loader(false);
	fill(loader, 0);
	for (unsigned int round = 0; round < 4; round++) {
		CLEANUP_CLOSE int link = -1;

		repair(loader, LOADER_TO_WIRE);
		link = attach_foreign_tcx(program, "up0");
		repair(loader, LOADER_TO_WIRE);
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		loader_close(loader);
		loader = open_loader(false);
		assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
		attach(loader, LOADER_TO_WIRE, "up0");
		assert_string_equal(list_tcx("up0"), "to_wire foreign ");
		assert_guarded(loader);
	}
	loader_close(loader);
}

/* -- filters -- */

VETH_TEST(filters_are_found_missing_however_they_went)
{
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	delete_qdisc("up0");
	assert_not_guarded(loader);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	repair(loader, LOADER_TO_WIRE);
	repair(loader, LOADER_WIRE_GUARD);
	assert_guarded(loader);
	delete_filter("up0", 2, FILTER_WIRE_GUARD);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	repair(loader, LOADER_WIRE_GUARD);
	loader_close(loader);
}

static void assert_repair_refused(struct loader *loader, enum loader_program program,
				  const char *part)
{
	struct capture capture = capture_stderr();
	int err = loader_repair(loader, program, ifindex_of("up0"));
	const char *text = end_capture(&capture);

	assert_int_equal(err, -EBUSY);
	assert_one_line_with(text, part);
}

/* Among filters of one priority the newest runs first: ours has to become the newest again. */
VETH_TEST(filter_put_before_ours_is_found_and_overtaken)
{
	CLEANUP_CLOSE int program = load_accepter("foreign");
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	for (unsigned int round = 0; round < 3; round++) {
		attach_foreign_clsact(program, "up0", 1, 7 + round);
		assert_not_guarded(loader);
		assert_finding(loader, LOADER_TO_WIRE, LOADER_NOT_FIRST, program_id_of(program));
		repair(loader, LOADER_TO_WIRE);
		assert_guarded(loader);
		assert_int_equal(has_clsact_filter("up0", 1, FILTER_TO_WIRE) +
					 has_clsact_filter("up0", 1, FILTER_TO_WIRE | 0x100),
				 1);
		attach(loader, LOADER_TO_WIRE, "up0");
		assert_finding(loader, LOADER_TO_WIRE, LOADER_IN_PLACE, 0);
		assert_int_equal(count_attached(loader, LOADER_TO_WIRE), 1);
	}
	assert_int_equal(loader_detach(loader, LOADER_TO_WIRE, ifindex_of("up0")), 0);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	loader_close(loader);
}

/* An agent that dies while overtaking leaves its filter twice. */
VETH_TEST(second_own_filter_is_found_and_removed)
{
	CLEANUP_CLOSE int old = load_passer("to_wire");
	struct loader *loader = open_loader(true);

	attach_both_looks(loader);
	attach_foreign_clsact(old, "up0", 1, FILTER_TO_WIRE | 0x100);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_UNPINNED, 0);
	repair(loader, LOADER_TO_WIRE);
	assert_false(has_clsact_filter("up0", 1, FILTER_TO_WIRE | 0x100));
	assert_guarded(loader);
	loader_close(loader);
}

/* A filter with a smaller priority cannot be overtaken: it is named in the log, and not touched. */
VETH_TEST(filter_with_a_smaller_priority_is_found_and_named)
{
	CLEANUP_CLOSE int program = load_passer("foreign");
	struct loader *loader = open_loader(true);

	attach_foreign_clsact(program, "up0", 5, 8);
	attach_both_looks(loader);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_IN_PLACE, 0);
	attach_foreign_clsact(program, "up0", 1, 7);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_NOT_FIRST, program_id_of(program));
	assert_repair_refused(loader, LOADER_WIRE_GUARD, "tc filter del");
	assert_true(has_clsact_filter("up0", 1, 7));
	delete_filter("up0", 1, 7);
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_IN_PLACE, 0);
	assert_int_equal(count_attached(loader, LOADER_WIRE_GUARD), 1);
	loader_close(loader);
}

VETH_TEST(filters_of_other_kinds_before_ours_are_found_too)
{
	struct loader *loader = open_loader(true);

	attach(loader, LOADER_WIRE_GUARD, "up0");
	if (!system("tc filter add dev up0 egress pref 1 protocol 802.1q u32 match u32 0 0 2>&1 | "
		    "grep -q 'classifier not found'")) {
		loader_close(loader);
		print_message("# this kernel has no u32 filters\n");
		skip();
	}
	COMMAND("tc filter show dev up0 egress | grep -q u32");
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_NOT_FIRST, 0);
	loader_close(loader);
}

VETH_TEST(own_filter_is_found_missing_if_another_has_its_place)
{
	CLEANUP_CLOSE int program = load_passer("foreign");
	struct loader *loader = open_loader(true);

	attach_foreign_clsact(program, "up0", 1, FILTER_TO_WIRE);
	assert_finding(loader, LOADER_TO_WIRE, LOADER_MISSING, 0);
	assert_repair_refused(loader, LOADER_TO_WIRE, "foreign filter");
	loader_close(loader);
}

/* -- pins of maps -- */

VETH_TEST(map_pins_that_are_gone_come_back_with_the_same_maps)
{
	struct loader *loader = open_loader(false), *next;
	struct prefix_key key = key_of_cidr("10.244.2.0/24");
	struct prefix_value value = {0};
	unsigned int repaired = 4711;

	fill(loader, 0);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 0);
	COMMAND("rm -r %s/maps", bpffs);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, PINNED_MAPS);
	unpin("maps", "prefixes");
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 1);
	next = open_loader(false);
	assert_int_equal(bpf_map_lookup_elem(loader_get_maps(next)->prefixes, &key, &value), 0);
	assert_int_equal(value.class, PREFIX_PEER);
	loader_close(next);
	loader_close(loader);
}

VETH_TEST(foreign_map_pin_in_place_of_our_own_is_replaced)
{
	struct loader *loader = open_loader(false);
	CLEANUP_CLOSE int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 4, 1, NULL);
	unsigned int repaired = 0;
	char path[256];

	unpin("maps", "config");
	snprintf(path, sizeof(path), "%s/maps/config", bpffs);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	assert_int_equal(loader_repair_pins(loader, &repaired), 0);
	assert_int_equal(repaired, 1);
	loader_close(loader);
	loader_close(open_loader(false));
}

TEST_GROUP(setup_namespace, NULL);
