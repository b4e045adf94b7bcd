/* dispatch/settings.h: checks a handler's `settings` group against its plugin's table.
 *
 * Thread-safety: never changed after creation; any thread. The configuration must outlive it. */
#ifndef BIDE_DISPATCH_SETTINGS_H
#define BIDE_DISPATCH_SETTINGS_H

#include "bide/handler.h"
#include "config/config.h"

/* Refuses unknown names (and suggests the nearest known one), values of another kind, and missing required
 * settings; the errors carry file:line. spec may be NULL: then every name is unknown. file and dir are
 * borrowed for as long as the settings live. */
bide_code bide_settings_create(const struct bide_handler_config *config, const bide_setting_spec *spec,
    const char *file, const char *dir, bide_settings **ret_settings, bide_error *error);
void bide_settings_destroy(bide_settings *settings);

/* The kind in words: "string", "whole number", "duration" … */
const char *bide_setting_kind_name(bide_setting_kind kind);

#endif
