/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses one YAML document (or JSON, which is YAML too) and finds values in it. Only this file
 * reads the YAML that people and the API server give us. Aliases are followed but never expanded,
 * so a text cannot grow larger than it is.
 */
#pragma once

#include <yaml.h>

#include "cluster/refusal.h"

/* False: *refusal tells where the text is not valid YAML. On success the caller calls
 * yaml_document_delete. */
bool yaml_text_open(yaml_document_t *ret_document, const char *text, size_t len,
		    struct refusal *refusal);

/* The value of a key; NULL if `mapping` is NULL, is not a mapping, or has no such key. */
yaml_node_t *yaml_find(yaml_document_t *document, const yaml_node_t *mapping, const char *key);

/* True for no node, null, or an empty text. */
bool yaml_is_empty(const yaml_node_t *node);

/* The value of a key as text, which the document owns. NULL also if it is not text, is empty or
 * null, or contains a zero byte. */
const char *yaml_scalar(yaml_document_t *document, const yaml_node_t *mapping, const char *key);
