// SPDX-License-Identifier: Apache-2.0
/*
 * The rules between flags, and between flags and the prefixes of pods. A contradiction is an error
 * and never resolved by a guess, which could put pods outside the tunnel.
 */
#include "settings.h"

static bool check_secret_path(const char *path)
{
	struct public_key secret;

	if (!path ||
	    (path[0] == '/' && strlen(path) < PATH_MAX && !public_key_decode(&secret, path)))
		return true;
	log_error("--cluster-secret: expected the absolute path of a file that holds the secret%s",
		  path[0] == '/' ? ", not the secret itself" : "");
	return false;
}

/* True also if they can still be found. */
static bool has_ranges(const struct settings *settings)
{
	return settings->range_count || settings->is_kubernetes;
}

static bool check_required(const struct settings *settings)
{
	if (!settings->node)
		log_error("--node is missing: expected this node's name");
	else if (!settings->registry)
		log_error(
			"--registry is missing: expected kubernetes, or file:DIR with a directory that all nodes share");
	else if (settings->kubeconfig && !settings->is_kubernetes)
		log_error("--kubeconfig needs --registry kubernetes: leave it out");
	else if (settings->requires_admission && !settings->is_kubernetes)
		log_error("--require-admission needs --registry kubernetes: leave it out");
	else if (!has_ranges(settings) && settings->mode == MODE_PERMISSIVE)
		log_error(
			"permissive mode needs the cluster's pod range, or other nodes could claim any address: "
			"give it with --cluster-cidr (for example --cluster-cidr 10.244.0.0/16)");
	else if (!has_ranges(settings))
		log_error(
			"strict mode needs the cluster's pod range, or traffic to unknown pods would leave in cleartext: "
			"give it with --cluster-cidr (for example --cluster-cidr 10.244.0.0/16)");
	else if (settings->pods_source == PODS_FLAG && !settings->pod_count)
		log_error("--pod-cidrs-from flag: expected at least one --pod-cidr");
	else if (settings->pods_source == PODS_NODE && settings->pod_count)
		log_error("--pod-cidrs-from node and --pod-cidr exclude each other: leave out one");
	else if (settings->pods_source == PODS_LOCAL && settings->pod_count)
		log_error(
			"--pod-cidrs-from local and --pod-cidr exclude each other: leave out one");
	else if (settings->rotate.every_ms &&
		 settings->rotate.every_ms < settings->rotate.overlap_ms)
		log_error(
			"--rotate-every is shorter than --overlap: a key would be replaced while its predecessor is still valid");
	else
		return true;
	return false;
}

/* An exception outside the ranges has no effect; one that equals a range leaves nothing of it. */
static bool check_excepts(const struct settings *settings)
{
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < settings->except_count; i++) {
		const struct cidr *range = NULL, *except = &settings->excepts[i];

		for (uint32_t r = 0; r < settings->range_count && !range; r++)
			if (cidr_contains(&settings->ranges[r], except))
				range = &settings->ranges[r];
		cidr_format(text, except);
		if (!range)
			log_error(
				"--except-cidr: '%s' lies outside every --cluster-cidr, so it is never encrypted: "
				"expected a part of the cluster's range",
				text);
		else if (range->prefix_len == except->prefix_len)
			log_error(
				"--except-cidr: '%s' equals that --cluster-cidr: expected a part of it",
				text);
		else
			continue;
		return false;
	}
	return true;
}

/*
 * Other nodes would send to them in cleartext, and this node would drop their packets from the
 * tunnel.
 */
static bool judge_excepts(const struct settings *settings, const struct cidr *pods,
			  const char *origin, struct refusal *refusal)
{
	char text[CIDR_TEXT_LEN], except[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < settings->except_count; i++)
		if (cidr_overlaps(&settings->excepts[i], pods))
			return refuse(
				refusal,
				"%s: '%s' overlaps --except-cidr %s: this node's own pods cannot stay in cleartext",
				origin, cidr_format(text, pods),
				cidr_format(except, &settings->excepts[i]));
	return true;
}

bool settings_judge_pods(const struct settings *settings, const struct cidr *pods, uint32_t count,
			 const char *origin, struct refusal *refusal)
{
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < count; i++) {
		bool is_inside = false;

		for (uint32_t range = 0; range < settings->range_count; range++)
			is_inside |= cidr_contains(&settings->ranges[range], &pods[i]);
		if (!is_inside)
			return refuse(
				refusal,
				"%s: '%s' lies outside every --cluster-cidr: expected a part of the cluster's range",
				origin, cidr_format(text, &pods[i]));
		if (!judge_excepts(settings, &pods[i], origin, refusal))
			return false;
	}
	return true;
}

bool settings_check_pods(const struct settings *settings, const struct cidr *pods, uint32_t count,
			 const char *origin)
{
	struct refusal refusal;

	if (settings_judge_pods(settings, pods, count, origin, &refusal))
		return true;
	log_error("%s", refusal.text);
	return false;
}

bool settings_check_ranges(const struct settings *settings)
{
	return check_excepts(settings) &&
	       settings_check_pods(settings, settings->pods, settings->pod_count, "--pod-cidr");
}

bool settings_check(const struct settings *settings)
{
	return check_required(settings) && check_secret_path(settings->cluster_secret) &&
	       (!settings->range_count || settings_check_ranges(settings));
}
