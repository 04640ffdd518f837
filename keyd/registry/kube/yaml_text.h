/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One YAML document (or JSON, which is YAML too) out of a text, and the way to a value in it. What people and the API
 * server hand us as YAML is read here alone. Aliases are followed but never expanded, so that no text is larger than it is.
 */
#pragma once

#include <yaml.h>

#include "cluster/refusal.h"

/* False: *refusal says where the text stops being YAML. Else the caller calls yaml_document_delete. */
bool yaml_text_open(yaml_document_t *ret_document, const char *text, size_t len,
		    struct refusal *refusal);

/* The value of a key; NULL where `mapping` is NULL, is no mapping, or has no such key. */
yaml_node_t *yaml_find(yaml_document_t *document, const yaml_node_t *mapping, const char *key);

/* There is nothing: no node, or null, or an empty text. */
bool yaml_is_empty(const yaml_node_t *node);

/* The same as text; the document's. NULL also where the value is no text, or empty, or null, or holds a zero byte. */
const char *yaml_scalar(yaml_document_t *document, const yaml_node_t *mapping, const char *key);
