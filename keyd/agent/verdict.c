// SPDX-License-Identifier: Apache-2.0
/*
 * Only the kinds of the reasons decide, never their texts (cluster/reason.h).
 */
#include "verdict.h"

#include <assert.h>

void verdict_begin(struct verdict *verdict)
{
	reasons_clear(&verdict->reasons);
	reasons_clear(&verdict->warnings);
	verdict->is_tight = true;
	verdict->is_cut_short = false;
}

void verdict_add_reason(struct verdict *verdict, enum reason_kind kind, const char *subject,
			const char *format, ...)
{
	va_list arguments;

	assert(!reason_kind_is_warning(kind));
	va_start(arguments, format);
	reasons_add_by(&verdict->reasons, kind, subject, format, arguments);
	va_end(arguments);
}

void verdict_add_map_failure(struct verdict *verdict)
{
	verdict_add_reason(verdict, REASON_MAPS, "", "the BPF maps cannot be written");
}

void verdict_add_warning(struct verdict *verdict, enum reason_kind kind, const char *subject,
			 const char *format, ...)
{
	va_list arguments;

	assert(reason_kind_is_warning(kind));
	va_start(arguments, format);
	reasons_add_by(&verdict->warnings, kind, subject, format, arguments);
	va_end(arguments);
}

bool verdict_is_whole(const struct verdict_facts *facts)
{
	return facts->is_listed && facts->has_identity && facts->are_pods_known &&
	       facts->is_connected;
}

struct verdict_news verdict_judge(struct verdict *verdict, const struct verdict_facts *facts)
{
	bool is_whole = verdict_is_whole(facts), had_settled = verdict->has_settled;
	enum reason_verdict before = verdict->word;

	verdict->has_settled |= is_whole;
	verdict->word = reasons_judge(&verdict->reasons, is_whole, verdict->has_settled);
	verdict->reasons_before = verdict->reasons;
	verdict->warnings_before = verdict->warnings;
	return (struct verdict_news){
		.has_settled = verdict->has_settled && !had_settled,
		.is_protected = verdict->word == VERDICT_PROTECTED && before != VERDICT_PROTECTED,
	};
}

bool verdict_allows_boot_guard_removal(const struct verdict *verdict,
				       const struct verdict_facts *facts)
{
	return verdict->is_tight && facts->has_uplink && verdict_is_whole(facts);
}

bool verdict_allows_pods(const struct verdict *verdict, const struct verdict_facts *facts)
{
	return verdict->is_tight && facts->has_uplink &&
	       (verdict->word == VERDICT_PROTECTED || verdict->word == VERDICT_PERMISSIVE);
}
