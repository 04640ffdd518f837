// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel side of podveil: all its programs, one file each, in one object, so that they are
 * loaded together and share their maps. They know addresses and peers; they never see a key.
 */
#include "from_tunnel.bpf.h"
#include "from_wire.bpf.h"
#include "to_wire.bpf.h"
#include "wire_guard.bpf.h"

char _license[] SEC("license") = "Dual BSD/GPL";
