/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds, mounts and prepares the BPF file system. Mounts only at the kernel's standard place for it
 * (/sys/fs/bpf), and never creates a directory on another file system.
 */
#include "bpffs.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "log.h"

#define MOUNT_POINT "/sys/fs/bpf"

bool bpffs_contains(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

static bool is_below_mount_point(const char *path)
{
	size_t length = strlen(MOUNT_POINT);

	return !strncmp(path, MOUNT_POINT, length) && (path[length] == '/' || !path[length]);
}

static int mount_bpffs(void)
{
	int error;

	if (bpffs_contains(MOUNT_POINT))
		return 0;
	if (!mount("bpf", MOUNT_POINT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return 0;
	error = errno;
	log_error("no BPF file system at " MOUNT_POINT
		  ", and mounting one failed: %s; run as root, or mount it "
		  "beforehand: mount -t bpf bpf " MOUNT_POINT,
		  strerror(error));
	return -error;
}

/* As mkdir -p. -EMEDIUMTYPE: an existing part of the path is on another file system. */
static int make_path(const char *path)
{
	char parent[PATH_MAX];
	char *slash;
	int err;

	if (bpffs_contains(path))
		return 0;
	if (!copy_text(parent, sizeof(parent), path))
		return -ENAMETOOLONG;
	slash = strrchr(parent, '/');
	if (!access(path, F_OK) || !slash || slash == parent)
		return -EMEDIUMTYPE;
	*slash = '\0';
	err = make_path(parent);
	if (err)
		return err;
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int bpffs_make_directory(const char *path)
{
	int err = is_below_mount_point(path) ? mount_bpffs() : 0;

	if (err)
		return err;
	err = make_path(path);
	if (err == -EMEDIUMTYPE)
		log_error("'%s' is not on a BPF file system: "
			  "expected a directory below " MOUNT_POINT
			  " or below another mount of type bpf",
			  path);
	else if (err)
		log_error("cannot create the directory '%s': %s", path, strerror(-err));
	return err;
}
