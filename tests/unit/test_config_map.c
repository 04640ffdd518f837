// SPDX-License-Identifier: Apache-2.0
/* keyd/registry/kube/config_map.c: the cluster's mode. */
#include "any_object.h"
#include "registry/kube/config_map.h"
#include "test.h"

TEST(mode_is_taken_or_absent_or_refused)
{
	static const struct {
		const char *text;
		bool is_taken, has_mode;
		enum datapath_mode mode;
	} cases[] = {{"{\"data\":{\"mode\":\"strict\"}}", true, true, MODE_STRICT},
		     {"{\"data\":{\"mode\":\"permissive\"}}", true, true, MODE_PERMISSIVE},
		     {"{\"data\":{\"mode\":\"\"}}", true, false, 0},
		     {"{\"data\":{}}", true, false, 0},
		     {"{}", true, false, 0},
		     {"{\"data\":{\"mode\":\"Permissive\"}}", false, false, 0},
		     {"{\"data\":{\"mode\":\"permissive \"}}", false, false, 0},
		     {"{\"data\":{\"mode\":7}}", false, false, 0}};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		json_auto_t *object = load(cases[i].text);
		enum datapath_mode mode = MODE_STRICT;
		bool has_mode = true;

		assert_int_equal(config_map_decode_mode(object, &has_mode, &mode, &refusal),
				 cases[i].is_taken);
		assert_int_equal(has_mode, cases[i].has_mode);
		if (has_mode)
			assert_int_equal(mode, cases[i].mode);
	}
}
