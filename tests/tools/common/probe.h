/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a probe: its source, its destination and its marker. A tool's settings begin with
 * it, so that flags.h can pass the settings to these functions directly.
 */
#pragma once

#include "marker.h"
#include "value.h"

struct probe {
	struct address from, to; /* family 0: not given */
	uint8_t marker[MARKER_LEN];
	bool has_marker;
};

static inline bool probe_take_from(void *settings, const char *value, char *error, size_t size)
{
	return value_take_address(value, &((struct probe *)settings)->from, error, size);
}

static inline bool probe_take_to(void *settings, const char *value, char *error, size_t size)
{
	return value_take_address(value, &((struct probe *)settings)->to, error, size);
}

static inline bool probe_take_marker(void *settings, const char *value, char *error, size_t size)
{
	struct probe *probe = settings;

	probe->has_marker = marker_take(probe->marker, value, error, size);
	return probe->has_marker;
}

/* Follows --marker, because it replaces the end of the marker. */
static inline bool probe_take_number(void *settings, const char *value, char *error, size_t size)
{
	return marker_take_number(((struct probe *)settings)->marker, value, error, size);
}
