// SPDX-License-Identifier: Apache-2.0
/*
 * An invalid mode changes nothing: the last good one stays. Only if the API server reports that the
 * ConfigMap does not exist do the agent's own flags decide again.
 */
#include "mode.h"

#include "config_map.h"
#include "log.h"

static void tell(struct mode *mode, bool has_mode, enum datapath_mode value)
{
	struct registry_change change = {
		.kind = REGISTRY_MODE, .has_mode = has_mode, .mode = value};

	kube_tell(mode->kube, &change);
}

static void handle_object(struct mode *mode, const json_t *object)
{
	enum datapath_mode value = MODE_STRICT;
	struct refusal why = {0};
	bool has_mode;

	if (config_map_decode_mode(object, &has_mode, &value, &why))
		tell(mode, has_mode, value);
	else
		log_warning("ConfigMap %s/podveil: %s: the mode stays as it is",
			    mode->kube->namespace, why.text);
}

static bool handle_item(void *context, const json_t *object, struct refusal *refusal)
{
	struct mode *mode = context;

	(void)refusal;
	mode->is_there = true;
	handle_object(mode, object);
	return true;
}

static void handle_listed(void *context, enum reflect_verdict verdict)
{
	struct mode *mode = context;

	if (!mode->is_there && verdict == REFLECT_WHOLE)
		tell(mode, false, MODE_STRICT);
	mode->is_there = false;
}

static void handle_event(void *context, const struct object_event *event)
{
	struct mode *mode = context;

	if (event->type == OBJECT_DELETED)
		tell(mode, false, MODE_STRICT);
	else
		handle_object(mode, event->object);
}

void mode_init(struct mode *mode, struct kube *kube)
{
	struct reflector_source source = {
		.what = "ConfigMap podveil",
		.selector = "fieldSelector=metadata.name%3Dpodveil",
		.handle_item = handle_item,
		.handle_listed = handle_listed,
		.handle_event = handle_event,
		.context = mode,
	};

	*mode = (struct mode){.kube = kube};
	snprintf(mode->path, sizeof(mode->path), "/api/v1/namespaces/%s/configmaps",
		 kube->namespace);
	source.path = mode->path;
	reflector_init(&mode->reflector, kube, &source);
}

/* If we are forbidden to read it, this is an answer, too: the cluster has no mode for us. */
uint64_t mode_drive(struct mode *mode)
{
	uint64_t due_ns = reflector_drive(&mode->reflector);

	if (mode->reflector.is_forbidden && !mode->is_named) {
		log_warning("%s: the flags decide the mode", mode->reflector.trouble.text);
		tell(mode, false, MODE_STRICT);
		mode->is_named = true;
	}
	return due_ns;
}

void mode_clear(struct mode *mode)
{
	reflector_clear(&mode->reflector);
}
