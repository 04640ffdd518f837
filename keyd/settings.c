// SPDX-License-Identifier: Apache-2.0
/*
 * The flags, one small function each. A bad value is reported here, before anything in the kernel
 * is touched; settings_rules.c has the rules between flags. Names that are reserved for a later
 * version are refused with a message of their own.
 */
#include "settings.h"

#define HOUR_MS		(3600 * 1000LL)
#define DURATION_MAX_MS (365 * 24 * HOUR_MS)
#define OVERLAP_MIN_MS	5000
#define OVERLAP_MAX_MS	(24 * HOUR_MS)
#ifdef PODVEIL_CRASH_POINTS /* a build for tests, which cannot wait for minutes */
#define ROTATE_EVERY_MIN_MS 1
#else
#define ROTATE_EVERY_MIN_MS (5 * 60 * 1000)
#endif

#define TAKE(name) \
	static bool take_##name(void *context, const char *value, char *error, size_t size)

TAKE(node)
{
	struct settings *settings = context;

	if (!node_is_name(value))
		return flags_refuse(error, size, "expected a node's name: a-z, 0-9, '.' and '-'");
	settings->node = value;
	return true;
}

TAKE(registry)
{
	struct settings *settings = context;

	settings->is_kubernetes = !strcmp(value, "kubernetes");
	if (!settings->is_kubernetes && (strncmp(value, "file:", 5) || !value[5]))
		return flags_refuse(error, size, "expected kubernetes or file:DIR");
	settings->registry = value;
	return true;
}

TAKE(mode)
{
	struct settings *settings = context;
	bool is_permissive = !strcmp(value, "permissive");

	settings->mode = is_permissive ? MODE_PERMISSIVE : MODE_STRICT;
	return is_permissive || !strcmp(value, "strict") ||
	       flags_refuse(error, size, "expected strict or permissive");
}

static bool take_device_name(char ret_name[static IF_NAMESIZE], const char *value, char *error,
			     size_t size)
{
	if (!value[0] || strlen(value) >= IF_NAMESIZE || strpbrk(value, "/ \t\n:") ||
	    value[0] == '.')
		return flags_refuse(error, size,
				    "expected a device's name of at most %d characters",
				    IF_NAMESIZE - 1);
	copy_text(ret_name, IF_NAMESIZE, value);
	return true;
}

TAKE(uplink)
{
	struct settings *settings = context;
	CLEANUP_FREE char *copy = strdup(value);
	char *rest = NULL;

	settings->uplink_count = 0;
	settings->is_uplink_auto = !strcmp(value, "auto");
	if (settings->is_uplink_auto)
		return true;
	for (char *name = copy ? strtok_r(copy, ",", &rest) : NULL; name;
	     name = strtok_r(NULL, ",", &rest)) {
		if (settings->uplink_count == SETTINGS_UPLINKS_MAX)
			return flags_refuse(error, size, "expected at most %d devices",
					    SETTINGS_UPLINKS_MAX);
		if (!take_device_name(settings->uplinks[settings->uplink_count++], name, error,
				      size))
			return false;
	}
	return settings->uplink_count ||
	       flags_refuse(error, size, "expected auto, or devices such as eth0,eth1");
}

TAKE(interface)
{
	struct settings *settings = context;
	char name[IF_NAMESIZE];

	settings->interface = value;
	return take_device_name(name, value, error, size);
}

TAKE(pod_cidrs_from)
{
	static const char *const names[] = {[PODS_AUTO] = "auto",
					    [PODS_NODE] = "node",
					    [PODS_LOCAL] = "local",
					    [PODS_FLAG] = "flag"};
	struct settings *settings = context;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(value, names[i])) {
			settings->pods_source = (enum pods_source)i;
			return true;
		}
	return flags_refuse(error, size, "expected auto, node, local or flag");
}

static bool take_cidr(struct cidr *cidrs, uint32_t *count, uint32_t max, const char *value,
		      char *error, size_t size)
{
	char text[CIDR_TEXT_LEN];
	const char *special;
	struct cidr cidr;

	if (!cidr_parse(&cidr, value))
		return flags_refuse(error, size,
				    "expected a prefix such as 10.244.0.0/16 or fd00:10:244::/48");
	special = prefix_special_name(&cidr);
	if (special)
		return flags_refuse(error, size, "contains %s addresses: expected a prefix of pods",
				    special);
	for (uint32_t i = 0; i < *count; i++)
		if (cidr_overlaps(&cidrs[i], &cidr))
			return flags_refuse(error, size,
					    "overlaps %s, given before: expected disjoint prefixes",
					    cidr_format(text, &cidrs[i]));
	if (*count == max)
		return flags_refuse(error, size, "expected at most %u prefixes", max);
	cidrs[(*count)++] = cidr;
	return true;
}

TAKE(pod_cidr)
{
	struct settings *settings = context;

	return take_cidr(settings->pods, &settings->pod_count, NODE_POD_CIDRS_MAX, value, error,
			 size);
}

TAKE(cluster_cidr)
{
	struct settings *settings = context;

	return take_cidr(settings->ranges, &settings->range_count, CLUSTER_CIDRS_MAX, value, error,
			 size);
}

TAKE(except_cidr)
{
	struct settings *settings = context;

	return take_cidr(settings->excepts, &settings->except_count, CLUSTER_CIDRS_MAX, value,
			 error, size);
}

TAKE(bypass)
{
	struct settings *settings = context;
	struct bypass_key key;
	const char *special;

	if (!bypass_parse(&key, value))
		return flags_refuse(
			error, size,
			"expected an address and a port such as 10.0.0.1:6443 or [fd00::1]:6443");
	special = bypass_special_name(&key);
	if (special)
		return flags_refuse(error, size, "is %s: expected a unicast address of the network",
				    special);
	if (bypass_is_among(settings->bypasses, settings->bypass_count, &key))
		return flags_refuse(error, size, "is given twice");
	if (settings->bypass_count == SETTINGS_BYPASSES_MAX)
		return flags_refuse(error, size, "expected at most %d addresses with a port",
				    SETTINGS_BYPASSES_MAX);
	settings->bypasses[settings->bypass_count++] = key;
	return true;
}

TAKE(endpoint)
{
	struct settings *settings = context;
	struct address address;
	const char *special;
	struct cidr cidr;

	if (!address_parse(&address, value))
		return flags_refuse(error, size,
				    "expected an IP address at which other nodes reach this node");
	cidr = cidr_of_address(&address);
	special = prefix_special_name(&cidr);
	if (special)
		return flags_refuse(
			error, size,
			"is %s: expected an address at which other nodes reach this node", special);
	if (settings->endpoint_count == ANNOTATION_ENDPOINTS_MAX)
		return flags_refuse(error, size, "expected at most %d endpoints",
				    ANNOTATION_ENDPOINTS_MAX);
	settings->endpoints[settings->endpoint_count++] = address;
	return true;
}

TAKE(port)
{
	struct settings *settings = context;
	char *end;
	unsigned long port = strtoul(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end || port < 1 || port > UINT16_MAX)
		return flags_refuse(error, size, "expected a UDP port from 1 to 65535");
	settings->port = (uint16_t)port;
	return true;
}

static bool take_path(const char **ret_path, const char *value, size_t max_len, char *error,
		      size_t size)
{
	if (value[0] != '/' || strlen(value) > max_len)
		return flags_refuse(error, size, "expected an absolute path of at most %zu bytes",
				    max_len);
	*ret_path = value;
	return true;
}

#define SOCKET_PATH_MAX 107 /* sun_path without its zero */

TAKE(tunnel)
{
	return take_path(&((struct settings *)context)->tunnel, value, SOCKET_PATH_MAX, error,
			 size);
}

TAKE(control)
{
	return take_path(&((struct settings *)context)->control, value, SOCKET_PATH_MAX, error,
			 size);
}

TAKE(bpffs)
{
	return take_path(&((struct settings *)context)->bpffs, value, 1024, error, size);
}

TAKE(log_level)
{
	(void)context;
	return log_parse_level(&log_settings.level, value) ||
	       flags_refuse(error, size, "expected error, warning, info or debug");
}

TAKE(log_format)
{
	(void)context;
	log_settings.is_json = !strcmp(value, "json");
	return log_settings.is_json || !strcmp(value, "text") ||
	       flags_refuse(error, size, "expected text or json");
}

TAKE(xdp)
{
	(void)context;
	if (!strcmp(value, "on"))
		return flags_refuse(error, size, "is not in this version: expected off");
	return !strcmp(value, "off") || flags_refuse(error, size, "expected off");
}

/* "90s", "24h", "1h30m", or "0". */
static bool parse_duration(int64_t *ret_ms, const char *value)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
	int64_t sum_ms = 0;

	if (!strcmp(value, "0")) {
		*ret_ms = 0;
		return true;
	}
	do {
		size_t digits = strspn(value, "0123456789"), unit = 0, letters;
		int64_t number = strtoll(value, NULL, 10);

		if (!digits || digits > 9)
			return false;
		value += digits;
		letters = strspn(value, "hms");
		while (unit < ARRAY_SIZE(units) && (strlen(units[unit].name) != letters ||
						    strncmp(units[unit].name, value, letters)))
			unit++;
		if (unit == ARRAY_SIZE(units))
			return false;
		sum_ms += number * units[unit].ms;
		value += letters;
	} while (*value);
	*ret_ms = sum_ms;
	return true;
}

TAKE(rotate_every)
{
	struct rotate_settings *rotate = &((struct settings *)context)->rotate;

	if (!parse_duration(&rotate->every_ms, value))
		return flags_refuse(
			error, size,
			"expected a duration such as 24h, 90m or 1h30m, or 0 for never");
	return !rotate->every_ms ||
	       (rotate->every_ms >= ROTATE_EVERY_MIN_MS && rotate->every_ms <= DURATION_MAX_MS) ||
	       flags_refuse(error, size, "expected 0 for never, or from 5m to 8760h (a year)");
}

TAKE(overlap)
{
	struct rotate_settings *rotate = &((struct settings *)context)->rotate;

	if (!parse_duration(&rotate->overlap_ms, value))
		return flags_refuse(error, size, "expected a duration such as 10m or 90s");
	return (rotate->overlap_ms >= OVERLAP_MIN_MS && rotate->overlap_ms <= OVERLAP_MAX_MS) ||
	       flags_refuse(error, size, "expected from 5s to 24h");
}

TAKE(overlap_strict)
{
	(void)value;
	(void)error;
	(void)size;
	((struct settings *)context)->rotate.is_strict = true;
	return true;
}

/*
 * settings_rules.c checks it: an error here would print the value, which may be the secret itself.
 */
TAKE(cluster_secret)
{
	(void)error;
	(void)size;
	((struct settings *)context)->cluster_secret = value;
	return true;
}

TAKE(kubeconfig)
{
	return take_path(&((struct settings *)context)->kubeconfig, value, PATH_MAX - 1, error,
			 size);
}

TAKE(require_admission)
{
	(void)value;
	(void)error;
	(void)size;
	((struct settings *)context)->requires_admission = true;
	return true;
}

TAKE(metrics)
{
	(void)context;
	(void)value;
	return flags_refuse(error, size, "this flag is not in this version: leave it out");
}

#define PORT_TEXT_(port) #port
#define PORT_TEXT(port)	 PORT_TEXT_(port)

static const struct flag flags[] = {
	{"node", "NAME", "name of this node (required)", false, take_node},
	{"registry", "kubernetes|file:DIR", "where nodes publish their records (required)", false,
	 take_registry},
	{"kubeconfig", "PATH",
	 "credentials for the API server (default the service account of the pod)", false,
	 take_kubeconfig},
	{"mode", "strict|permissive",
	 "never send cleartext (strict), or only to nodes never reached (permissive) (default strict)",
	 false, take_mode},
	{"uplink", "auto|DEV,...", "devices that lead to other nodes (default auto)", false,
	 take_uplink},
	{"pod-cidrs-from", "auto|node|local|flag",
	 "source of this node's own pod prefixes (default auto)", false, take_pod_cidrs_from},
	{"pod-cidr", "CIDR", "pod prefix of this node", true, take_pod_cidr},
	{"cluster-cidr", "CIDR",
	 "pod range of the whole cluster (required, unless kubeadm recorded it)", true,
	 take_cluster_cidr},
	{"except-cidr", "CIDR", "part of the cluster's pod range that stays in cleartext", true,
	 take_except_cidr},
	{"bypass", "ADDR:PORT",
	 "never tunnel TCP or UDP to or from this address and port (for example the API server)",
	 true, take_bypass},
	{"endpoint", "IP",
	 "address at which other nodes reach this node (default the addresses of the uplinks)",
	 true, take_endpoint},
	{"port", "N", "UDP port of the tunnel (default " PORT_TEXT(DEFAULT_PORT) ")", false,
	 take_port},
	{"interface", "NAME", "name of the tunnel device (default " DEFAULT_INTERFACE ")", false,
	 take_interface},
	{"tunnel", "PATH", "socket of podveil-tunnel (default " TUNNEL_DEFAULT_CONTROL ")", false,
	 take_tunnel},
	{"control", "PATH", "socket for the podveil command (default " KEYD_DEFAULT_CONTROL ")",
	 false, take_control},
	{"bpffs", "DIR",
	 "directory in which BPF programs and maps are pinned (default " DEFAULT_BPFFS ")", false,
	 take_bpffs},
	{"rotate-every", "DURATION",
	 "age at which this node's key is rotated; 0: only on request (default 24h)", false,
	 take_rotate_every},
	{"overlap", "DURATION",
	 "how long the previous key remains valid after a rotation (default 10m)", false,
	 take_overlap},
	{"overlap-strict", NULL,
	 "end the overlap on time, even if a node still needs the previous key", false,
	 take_overlap_strict},
	{"cluster-secret", "FILE",
	 "secret of all nodes, 32 bytes in base64 on a line; two lines during a change, newest first",
	 false, take_cluster_secret},
	{"require-admission", NULL,
	 "publish nothing if this node's token may write other Nodes, or other annotations", false,
	 take_require_admission},
	{"log-level", "LEVEL", "error, warning, info or debug (default info)", false,
	 take_log_level},
	{"log-format", "text|json", "format of the log on stderr (default text)", false,
	 take_log_format},
	/* Reserved names. */
	{"xdp", "off", NULL, false, take_xdp},
	{"metrics", "ADDR:PORT", NULL, false, take_metrics},
	{0},
};

bool settings_take_ranges(struct settings *settings, const char *text, struct refusal *refusal)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *rest = NULL, error[REFUSAL_LEN / 2];
	struct quote quoted;

	for (char *part = copy ? strtok_r(copy, ", ", &rest) : NULL; part;
	     part = strtok_r(NULL, ", ", &rest))
		if (!take_cluster_cidr(settings, part, error, sizeof(error)))
			return refuse(refusal, "%s: %s", quote(&quoted, part), error);
	return settings->range_count ||
	       refuse(refusal, "%s contains no prefix", quote(&quoted, text));
}

enum flags_outcome settings_parse(struct settings *settings, int argc, char **argv)
{
	static const char usage[] =
		"usage: podveil-keyd --node NAME --registry kubernetes|file:DIR [FLAG]...\n\n"
		"The key daemon of a node: creates, publishes and rotates its keys, and keeps the tunnel\n"
		"and the BPF programs up to date.";
	enum flags_outcome outcome;

	*settings = (struct settings){
		.interface = DEFAULT_INTERFACE,
		.tunnel = TUNNEL_DEFAULT_CONTROL,
		.control = KEYD_DEFAULT_CONTROL,
		.bpffs = DEFAULT_BPFFS,
		.port = DEFAULT_PORT,
		.is_uplink_auto = true,
		.rotate = {.every_ms = 24 * HOUR_MS, .overlap_ms = 10 * 60 * 1000},
	};
	outcome = flags_parse(flags, usage, settings, argc, argv, NULL);
	if (outcome == FLAGS_RUN && !settings_check(settings))
		return FLAGS_WRONG;
	return outcome;
}
