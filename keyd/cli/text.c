// SPDX-License-Identifier: Apache-2.0
/*
 * Formats values for stdout. No other file of the command prints data from keyd, so one place keeps
 * unprintable bytes away from the terminal.
 */
#include "text.h"
#include "log.h"

static void *must_have(void *memory)
{
	if (memory)
		return memory;
	log_error("out of memory");
	exit(EXIT_FAILURE);
}

static char *escape(const char *text)
{
	size_t size = 4 * strlen(text) + 8; /* the most that log_escape needs */
	char *line = must_have(malloc(size));

	log_escape(line, size, text, false);
	return line;
}

void text_print_line(const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *line = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	line = escape(must_have(text));
	puts(line);
}

void text_print_over(const char *text)
{
	CLEANUP_FREE char *line = escape(text);

	printf("\r%s\033[K", line);
	fflush(stdout);
}

void text_print_json(const json_t *document)
{
	CLEANUP_FREE char *text =
		must_have(json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII));

	for (const char *c = text; *c; c++)
		if (*c == 0x7f) /* the only control character that JSON does not escape */
			fputs("\\u007f", stdout);
		else
			putchar(*c);
	putchar('\n');
}

const char *text_format_bytes(char text[static TEXT_AMOUNT_LEN], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double amount = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, TEXT_AMOUNT_LEN, "%u B", (unsigned int)bytes);
		return text;
	}
	while (amount >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		amount /= 1024;
		unit++;
	}
	snprintf(text, TEXT_AMOUNT_LEN, "%.1f %s", amount, units[unit]);
	return text;
}

const char *text_format_duration(char text[static TEXT_AMOUNT_LEN], double seconds)
{
	if (seconds < 120)
		snprintf(text, TEXT_AMOUNT_LEN, "%.0f s", seconds);
	else if (seconds < 120 * 60)
		snprintf(text, TEXT_AMOUNT_LEN, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(text, TEXT_AMOUNT_LEN, "%.0f h", seconds / 3600);
	else
		snprintf(text, TEXT_AMOUNT_LEN, "%.0f d", seconds / 86400);
	return text;
}

char *text_join(const json_t *list)
{
	CLEANUP_FREE char *text = NULL;
	size_t index, size;
	json_t *entry;
	FILE *stream = must_have(open_memstream(&text, &size));

	json_array_foreach((json_t *)list, index, entry)
		fprintf(stream, "%s%s", index ? ", " : "",
			json_is_string(entry) ? json_string_value(entry) : "?");
	if (!json_array_size(list))
		fputc('-', stream);
	if (fclose(stream))
		must_have(NULL);
	return TAKE_PTR(text);
}

void table_add(struct table *table, const char *cell)
{
	table->cells = must_have(realloc(table->cells, (table->count + 1) * sizeof(*table->cells)));
	table->cells[table->count++] = escape(*cell ? cell : "-");
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < table->count; i += table->columns)
		width = MAX(width, strlen(table->cells[i]));
	return width;
}

void table_print(const struct table *table)
{
	CLEANUP_FREE size_t *widths = must_have(calloc(table->columns, sizeof(*widths)));

	for (size_t column = 0; column + 1 < table->columns;
	     column++) /* the last one needs no padding */
		widths[column] = column_width(table, column);
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		bool is_last = column + 1 == table->columns;

		printf("%-*s%s", (int)widths[column], table->cells[i], is_last ? "\n" : "  ");
	}
}

void table_clear(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){.columns = table->columns};
}
