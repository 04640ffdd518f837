/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder in which pins live. A pin outside a BPF file system is impossible, and one on a file system that goes away
 * with a mount namespace is worth nothing: so the folder is made where the kernel's usual mount is, mounted if need be.
 */
#pragma once

#include "util.h"

/* True where `path` exists and lies on a BPF file system. */
bool bpffs_contains(const char *path);

/* Makes the folder and its parents; mounts /sys/fs/bpf if `path` lies below it and nothing is mounted there.
 * 0, or -errno after one line that says what to do. */
MUST_CHECK int bpffs_make_folder(const char *path);
