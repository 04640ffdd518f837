/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap sort in the caller's storage: libc's qsort may allocate, which CORE must not. It is not
 * stable, so the order must be total.
 */
#pragma once

#include "util.h"

#define SORT_ITEM_MAX 64 /* bytes */

/* Negative, zero or positive, as for qsort. */
typedef int sort_compare(const void *context, const void *a, const void *b);

static inline void sort_swap(char *a, char *b, size_t size)
{
	char spare[SORT_ITEM_MAX];

	memcpy(spare, a, size);
	memcpy(a, b, size);
	memcpy(b, spare, size);
}

static inline void sort_sift_down(char *items, size_t root, size_t count, size_t size,
				  sort_compare *compare, const void *context)
{
	for (size_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count &&
		    compare(context, items + child * size, items + (child + 1) * size) < 0)
			child++;
		if (compare(context, items + root * size, items + child * size) >= 0)
			return;
		sort_swap(items + root * size, items + child * size, size);
	}
}

static inline void sort_heap(void *items, size_t count, size_t size, sort_compare *compare,
			     const void *context)
{
	for (size_t root = count / 2; root-- > 0;)
		sort_sift_down(items, root, count, size, compare, context);
	for (size_t end = count; end-- > 1;) {
		sort_swap(items, (char *)items + end * size, size);
		sort_sift_down(items, 0, end, size, compare, context);
	}
}
