// SPDX-License-Identifier: Apache-2.0
/*
 * The only list that the verdict on this node depends on is that of its own reasons: no data that
 * another node writes is an input.
 */
#include "reason.h"

const char *reason_kind_name(enum reason_kind kind)
{
	static const char *const names[REASON_KINDS] = {
		[REASON_MODE] = "mode",
		[REASON_MEMORY] = "memory",
		[REASON_LINKS] = "links",
		[REASON_UPLINK] = "uplink",
		[REASON_ENDPOINT] = "endpoint",
		[REASON_DEVICE] = "device",
		[REASON_OVERLAY] = "overlay",
		[REASON_ATTACHMENT] = "attachment",
		[REASON_HOOK] = "hook",
		[REASON_GUARD] = "guard",
		[REASON_BOOT_GUARD] = "boot_guard",
		[REASON_MAPS] = "maps",
		[REASON_TUNNEL] = "tunnel",
		[REASON_PORT] = "port",
		[REASON_KEYS] = "keys",
		[REASON_SECRET] = "secret",
		[REASON_PODS] = "pods",
		[REASON_PODS_ROUTED] = "pods_routed",
		[REASON_PODS_CUT] = "pods_cut",
		[REASON_RECORD] = "record",
		[REASON_REGISTRY] = "registry",
		[WARNING_RECORD] = "peer_record",
		[WARNING_PEER] = "peer_refused",
		[WARNING_STRAGGLER] = "straggler",
		[WARNING_STRAY] = "stray_records",
		[WARNING_SECRET] = "secret_use",
		[WARNING_REGISTRY] = "registry_access",
		[WARNING_NO_GUARD] = "no_guard",
	};

	return kind < REASON_KINDS ? names[kind] : "unknown";
}

void reasons_clear(struct reasons *reasons)
{
	reasons->count = reasons->surplus = 0;
}

static bool is_among(const struct reasons *reasons, enum reason_kind kind, const char *subject)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		if (reasons->items[i].kind == kind && !strcmp(reasons->items[i].subject, subject))
			return true;
	return false;
}

void reasons_add_by(struct reasons *reasons, enum reason_kind kind, const char *subject,
		    const char *format, va_list arguments)
{
	struct reason reason = {.kind = kind};

	snprintf(reason.subject, sizeof(reason.subject), "%s", subject);
	if (is_among(reasons, kind, reason.subject))
		return;
	if (reasons->count == REASONS_MAX) {
		reasons->surplus++;
		return;
	}
	vsnprintf(reason.text, sizeof(reason.text), format, arguments);
	reasons->items[reasons->count++] = reason;
}

void reasons_add(struct reasons *reasons, enum reason_kind kind, const char *subject,
		 const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reasons_add_by(reasons, kind, subject, format, arguments);
	va_end(arguments);
}

bool reasons_have(const struct reasons *reasons, const struct reason *reason)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		if (reasons->items[i].kind == reason->kind &&
		    !strcmp(reasons->items[i].subject, reason->subject))
			return !strcmp(reasons->items[i].text, reason->text);
	return false;
}

/* -- the verdict -- */

static bool is_only_the_mode(const struct reasons *own)
{
	for (uint32_t i = 0; i < own->count; i++)
		if (own->items[i].kind != REASON_MODE)
			return false;
	return !own->surplus;
}

enum reason_verdict reasons_judge(const struct reasons *own, bool is_whole, bool has_settled)
{
	if (is_whole && !reasons_total(own))
		return VERDICT_PROTECTED;
	if (is_whole && is_only_the_mode(own))
		return VERDICT_PERMISSIVE;
	return has_settled ? VERDICT_DEGRADED : VERDICT_STARTING;
}

const char *reason_verdict_name(enum reason_verdict verdict)
{
	switch (verdict) {
	case VERDICT_STARTING:
		return "starting";
	case VERDICT_PROTECTED:
		return "protected";
	case VERDICT_PERMISSIVE:
		return "permissive";
	case VERDICT_DEGRADED:
		return "degraded";
	}
	return "unknown";
}
