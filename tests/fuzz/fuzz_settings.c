// SPDX-License-Identifier: Apache-2.0
/*
 * podveil-keyd's command line, one argument per line. For any arguments, accepted settings are
 * within their bounds, no prefix has host bits, and this node's pods are inside the cluster's range
 * and outside the excepted prefixes.
 */
#include "cursor.h"
#include "settings.h"

#define ARGUMENTS_MAX 64

static void check_cidrs(const struct cidr *cidrs, uint32_t count, uint32_t max)
{
	MUST(count <= max);
	for (uint32_t i = 0; i < count; i++) {
		struct cidr cleared = cidrs[i];

		MUST(cidrs[i].prefix_len <= address_bits(cidrs[i].address.family));
		cidr_clear_host_bits(&cleared);
		MUST(cidr_is_equal(&cidrs[i], &cleared));
	}
}

static bool is_in(const struct cidr *ranges, uint32_t count, const struct cidr *inner)
{
	for (uint32_t i = 0; i < count; i++)
		if (cidr_contains(&ranges[i], inner))
			return true;
	return false;
}

static void check_settings(const struct settings *settings)
{
	check_cidrs(settings->pods, settings->pod_count, NODE_POD_CIDRS_MAX);
	check_cidrs(settings->ranges, settings->range_count, CLUSTER_CIDRS_MAX);
	check_cidrs(settings->excepts, settings->except_count, CLUSTER_CIDRS_MAX);
	MUST(settings->node && settings->registry && settings->port);
	MUST(settings->range_count || settings->is_kubernetes);
	MUST(settings->bypass_count <= SETTINGS_BYPASSES_MAX);
	MUST(settings->endpoint_count <= ANNOTATION_ENDPOINTS_MAX);
	MUST(settings->uplink_count <= SETTINGS_UPLINKS_MAX);
	MUST(settings->rotate.every_ms >= 0 && settings->rotate.overlap_ms > 0);
	/* kubeadm's range is looked up later, and all this is checked then. */
	if (!settings->range_count)
		return;
	for (uint32_t i = 0; i < settings->pod_count; i++) {
		MUST(is_in(settings->ranges, settings->range_count, &settings->pods[i]));
		MUST(!is_in(settings->excepts, settings->except_count, &settings->pods[i]));
	}
	for (uint32_t i = 0; i < settings->except_count; i++)
		MUST(is_in(settings->ranges, settings->range_count, &settings->excepts[i]));
}

/* Discards the program's own output, which is not under test; the sanitizers write to the
 * descriptor directly. */
static void be_silent(void)
{
	static bool is_silent;

	if (is_silent)
		return;
	is_silent = true;
	stderr = fopen("/dev/null", "w");
	stdout = stderr;
	MUST(stderr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = (char *)malloc(len + 1), *rest = NULL, *part;
	char *arguments[ARGUMENTS_MAX + 1] = {(char[]){"podveil-keyd"}};
	static struct settings settings;
	int count = 1;

	be_silent();
	memcpy(copy, data, len);
	copy[len] = '\0';
	for (part = strtok_r(copy, "\n", &rest); part && count < ARGUMENTS_MAX;
	     part = strtok_r(NULL, "\n", &rest))
		arguments[count++] = part;
	log_settings.level = LOG_WARNING;
	if (settings_parse(&settings, count, arguments) == FLAGS_RUN)
		check_settings(&settings);
	free(copy);
	return 0;
}
