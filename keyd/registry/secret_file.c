// SPDX-License-Identifier: Apache-2.0
/*
 * Kubernetes replaces the files of a mounted Secret by renaming a symbolic link beside them,
 * editors rename a new file over the old one, people write in place. So the whole directory is
 * watched, and each pass of the agent compares the file at the path with the one that was read. Its
 * text is read into locked memory and wiped after parsing.
 */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>

#include "log.h"
#include "whole_file.h"

/* One allocation of sodium_malloc: locked, guarded, left out of core dumps, wiped when it is
 * freed. */
struct secret_memory {
	struct secrets used, fresh;
	char text[SECRET_FILE_MAX + 1]; /* one byte more, to detect a file that is too large */
};

void secret_file_init(struct secret_file *file)
{
	*file = (struct secret_file){.fd = -1};
}

const struct secrets *secret_file_secrets(const struct secret_file *file)
{
	return file->memory ? &file->memory->used : NULL;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       !memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim));
}

static void judge_mode(struct secret_file *file)
{
	file->warning = (struct refusal){0};
	if (file->seen.st_mode & (S_IRWXG | S_IRWXO))
		refusal_write(
			&file->warning,
			"--cluster-secret %s has mode %04o: users other than its owner may access "
			"it, expected 0600",
			file->path, file->seen.st_mode & 07777);
}

/* Reads the file's content into `fresh`, or sets the reason. */
static bool load(struct secret_file *file, struct refusal *refusal)
{
	struct secret_memory *memory = file->memory;
	/* `seen` is all zero if no file is found, so that a file that returns unchanged is read
	 * again. */
	ssize_t len = whole_file_read(AT_FDCWD, file->path, 0, memory->text, sizeof(memory->text),
				      &file->seen);
	bool is_good;

	if (len == -EINVAL)
		return refuse(refusal, "not a regular file");
	if (len < 0)
		return refuse(refusal, "the file cannot be read: %s", strerror((int)-len));
	is_good = secret_parse(&memory->fresh, memory->text, (size_t)len, refusal);
	sodium_memzero(memory->text, sizeof(memory->text));
	return is_good;
}

static void use_fresh(struct secret_file *file)
{
	struct secret_memory *memory = file->memory;
	char text[SECRET_IDS_TEXT_LEN];
	struct secret_ids ids, before;

	secret_list_ids(&ids, &memory->fresh);
	secret_list_ids(&before, &memory->used);
	sodium_memzero(&memory->used, sizeof(memory->used));
	memory->used = memory->fresh;
	sodium_memzero(&memory->fresh, sizeof(memory->fresh));
	if (!memcmp(&ids, &before, sizeof(ids)))
		return;
	log_info("cluster secret: %s", secret_ids_format(text, &ids));
	if (secret_accepts_none(&ids))
		log_warning("--cluster-secret %s contains none: nodes without a secret are "
			    "accepted",
			    file->path);
}

static void follow_directory(struct secret_file *file)
{
	char directory[PATH_MAX];
	char *slash;

	copy_text(directory, sizeof(directory), file->path);
	slash = strrchr(directory, '/');
	slash[slash == directory] = '\0';
	file->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (file->fd < 0 || inotify_add_watch(file->fd, directory,
					      IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ATTRIB |
						      IN_ONLYDIR) < 0) {
		log_warning("cannot watch '%s' (%s): its files are checked periodically", directory,
			    strerror(errno));
		fd_close(&file->fd);
	}
}

bool secret_file_open(struct secret_file *file, const char *path)
{
	struct refusal refusal;

	if (!path)
		return true;
	file->path = path;
	file->memory = sodium_malloc(sizeof(*file->memory));
	if (!file->memory) {
		log_error("--cluster-secret: cannot lock memory: %s", strerror(errno));
		return false;
	}
	sodium_memzero(file->memory, sizeof(*file->memory));
	if (!load(file, &refusal)) {
		log_error("--cluster-secret %s: %s", path, refusal.text);
		return false;
	}
	follow_directory(file);
	judge_mode(file);
	if (file->warning.text[0])
		log_warning("%s", file->warning.text);
	use_fresh(file);
	return true;
}

void secret_file_close(struct secret_file *file)
{
	sodium_free(file->memory); /* this wipes it first */
	fd_close(&file->fd);
	secret_file_init(file);
}

void secret_file_drain(struct secret_file *file)
{
	char events[4096];

	while (read(file->fd, events, sizeof(events)) > 0)
		file->is_stale = true;
}

static void complain(struct secret_file *file, const struct refusal *refusal)
{
	refusal_write(&file->trouble,
		      "--cluster-secret %.128s: %.128s: the previous content stays in use",
		      file->path, refusal->text);
}

void secret_file_refresh(struct secret_file *file)
{
	struct refusal refusal;
	struct stat now;

	if (!file->path)
		return;
	if (!file->is_stale && !stat(file->path, &now) && is_same_file(&now, &file->seen))
		return;
	file->is_stale = false;
	if (!load(file, &refusal)) {
		complain(file, &refusal);
		return;
	}
	file->trouble = (struct refusal){0};
	judge_mode(file);
	use_fresh(file);
}
