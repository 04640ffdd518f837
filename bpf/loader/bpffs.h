/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory that holds the pins. A pin outside a BPF file system is impossible, and one on a
 * file system that disappears with a mount namespace is useless. So the directory is created below
 * the kernel's usual mount point, which is mounted if necessary.
 */
#pragma once

#include "util.h"

/* True if `path` exists and is on a BPF file system. */
bool bpffs_contains(const char *path);

/* Creates the directory and its parents; mounts /sys/fs/bpf if `path` is below it and nothing is
 * mounted there. Returns 0, or -errno after one line of advice in the log. */
MUST_CHECK int bpffs_make_directory(const char *path);
