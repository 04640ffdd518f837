// SPDX-License-Identifier: Apache-2.0
/*
 * The registry in a directory: each node writes its own DIR/<node>.json, and all nodes read it. A
 * writer never exposes a partial record (temporary file, fsync, rename); a reader does not rely on
 * that (it checks sizes, types and names, and a directory entry may be anything). File names never
 * leave the directory: they are node names, opened relative to it. DIR/<node>.request asks that
 * node to rotate its key. Any user with access to the directory may write it, so it is never read:
 * only its existence and its timestamp count.
 */
#include "registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "log.h"
#include "whole_file.h"

#define SUFFIX	   ".json"
#define SUFFIX_LEN (sizeof(SUFFIX) - 1)
#define REQUEST	   ".request"
#define PATH_LEN   (NODE_NAME_LEN + sizeof(REQUEST))
#define WATCHED                                                                                  \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR)

/* Identifies a request: writing the file again makes a new one. */
struct request_stamp {
	ino_t inode;
	struct timespec modified;
	off_t size;
};

struct registry_file {
	struct registry registry;
	char directory[PATH_MAX];
	char node_name[NODE_NAME_LEN];
	int directory_fd;
	/* the queue holds a complete scan, to be followed by LISTED */
	bool is_listing;
	char (*queue)[NODE_NAME_LEN]; /* names to read */
	size_t queue_count, queue_capacity, queue_next;
	char (*known)[NODE_NAME_LEN]; /* names that were reported and still exist */
	size_t known_count, known_capacity;
	bool may_have_strays;	    /* count them again */
	uint32_t stray_count;	    /* as last reported */
	bool may_be_asked;	    /* check for a request to our own node */
	struct request_stamp stamp; /* of the last reported request */
	char *text;		    /* NODE_TEXT_MAX + 1 */
	struct cidr *pods;	    /* ANNOTATION_PODS_MAX */
};

struct node *node_copy(const struct node *node)
{
	size_t pods_len = node->annotation.pod_count * sizeof(struct cidr);
	struct node *copy = malloc(sizeof(*copy) + pods_len);

	if (!copy)
		return NULL;
	*copy = *node;
	if (pods_len)
		memcpy(copy + 1, node->annotation.pods, pods_len);
	copy->annotation.pods = (const struct cidr *)(copy + 1);
	return copy;
}

/* -- lists of names -- */

static bool names_add(char (**names)[NODE_NAME_LEN], size_t *count, size_t *capacity,
		      const char *name)
{
	if (*count == *capacity) {
		size_t wanted = *capacity ? 2 * *capacity : 64;
		void *grown = realloc(*names, wanted * sizeof(**names));

		if (!grown)
			return false;
		*names = grown;
		*capacity = wanted;
	}
	copy_text((*names)[(*count)++], NODE_NAME_LEN, name);
	return true;
}

static bool enqueue(struct registry_file *file, const char *name)
{
	return names_add(&file->queue, &file->queue_count, &file->queue_capacity, name);
}

static void know(struct registry_file *file, const char *name)
{
	for (size_t i = 0; i < file->known_count; i++)
		if (!strcmp(file->known[i], name))
			return;
	names_add(&file->known, &file->known_count, &file->known_capacity, name);
}

static bool forget(struct registry_file *file, const char *name)
{
	for (size_t i = 0; i < file->known_count; i++)
		if (!strcmp(file->known[i], name)) {
			memmove(file->known[i], file->known[--file->known_count], NODE_NAME_LEN);
			return true;
		}
	return false;
}

/* -- reading -- */

enum file_naming {
	FILE_RECORD,
	FILE_STRAY, /* it should be a record, but its name is not a node's */
	FILE_OTHER, /* temporary files, requests */
};

/* Extracts "n1" from "n1.json" if the file is a record. */
static enum file_naming parse_file_name(const char *name, char ret_node[static NODE_NAME_LEN])
{
	size_t len = strlen(name);

	if (name[0] == '.' || len <= SUFFIX_LEN || strcmp(name + len - SUFFIX_LEN, SUFFIX))
		return FILE_OTHER;
	if (len - SUFFIX_LEN >= NODE_NAME_LEN)
		return FILE_STRAY;
	memcpy(ret_node, name, len - SUFFIX_LEN);
	ret_node[len - SUFFIX_LEN] = '\0';
	return node_is_name(ret_node) ? FILE_RECORD : FILE_STRAY;
}

/* Returns the length, or -errno; -EFBIG and -EINVAL (not a regular file) mean that the file is
 * refused. */
static ssize_t read_text(struct registry_file *file, const char *node_name)
{
	char path[NODE_NAME_LEN + SUFFIX_LEN];
	struct stat status;
	ssize_t len;

	snprintf(path, sizeof(path), "%s" SUFFIX, node_name);
	len = whole_file_read(file->directory_fd, path, O_NOFOLLOW, file->text, NODE_TEXT_MAX + 1,
			      &status);
	if (len == -ELOOP)
		return -EINVAL;
	return len > NODE_TEXT_MAX ? -EFBIG : len;
}

static bool describe_failure(ssize_t error, struct refusal *refusal)
{
	if (error == -EFBIG)
		return refuse(refusal, "the file is larger than %d bytes: expected a node's record",
			      NODE_TEXT_MAX);
	if (error == -EINVAL)
		return refuse(refusal, "not a regular file: expected a node's record");
	return refuse(refusal, "the file cannot be read: %s", strerror((int)-error));
}

/* Reads and decodes; *ret_node is a copy for the caller. -ENOENT: there is no such file; -EBADMSG:
 * *refusal gives the reason. */
static int read_record(struct registry_file *file, const char *name, struct node **ret_node,
		       struct refusal *refusal)
{
	ssize_t len = read_text(file, name);
	static struct node node; /* large; used between here and the copy only */
	struct quote quoted;

	if (len == -ENOENT)
		return -ENOENT;
	if (len < 0) {
		describe_failure(len, refusal);
		return -EBADMSG;
	}
	if (!node_decode(&node, file->pods, file->text, (size_t)len, refusal))
		return -EBADMSG;
	if (strcmp(node.name, name)) {
		refusal_write(refusal, "'name' is %s: expected the file's name, '%s'",
			      quote(&quoted, node.name), name);
		return -EBADMSG;
	}
	*ret_node = node_copy(&node);
	return *ret_node ? 0 : -ENOMEM;
}

/* Returns 1 if there is a change to report for this name. */
static int look_at(struct registry_file *file, const char *name, struct registry_change *ret_change)
{
	int error = read_record(file, name, &ret_change->node, &ret_change->refusal);
	bool is_own = !strcmp(name, file->node_name);

	copy_text(ret_change->name, sizeof(ret_change->name), name);
	if (error == -ENOENT) {
		ret_change->kind = REGISTRY_GONE;
		return is_own || forget(file, name);
	}
	if (error && error != -EBADMSG)
		return error;
	if (!is_own)
		know(file, name);
	ret_change->kind = error ? REGISTRY_BAD : is_own ? REGISTRY_OWN : REGISTRY_SEEN;
	return 1;
}

/* -- files that name no node -- */

static DIR *open_directory(const struct registry_file *file)
{
	int fd = openat(file->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory)
		fd_close(&fd);
	return directory;
}

static uint32_t count_strays(const struct registry_file *file, struct refusal *refusal)
{
	DIR *directory = open_directory(file);
	char name[NODE_NAME_LEN];
	struct dirent *entry;
	struct quote quoted;
	uint32_t count = 0;

	while (directory && (entry = readdir(directory))) {
		if (parse_file_name(entry->d_name, name) != FILE_STRAY)
			continue;
		count++;
		refusal_write(refusal,
			      "%s is ignored: expected <node>" SUFFIX
			      " with a node name of a-z, 0-9, '.' and '-'",
			      quote(&quoted, entry->d_name));
	}
	if (directory)
		closedir(directory);
	return count;
}

/* Returns 1 if their number has changed. */
static int look_at_strays(struct registry_file *file, struct registry_change *ret_change)
{
	uint32_t count = count_strays(file, &ret_change->refusal);

	file->may_have_strays = false;
	if (count == file->stray_count)
		return 0;
	file->stray_count = count;
	ret_change->kind = REGISTRY_STRAYS;
	ret_change->stray_count = count;
	return 1;
}

/* -- requests -- */

static void request_path(char path[static PATH_LEN], const char *node_name)
{
	snprintf(path, PATH_LEN, "%s" REQUEST, node_name);
}

static bool find_request(const struct registry_file *file, struct request_stamp *ret_stamp)
{
	struct stat status;
	char path[PATH_LEN];

	request_path(path, file->node_name);
	if (fstatat(file->directory_fd, path, &status, AT_SYMLINK_NOFOLLOW) ||
	    !S_ISREG(status.st_mode))
		return false;
	*ret_stamp = (struct request_stamp){status.st_ino, status.st_mtim, status.st_size};
	return true;
}

static bool stamp_is_equal(const struct request_stamp *a, const struct request_stamp *b)
{
	return a->inode == b->inode && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

/* Returns 1 if there is a request that was not reported yet. */
static int look_at_request(struct registry_file *file, struct registry_change *ret_change)
{
	struct request_stamp stamp;

	file->may_be_asked = false;
	if (!find_request(file, &stamp) || stamp_is_equal(&stamp, &file->stamp))
		return 0;
	file->stamp = stamp;
	ret_change->kind = REGISTRY_REQUESTED;
	copy_text(ret_change->name, sizeof(ret_change->name), file->node_name);
	return 1;
}

static int write_request(struct registry *registry, const char *node_name)
{
	struct registry_file *file = (struct registry_file *)registry;
	static const char word[] = "rotate\n";
	CLEANUP_CLOSE int fd = -1;
	char path[PATH_LEN];

	if (registry->fd < 0)
		return -ENOENT;
	request_path(path, node_name);
	fd = openat(file->directory_fd, path,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write(fd, word, sizeof(word) - 1) < 0 ? -errno : 0;
}

static bool file_request(struct registry *registry, const char *node_name, struct refusal *refusal)
{
	int error = write_request(registry, node_name);

	return !error || refuse(refusal, "%s", strerror(-error));
}

static void file_settle_request(struct registry *registry)
{
	struct registry_file *file = (struct registry_file *)registry;
	struct request_stamp stamp;
	char path[PATH_LEN];

	if (registry->fd < 0 || !find_request(file, &stamp) ||
	    !stamp_is_equal(&stamp, &file->stamp))
		return;
	request_path(path, file->node_name);
	if (unlinkat(file->directory_fd, path, 0))
		log_warning("registry %s: %s cannot be removed: %s: this node serves the request "
			    "again after a restart",
			    file->directory, path, strerror(errno));
}

/* -- following the directory -- */

static int scan(struct registry_file *file)
{
	DIR *directory = open_directory(file);
	char name[NODE_NAME_LEN];
	struct dirent *entry;
	bool has_room = true;

	if (!directory)
		return -errno;
	file->queue_count = file->queue_next = 0;
	while ((entry = readdir(directory)))
		if (parse_file_name(entry->d_name, name) == FILE_RECORD)
			has_room &= enqueue(file, name);
	closedir(directory);
	/* Names removed while we were not watching: reading them finds no file. */
	for (size_t i = 0; i < file->known_count; i++)
		has_room &= enqueue(file, file->known[i]);
	file->is_listing = file->may_be_asked = file->may_have_strays = true;
	return has_room ? 0 : -ENOMEM;
}

static int watch(struct registry_file *file)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), directory_fd, error;

	if (fd < 0)
		return -errno;
	directory_fd = open(file->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0 || inotify_add_watch(fd, file->directory, WATCHED) < 0) {
		error = -errno;
		fd_close(&directory_fd);
		fd_close(&fd);
		return error;
	}
	fd_close(&file->registry.fd);
	fd_close(&file->directory_fd);
	file->registry.fd = fd;
	file->directory_fd = directory_fd;
	return scan(file);
}

/* Notes the name of a changed file. */
static int queue_file(struct registry_file *file, const char *file_name)
{
	char name[NODE_NAME_LEN];

	switch (parse_file_name(file_name, name)) {
	case FILE_RECORD:
		return enqueue(file, name) ? 0 : -ENOMEM;
	case FILE_STRAY:
		file->may_have_strays = true;
		break;
	case FILE_OTHER:
		break;
	}
	return 0;
}

static int handle_event(struct registry_file *file, const struct inotify_event *event)
{
	char request[PATH_LEN];

	if (event->mask & IN_Q_OVERFLOW)
		return scan(file);
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
		log_error("registry %s has disappeared: the known records stay in use until it "
			  "returns",
			  file->directory);
		fd_close(&file->registry.fd);
		return 0;
	}
	request_path(request, file->node_name);
	if (event->len && !strcmp(event->name, request))
		file->may_be_asked = true;
	else if (event->len)
		return queue_file(file, event->name);
	return 0;
}

/* Returns 1 if events were read, 0 if there are none. */
static int handle_events(struct registry_file *file)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t len = read(file->registry.fd, buffer, sizeof(buffer));
	int error = 0;

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (char *at = buffer; at < buffer + len && !error && file->registry.fd >= 0;) {
		const struct inotify_event *event = (const struct inotify_event *)at;

		at += sizeof(*event) + event->len;
		error = handle_event(file, event);
	}
	return error ? error : 1;
}

static int file_next(struct registry *registry, struct registry_change *ret_change)
{
	struct registry_file *file = (struct registry_file *)registry;
	int found;

	*ret_change = (struct registry_change){0};
	if (registry->fd < 0 && watch(file))
		return 0;
	for (;;) {
		while (file->queue_next < file->queue_count) {
			found = look_at(file, file->queue[file->queue_next++], ret_change);
			if (found)
				return found;
		}
		file->queue_count = file->queue_next = 0;
		if (file->may_have_strays && look_at_strays(file, ret_change))
			return 1;
		if (file->may_be_asked && look_at_request(file, ret_change))
			return 1;
		if (file->is_listing) {
			file->is_listing = false;
			ret_change->kind = REGISTRY_LISTED;
			ret_change->are_all = true;
			return 1;
		}
		if (registry->fd < 0)
			return 0;
		found = handle_events(file);
		if (found <= 0)
			return found;
	}
}

/* -- writing -- */

static int write_all(int fd, const char *text, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t written = write(fd, text + done, len - done);

		if (written < 0)
			return -errno;
		done += (size_t)written;
	}
	return 0;
}

static int write_record(struct registry_file *file, const char *text, size_t len)
{
	char path[NODE_NAME_LEN + SUFFIX_LEN], temporary[NODE_NAME_LEN + SUFFIX_LEN + 8];
	CLEANUP_CLOSE int fd = -1;
	int error;

	snprintf(path, sizeof(path), "%s" SUFFIX, file->node_name);
	snprintf(temporary, sizeof(temporary), ".%s.new", path);
	fd = openat(file->directory_fd, temporary,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	error = write_all(fd, text, len);
	if (!error && (fchmod(fd, 0644) || fsync(fd) ||
		       renameat(file->directory_fd, temporary, file->directory_fd, path)))
		error = -errno;
	if (error)
		unlinkat(file->directory_fd, temporary, 0);
	return error;
}

/* The rename itself must survive a power failure; an O_PATH descriptor cannot be synced. */
static void sync_directory(const struct registry_file *file)
{
	CLEANUP_CLOSE int fd = openat(file->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fsync(fd);
}

static int file_publish(struct registry *registry, const struct node *own)
{
	struct registry_file *file = (struct registry_file *)registry;
	CLEANUP_FREE char *text = malloc(NODE_TEXT_MAX);
	ssize_t len, there;
	int error;

	if (!text)
		return -ENOMEM;
	if (registry->fd < 0)
		return -ENOENT;
	len = node_encode(text, NODE_TEXT_MAX, own);
	if (len < 0)
		return (int)len;
	there = read_text(file, file->node_name);
	if (there == len && !memcmp(file->text, text, (size_t)len))
		return 0;
	error = write_record(file, text, (size_t)len);
	if (error)
		return error;
	sync_directory(file);
	return 1;
}

static void file_close(struct registry *registry)
{
	struct registry_file *file = (struct registry_file *)registry;

	fd_close(&registry->fd);
	fd_close(&file->directory_fd);
	free(registry->found);
	free(file->queue);
	free(file->known);
	free(file->text);
	free(file->pods);
	free(file);
}

static void make_uid(char uid[static NODE_UID_LEN])
{
	uint8_t b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 10 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(uid, NODE_UID_LEN,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

/* Takes our identity from our own record, or makes a new one if there is no readable record. */
static int find_identity(struct registry_file *file)
{
	struct registry *registry = &file->registry;
	struct refusal refusal = {0};
	int error = read_record(file, file->node_name, &registry->found, &refusal);

	if (!error) {
		copy_text(registry->uid, sizeof(registry->uid), registry->found->uid);
		registry->created_s = registry->found->created_s;
		return 0;
	}
	if (error == -EBADMSG)
		log_warning("registry %s: our own record %s" SUFFIX ": %s: this node gets a new "
			    "uid",
			    file->directory, file->node_name, refusal.text);
	else if (error != -ENOENT)
		return error;
	make_uid(registry->uid);
	registry->created_s = time(NULL);
	return 0;
}

int registry_file_open(struct registry **ret_registry, const char *directory, const char *node_name)
{
	static const struct registry_operations operations = {
		.publish = file_publish,
		.next = file_next,
		.request = file_request,
		.settle_request = file_settle_request,
		.close = file_close,
	};
	struct registry_file *file = calloc(1, sizeof(*file));
	int error = -ENOMEM;

	if (!file)
		goto out;
	file->registry.operations = &operations;
	file->registry.fd = file->directory_fd = -1;
	file->text = malloc(NODE_TEXT_MAX + 1);
	file->pods = malloc(ANNOTATION_PODS_MAX * sizeof(*file->pods));
	copy_text(file->node_name, sizeof(file->node_name), node_name);
	if (!file->text || !file->pods ||
	    !copy_text(file->directory, sizeof(file->directory), directory))
		goto out;
	error = watch(file);
	if (!error)
		error = find_identity(file);
out:
	if (!error) {
		*ret_registry = &file->registry;
		return 0;
	}
	log_error("registry file:%s: %s: expected a directory that all nodes share and this node "
		  "may write to",
		  directory, strerror(-error));
	if (file)
		file_close(&file->registry);
	return error;
}
