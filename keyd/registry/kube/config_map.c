// SPDX-License-Identifier: Apache-2.0
/*
 * The ConfigMap podveil, written by the user: an invalid value is refused and never guessed,
 * because it decides whether pods may send cleartext.
 */
#include "config_map.h"

#include "cluster/field.h"

bool config_map_decode_mode(const json_t *object, bool *ret_has_mode, enum datapath_mode *ret_mode,
			    struct refusal *refusal)
{
	const json_t *data = json_object_get(object, "data");
	const json_t *value = json_object_get(data, "mode");
	const char *text = json_string_value(value);
	struct quote quoted;

	*ret_has_mode = false;
	if (!value || (text && !*text))
		return true;
	if (!text || (strcmp(text, "strict") && strcmp(text, "permissive")))
		return refuse(refusal, "'mode' is %s: expected strict or permissive",
			      text ? quote(&quoted, text) : field_type_name(value));
	*ret_has_mode = true;
	*ret_mode = *text == 'p' ? MODE_PERMISSIVE : MODE_STRICT;
	return true;
}
