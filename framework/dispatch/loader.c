#include "dispatch/loader.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/trust.h"
#include "message/message.h"

enum { HEAD_SIZE = offsetof(bide_plugin_descriptor, name) };

static bide_code refuse(const struct bide_plugin *plugin, bide_error *error, const char *what)
{
    return bide_fail(error, BIDE_E_CONFIG, "plugin '%s' (%s): %s", plugin->name, plugin->path, what);
}

/* Checks that nobody else can replace the file afterwards: the folders are checked too. */
static bide_code check_trust(const struct bide_plugin *plugin, bide_error *error)
{
    int fd;
    bide_code code = bide_trust_open("the plugin's file ", plugin->path, &fd, error);
    if (code == BIDE_OK)
        close(fd);
    else
        bide_fail_within(
            error, "plugin '%s' is refused (allow_unsafe_plugins = true takes it)", plugin->name);
    return code;
}

static bide_code open_library(struct bide_plugin *plugin, bool allow_unsafe, bide_error *error)
{
    if (access(plugin->path, F_OK) != 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "no plugin '%s': there is no file %s (plugin_dir is the folder; 'bide handlers' lists what it "
            "has)",
            plugin->name, plugin->path);
    bide_code code = allow_unsafe ? BIDE_OK : check_trust(plugin, error);
    if (code != BIDE_OK)
        return code;
    plugin->library = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->library) {
        const char *why = dlerror();
        return refuse(plugin, error, why ? why : "cannot be loaded");
    }
    bide_build_id(plugin->library, plugin->build);
    return BIDE_OK;
}

static bide_code check_abi(
    const struct bide_plugin *plugin, const bide_plugin_descriptor *found, bide_error *error)
{
    if (found->abi_major == BIDE_ABI_MAJOR && found->abi_minor <= BIDE_ABI_MINOR)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "plugin '%s' (%s): built for ABI %d.%d, this bide has %d.%d: build it again with this bide's headers",
        plugin->name, plugin->path, found->abi_major, found->abi_minor, BIDE_ABI_MAJOR, BIDE_ABI_MINOR);
}

static bide_code copy_descriptor(struct bide_plugin *plugin, bide_error *error)
{
    const bide_plugin_descriptor *found = dlsym(plugin->library, "bide_plugin");
    if (!found)
        return refuse(plugin, error, "is not a bide plugin: it exports no symbol 'bide_plugin'");
    bide_code code = check_abi(plugin, found, error);
    if (code != BIDE_OK)
        return code;
    size_t size = found->size < sizeof plugin->descriptor ? found->size : sizeof plugin->descriptor;
    if (size < HEAD_SIZE)
        return refuse(plugin, error, "its descriptor is too small to be one");
    memcpy(&plugin->descriptor, found, size);
    plugin->abi_minor = found->abi_minor;
    if (!plugin->descriptor.handle && !plugin->descriptor.handle_batch)
        return refuse(plugin, error, "its descriptor has no handle function");
    if (!plugin->descriptor.name || strcmp(plugin->descriptor.name, plugin->name) != 0)
        return refuse(plugin, error, "its descriptor carries another name than the file");
    return BIDE_OK;
}

/* "/usr/lib/bide/resize.so" -> "resize" */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t size = strlen(base);
    return bide_strndup(base, size > 3 && strcmp(base + size - 3, ".so") == 0 ? size - 3 : size);
}

bide_code bide_plugin_load(
    const char *path, bool allow_unsafe, struct bide_plugin **ret_plugin, bide_error *error)
{
    struct bide_plugin *plugin = bide_calloc(1, sizeof *plugin);
    bide_code code = BIDE_OK;
    if (!plugin || !(plugin->name = name_of(path)) || !(plugin->path = bide_strdup(path)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if (!bide_name_valid(plugin->name))
        code = bide_fail(error, BIDE_E_CONFIG, "'%.100s' is not a plugin's name (%s)", plugin->name, path);
    if (code == BIDE_OK)
        code = open_library(plugin, allow_unsafe, error);
    if (code == BIDE_OK)
        code = copy_descriptor(plugin, error);
    if (code == BIDE_OK)
        *ret_plugin = plugin;
    else
        bide_plugin_unload(plugin);
    return code;
}

void bide_plugin_unload(struct bide_plugin *plugin)
{
    if (!plugin)
        return;
    if (plugin->library)
        dlclose(plugin->library);
    bide_free(plugin->path);
    bide_free(plugin->name);
    bide_free(plugin);
}
