/* dispatch/settings.h: a handler's `settings` group held against its plugin's table.
 *
 * Thread-safety: never changed after creation; any thread. The configuration must outlive it. */
#ifndef BIDE_DISPATCH_SETTINGS_H
#define BIDE_DISPATCH_SETTINGS_H

#include "bide/handler.h"
#include "config/config.h"

/* Refuses unknown names (with the nearest known one), values of another kind, and missing required ones;
 * texts carry file:line. spec may be NULL: then any value is unknown. file and dir are borrowed for as long
 * as it lives. */
bide_code bide_settings_create(const struct bide_handler_config *config, const bide_setting_spec *spec,
    const char *file, const char *dir, bide_settings **ret_settings, bide_error *error);
void bide_settings_destroy(bide_settings *settings);

/* "string", "whole number", "duration" …: the kind in words. */
const char *bide_setting_kind_name(bide_setting_kind kind);

#endif
