/* dispatch/loader.h: loads plugins from shared objects.
 *
 * A plugin of a wrong version is refused before any of its code except constructors has run; the error names
 * file, version wanted and version found. dlopen is called with RTLD_NOW | RTLD_LOCAL: with RTLD_GLOBAL, two
 * plugins that both define helper() would call the first one's; with RTLD_LAZY, a missing symbol would kill
 * the process when it is first used.
 *
 * Thread-safety: one thread at a time. */
#ifndef BIDE_DISPATCH_LOADER_H
#define BIDE_DISPATCH_LOADER_H

#include <stdbool.h>

#include "base/build_id.h"
#include "bide/handler.h"

struct bide_plugin {
    char *name;
    char *path;
    void *library;                     /* from dlopen */
    bide_plugin_descriptor descriptor; /* a copy of ours: fields newer than the plugin are zero */
    uint16_t abi_minor;                /* the plugin's */
    char build[BIDE_BUILD_ID_TEXT];    /* "": unknown */
};

/* Loads a file NAME.so whose descriptor is called NAME. The same file may be loaded several times: dlopen
 * counts. allow_unsafe: also a file that other users could change (base/trust.h). */
bide_code bide_plugin_load(
    const char *path, bool allow_unsafe, struct bide_plugin **ret_plugin, bide_error *error);
/* Unloads it. Its code may not be running, nor be called later. NULL is fine. */
void bide_plugin_unload(struct bide_plugin *plugin);

#endif
