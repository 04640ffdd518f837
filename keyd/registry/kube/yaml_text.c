// SPDX-License-Identifier: Apache-2.0
/*
 * Only this file uses libyaml. Its run time grows with the square of the nesting depth of brackets,
 * so a text with deeper nesting than any that podveil reads is refused before libyaml sees it.
 */
#include "yaml_text.h"

#include <errno.h>

#define NESTING_MAX 64

/* Brackets inside strings count too: no real file has that many. */
static bool is_nested_deeply(const char *text, size_t len)
{
	unsigned int depth = 0;

	for (size_t i = 0; i < len && depth <= NESTING_MAX; i++) {
		if (text[i] == '[' || text[i] == '{')
			depth++;
		else if ((text[i] == ']' || text[i] == '}') && depth)
			depth--;
	}
	return depth > NESTING_MAX;
}

bool yaml_text_open(yaml_document_t *ret_document, const char *text, size_t len,
		    struct refusal *refusal)
{
	yaml_parser_t parser;
	bool is_read;

	if (is_nested_deeply(text, len))
		return refuse(refusal, "not YAML: brackets are nested more than %d deep",
			      NESTING_MAX);
	if (!yaml_parser_initialize(&parser))
		return refuse(refusal, "cannot be read: %s", strerror(ENOMEM));
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	is_read = yaml_parser_load(&parser, ret_document);
	if (!is_read)
		refusal_write(refusal, "not YAML: %s in line %zu",
			      parser.problem ? parser.problem : strerror(ENOMEM),
			      parser.problem_mark.line + 1);
	yaml_parser_delete(&parser);
	return is_read;
}

static bool is_text(const yaml_node_t *node, const char *text)
{
	size_t len = strlen(text);

	return node && node->type == YAML_SCALAR_NODE && node->data.scalar.length == len &&
	       !memcmp(node->data.scalar.value, text, len);
}

yaml_node_t *yaml_find(yaml_document_t *document, const yaml_node_t *mapping, const char *key)
{
	if (!mapping || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
	     pair < mapping->data.mapping.pairs.top; pair++)
		if (is_text(yaml_document_get_node(document, pair->key), key))
			return yaml_document_get_node(document, pair->value);
	return NULL;
}

bool yaml_is_empty(const yaml_node_t *node)
{
	if (!node)
		return true;
	if (node->type != YAML_SCALAR_NODE)
		return false;
	return is_text(node, "") || (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
				     (is_text(node, "null") || is_text(node, "~")));
}

const char *yaml_scalar(yaml_document_t *document, const yaml_node_t *mapping, const char *key)
{
	const yaml_node_t *node = yaml_find(document, mapping, key);
	const char *text;

	if (yaml_is_empty(node) || node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}
