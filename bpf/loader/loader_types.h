/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that the loader shares with its parts and with place.h, which know nothing of its functions.
 */
#pragma once

enum loader_program {
	LOADER_TO_WIRE,	    /* egress of a device that leads to other nodes */
	LOADER_FROM_TUNNEL, /* ingress of podveil0 */
	LOADER_WIRE_GUARD,  /* egress of the same devices, by the other mechanism, behind to_wire */
	LOADER_FROM_WIRE,   /* ingress of the same devices */
	LOADER_PROGRAMS
};

/* File descriptors, owned by the loader. */
struct loader_maps {
	int config, prefixes, peers, peer_traffic, drops, bypass;
	int endpoints;
	int ratchet; /* names of nodes that were reached once; read and written by keyd alone */
};
