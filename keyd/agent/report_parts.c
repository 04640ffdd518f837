// SPDX-License-Identifier: Apache-2.0
/*
 * Objects that several answers contain.
 */
#include "report_parts.h"

#define FINGERPRINT_LEN 8

json_t *report_traffic(const struct traffic *sum)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)sum->packets, "bytes",
			 (json_int_t)sum->bytes);
}

const char *report_secret(const struct agent *agent, const struct cluster_member *member)
{
	const struct secret_ids *ids = &agent->facts.self.secrets;

	if (!member->has_common_secret)
		return NULL;
	return member->secret < ids->count ? ids->items[member->secret].text : SECRET_NONE;
}

void report_refresh(struct agent *agent)
{
	if (peers_refresh_status(&agent->members, &agent->connection))
		mode_advance_ratchet(&agent->mode, &agent->members, &agent->datapath,
				     &agent->connection, &agent->verdict);
}

json_t *report_fingerprint(const struct public_key *key)
{
	char text[KEY_BASE64_LEN + 1] = "";

	if (key)
		public_key_encode(text, key);
	text[FINGERPRINT_LEN] = '\0';
	return json_string(text);
}

json_t *report_refusal(const char *text)
{
	return json_pack("{s:s}", "error", text);
}
