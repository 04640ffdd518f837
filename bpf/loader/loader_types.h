/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of loader.h that place.h and loader_parts.h need as well, without including it.
 */
#pragma once

enum loader_program {
	LOADER_TO_WIRE,	    /* egress of a device that leads to other nodes */
	LOADER_FROM_TUNNEL, /* ingress of podveil0 */
	LOADER_WIRE_GUARD,  /* egress of the same devices, after to_wire, by the other mechanism */
	LOADER_FROM_WIRE,   /* ingress of the same devices */
	LOADER_PROGRAMS
};

/* File descriptors, owned by the loader. */
struct loader_maps {
	int config, prefixes, peers, peer_traffic, drops, bypass;
	int endpoints;
	int ratchet; /* names of nodes that were reached once; used by keyd alone */
};
