/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses with a port whose traffic stays outside the tunnel (above all the API server's
 * endpoints), in the form of the BPF map `bypass`. CORE. bypass_rules.h decides which addresses
 * these are.
 */
#pragma once

#include "address.h"
#include "bpf_abi.h"

#define BYPASS_TEXT_LEN ENDPOINT_TEXT_LEN

struct bypass_entry {
	struct bypass_key key;
	enum bypass_value value;
};

struct bypass_change {
	struct bypass_entry entry;
	bool is_removal; /* else: add, or replace the value */
};

/* "10.0.0.1:6443" or "[fd00::1]:6443". False for anything else, with ret_key untouched. */
MUST_CHECK bool bypass_parse(struct bypass_key *ret_key, const char *text);
const char *bypass_format(char text[static BYPASS_TEXT_LEN], const struct bypass_key *key);

/* Why the address cannot be the endpoint of a pod or node ("loopback", ...), or NULL. */
const char *bypass_special_name(const struct bypass_key *key);

bool bypass_is_among(const struct bypass_key *keys, uint32_t count, const struct bypass_key *key);

/* Lists the changes that turn `have` into `wanted`: first those that exempt more traffic, then
 * those that exempt less, so that traffic exempt before and after stays exempt throughout.
 * ret_changes has room for wanted_count + have_count. Returns the number. */
uint32_t bypass_diff(const struct bypass_entry *wanted, uint32_t wanted_count,
		     const struct bypass_entry *have, uint32_t have_count,
		     struct bypass_change *ret_changes);
