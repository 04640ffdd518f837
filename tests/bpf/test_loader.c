/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading and cleanup: a refusal is one clear line, and cleanup removes everything that is ours and
 * nothing else.
 */
#include "capture.h"
#include "veth.h"

#include <sys/wait.h>

#define NOBODY 65534

/* -- refusals: one clear line each -- */

static void assert_open_refused(const char *folder, int expected, const char *part)
{
	struct loader_options options = {.bpffs = folder, .clamp_mss = true};
	struct capture capture = capture_stderr();
	struct loader *loader = NULL;
	int err = loader_open(&loader, &options);
	const char *text = end_capture(&capture);

	assert_int_equal(err, expected);
	assert_null(loader);
	assert_one_line_with(text, part);
}

VETH_TEST(open_refuses_a_pinned_map_of_another_shape)
{
	CLEANUP_CLOSE int map = -1;
	char path[256];

	loader_close(open_loader(false));
	snprintf(path, sizeof(path), "%s/maps/config", bpffs);
	assert_int_equal(unlink(path), 0);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 12, 1, NULL);
	assert_int_equal(bpf_obj_pin(map, path), 0);
	assert_open_refused(bpffs, -EPROTO, "podveil cleanup");
	assert_open_refused(bpffs, -EPROTO, path);
}

VETH_TEST(open_refuses_maps_of_another_version)
{
	struct datapath_config config = {.abi_version = MAP_ABI_VERSION + 1};
	struct loader *loader = open_loader(false);
	uint32_t key = 0;

	assert_int_equal(
		bpf_map_update_elem(loader_get_maps(loader)->config, &key, &config, BPF_ANY), 0);
	loader_close(loader);
	assert_open_refused(bpffs, -EPROTO, "podveil cleanup");
}

VETH_TEST(open_refuses_a_folder_that_is_on_no_bpffs)
{
	char folder[64], expected[128];

	snprintf(folder, sizeof(folder), "/tmp/podveil-test-%d", (int)getpid());
	snprintf(expected, sizeof(expected), "'%s/maps' is not on a BPF file system", folder);
	assert_open_refused(folder, -EMEDIUMTYPE, expected);
	assert_int_equal(access(folder, F_OK), -1);
	assert_open_refused("relative", -EMEDIUMTYPE,
			    "'relative/maps' is not on a BPF file system");
}

VETH_TEST(open_names_the_privilege_that_a_user_lacks)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct loader_options options = {.bpffs = bpffs};
		struct capture capture = capture_stderr();
		struct loader *loader = NULL;
		int err = setresuid(NOBODY, NOBODY, NOBODY) ? 0 : loader_open(&loader, &options);
		const char *text = end_capture(&capture), *newline = strchr(text, '\n');

		_exit(err == -EPERM && strstr(text, "run as root") && newline && !newline[1] ? 0
											     : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* -- cleanup -- */

static void put_foreign_pin(int program_fd)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/foreign", bpffs);
	assert_int_equal(bpf_obj_pin(program_fd, path), 0);
}

static void drop_foreign_pin(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/foreign", bpffs);
	assert_int_equal(unlink(path), 0);
}

VETH_TEST(cleanup_removes_ours_and_nothing_else)
{
	CLEANUP_CLOSE int program = load_passer("to_wire_foreign"), link = -1;
	struct loader *loader, *other;
	unsigned int removed;

	add_veth("up1", "far1", 0);
	attach_foreign_clsact(program, "up0", 1, 7);
	attach_foreign_clsact(program, "up0", 5, 0x70760001);
	if (has_tcx)
		link = attach_foreign_tcx(program, "up0");
	loader = open_loader(false);
	fill(loader, 0);
	attach(loader, LOADER_TO_WIRE, "up0");
	other = open_loader(true);
	attach(other, LOADER_TO_WIRE, "up1");
	put_foreign_pin(program);

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, 2 + PINNED_MAPS);
	assert_int_equal(
		count_attached(loader, LOADER_TO_WIRE) + count_attached(other, LOADER_TO_WIRE), 0);
	assert_not_guarded(loader);
	assert_true(has_clsact_filter("up0", 1, 7));
	assert_true(has_clsact_filter("up0", 5, 0x70760001));
	if (has_tcx)
		assert_string_equal(list_tcx("up0"), "to_wire_foreign ");
	assert_true(is_pinned("maps", "foreign"));
	assert_false(is_pinned("maps", "prefixes"));
	assert_false(is_pinned("links", ""));
	drop_foreign_pin();

	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(access(bpffs, F_OK), -1);
	loader_close(loader);
	loader_close(other);
}

VETH_TEST(cleanup_without_anything_is_no_error)
{
	unsigned int removed = 1;

	assert_int_equal(loader_cleanup("/nonexistent/podveil", &removed), 0);
	assert_int_equal(removed, 0);
}

static void cleanup_removes_all_programs_also_without_a_pin(bool force_clsact)
{
	struct loader *loader = open_loader(force_clsact);
	CLEANUP_CLOSE int held = -1;
	unsigned int removed, hooks = 4;
	int tun = open_tun("podveil0", 0);

	attach_both_looks(loader);
	attach(loader, LOADER_FROM_WIRE, "up0");
	attach(loader, LOADER_FROM_TUNNEL, "podveil0");
	if (!force_clsact) {
		held = hold_link("from_wire", "up0");
		unpin_link("from_wire", "up0");
	}
	assert_int_equal(loader_cleanup(bpffs, &removed), 0);
	assert_int_equal(removed, hooks + PINNED_MAPS);
	assert_not_guarded(loader);
	assert_string_equal(list_tcx("up0"), "");
	assert_string_equal(list_tcx_at("up0", ATTACH_TCX_INGRESS), "");
	assert_finding(loader, LOADER_WIRE_GUARD, LOADER_MISSING, 0);
	assert_int_equal(access(bpffs, F_OK), -1);
	close(tun);
	loader_close(loader);
}

VETH_TEST(tcx_cleanup_removes_all_programs_also_without_a_pin)
{
	require_tcx();
	cleanup_removes_all_programs_also_without_a_pin(false);
}

VETH_TEST(clsact_cleanup_removes_all_programs)
{
	cleanup_removes_all_programs_also_without_a_pin(true);
}

TEST_GROUP(setup_namespace, NULL);
