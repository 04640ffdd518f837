// SPDX-License-Identifier: Apache-2.0
/*
 * The EndpointSlices of the service `kubernetes` (discovery.k8s.io/v1). The addresses taken from
 * them stay outside the tunnel, so an address that cannot be an API server's is refused, and with
 * it the slice.
 */
#include "endpoint_slice.h"

static bool add_server(struct bypass_key *keys, uint32_t max, uint32_t *count, const char *text,
		       json_int_t port, struct refusal *refusal)
{
	char endpoint[BYPASS_TEXT_LEN];
	struct bypass_key key;
	struct address address;
	struct quote quoted;

	if (!address_parse(&address, text))
		return refuse(refusal, "'endpoints' holds %s: expected IP addresses",
			      quote(&quoted, text));
	snprintf(endpoint, sizeof(endpoint), address.family == AF_INET6 ? "[%s]:%d" : "%s:%d", text,
		 (int)port);
	if (!bypass_parse(&key, endpoint) || bypass_special_name(&key))
		return refuse(refusal,
			      "'endpoints' holds %s: expected unicast addresses of the network",
			      quote(&quoted, endpoint));
	if (bypass_is_among(keys, *count, &key))
		return true;
	if (*count == max)
		return refuse(refusal, "'endpoints' has more than %u addresses with ports", max);
	keys[(*count)++] = key;
	return true;
}

static bool is_tcp_port(const json_t *port, json_int_t *ret_number)
{
	const char *protocol = json_string_value(json_object_get(port, "protocol"));

	*ret_number = json_integer_value(json_object_get(port, "port"));
	return (!protocol || !strcmp(protocol, "TCP")) && *ret_number > 0 &&
	       *ret_number <= UINT16_MAX;
}

static bool add_servers(struct bypass_key *keys, uint32_t max, uint32_t *count,
			const json_t *addresses, const json_t *ports, struct refusal *refusal)
{
	json_t *address, *port;
	json_int_t number;
	size_t a, p;

	json_array_foreach((json_t *)addresses, a, address)
		json_array_foreach((json_t *)ports, p, port)
			if (is_tcp_port(port, &number) && json_is_string(address) &&
			    !add_server(keys, max, count, json_string_value(address), number,
					refusal))
				return false;
	return true;
}

/* Endpoints that are not ready count too: a starting server must be reachable. */
bool endpoint_slice_decode(const json_t *object, struct bypass_key *ret_keys, uint32_t max,
			   uint32_t *ret_count, struct refusal *refusal)
{
	const json_t *ports = json_object_get(object, "ports");
	uint32_t count = 0;
	json_t *endpoint;
	size_t i;

	json_array_foreach(json_object_get(object, "endpoints"), i, endpoint)
		if (!add_servers(ret_keys, max, &count, json_object_get(endpoint, "addresses"),
				 ports, refusal))
			return false;
	*ret_count = count;
	return true;
}
