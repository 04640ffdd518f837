/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers that every folder shares: ownership by cleanup attribute, byte order by name, bounds.
 * Nothing here knows packets, keys or Kubernetes.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	      (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)	      ((a) < (b) ? (a) : (b))
#define MAX(a, b)	      ((a) > (b) ? (a) : (b))
#define ROUND_UP(n, multiple) ((((n) + (multiple)-1) / (multiple)) * (multiple))

#define MUST_CHECK	      __attribute__((warn_unused_result))
#define PRINTF(text, first)   __attribute__((format(printf, text, first)))
#define FALLTHROUGH	      __attribute__((fallthrough))

#define NS_PER_S	      1000000000ULL
#define NS_PER_MS	      1000000ULL

/* Ownership: an owning local carries one of these; TAKE_PTR and TAKE_FD hand the object over and
 * disarm it. */
#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE	  CLEANUP(cleanup_free)
#define CLEANUP_CLOSE	  CLEANUP(cleanup_close)

static inline void cleanup_free(void *address)
{
	free(*(void **)address);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define TAKE_PTR(p)                     \
	({                              \
		__typeof__(p) _p = (p); \
		(p) = NULL;             \
		_p;                     \
	})

#define TAKE_FD(fd)             \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})

/* Closes and disarms; safe on a descriptor that was never opened (-1). */
static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Unaligned loads and stores, with the byte order in the name. */
static inline uint16_t get_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint32_t get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void put_be16(void *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be32(void *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_be64(void *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* Copies text into a fixed array, always terminated. False if it was truncated. */
static inline bool copy_text(char *destination, size_t size, const char *text)
{
	size_t length = strlen(text);
	bool fits = length < size;

	if (!fits)
		length = size - 1;
	memcpy(destination, text, length);
	destination[length] = '\0';
	return fits;
}
