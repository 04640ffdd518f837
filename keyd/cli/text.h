/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output for people: lines, tables, amounts. Text may contain hostile bytes (node names, reasons
 * from annotations), so everything but printable ASCII is written as \xNN. The program exits when
 * it is out of memory.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "util.h"

#define TEXT_AMOUNT_LEN 32

/* Prints one line to stdout, escaped. */
void PRINTF(1, 2) text_print_line(const char *format, ...);

/* Overwrites the cursor's line, escaped; for terminals. */
void text_print_over(const char *text);

/* Prints the document, indented by two spaces, without control characters. */
void text_print_json(const json_t *document);

/* "12.3 MiB", "17 s" or "3 h", into the caller's storage. */
const char *text_format_bytes(char text[static TEXT_AMOUNT_LEN], uint64_t bytes);
const char *text_format_duration(char text[static TEXT_AMOUNT_LEN], double seconds);

/* "a, b, c", or "-" for an empty list. The caller frees it. */
char *text_join(const json_t *list);

/* Rows of cells; each column is as wide as its widest cell. Start from {.columns = n}. */
struct table {
	size_t columns;
	size_t count; /* of cells, row by row */
	char **cells;
};

/* Appends a cell, copied and escaped. An empty cell is shown as "-". */
void table_add(struct table *table, const char *cell);
void table_print(const struct table *table);
void table_clear(struct table *table);

#define CLEANUP_TABLE CLEANUP(table_clear)
