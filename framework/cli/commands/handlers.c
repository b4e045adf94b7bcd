/* bide handlers: the plugins found. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/units.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "dispatch/loader.h"
#include "dispatch/settings.h"

struct values {
    const char *dir;
};

static const struct bide_cli_option options[] = {
    {"plugin-dir", BIDE_CLI_TEXT, offsetof(struct values, dir), .value = "DIR",
        .help = "Look here instead of the configuration's plugin_dir."},
    {0},
};

/* When the file was built, as far as its time tells; 0: unknown. */
static int64_t built_ms(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_mtim.tv_sec * 1000 : 0;
}

static void json_settings(struct bide_buffer *to, const bide_setting_spec *spec)
{
    bide_json_name(to, "settings");
    bide_buffer_char(to, '[');
    for (; spec && spec->name; spec++) {
        bide_json_name(to, NULL);
        bide_buffer_char(to, '{');
        bide_json_text(to, "name", spec->name);
        bide_json_text(to, "kind", bide_setting_kind_name(spec->kind));
        bide_json_text(to, "default", spec->fallback);
        bide_json_name(to, "required");
        bide_buffer_text(to, spec->fallback ? "false" : "true");
        bide_json_text(to, "help", spec->help);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, ']');
}

static void print_json(const struct bide_plugin *plugin)
{
    const bide_plugin_descriptor *descriptor = &plugin->descriptor;
    struct bide_buffer line;
    char abi[16];
    snprintf(abi, sizeof abi, "%d.%d", descriptor->abi_major, plugin->abi_minor);
    bide_cli_object_begin(&line);
    bide_json_text(&line, "name", plugin->name);
    bide_json_text(&line, "version", descriptor->version);
    bide_json_text(&line, "abi", abi);
    bide_json_text(&line, "file", plugin->path);
    bide_json_int(&line, "built_ms", built_ms(plugin->path));
    bide_json_text(&line, "summary", descriptor->summary);
    json_settings(&line, descriptor->settings);
    bide_cli_object_end(&line);
}

static void print_settings(const bide_setting_spec *spec)
{
    static const char *const columns[] = {"  SETTING", "KIND", "DEFAULT", "MEANING", NULL};
    struct bide_cli_table table;
    bide_cli_table_init(&table, columns);
    for (; spec && spec->name; spec++) {
        char name[80];
        snprintf(name, sizeof name, "  %s", spec->name);
        bide_cli_table_text(&table, name);
        bide_cli_table_text(&table, bide_setting_kind_name(spec->kind));
        bide_cli_table_text(&table, spec->fallback ? (*spec->fallback ? spec->fallback : "-") : "required");
        bide_cli_table_text(&table, spec->help ? spec->help : "");
    }
    if (table.n_cells)
        bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

static void print_text(const struct bide_plugin *plugin, bool first)
{
    const bide_plugin_descriptor *descriptor = &plugin->descriptor;
    char built[BIDE_INSTANT_TEXT];
    bide_format_instant(built_ms(plugin->path), built);
    built[19] = '\0';
    printf("%s%s %s: %s\n  %s, ABI %d.%d, built %s UTC\n", first ? "" : "\n", plugin->name,
        descriptor->version ? descriptor->version : "(no version)",
        descriptor->summary ? descriptor->summary : "", plugin->path, descriptor->abi_major,
        plugin->abi_minor, built);
    print_settings(descriptor->settings);
}

/* ---- the folder ---- */

struct names {
    char **items; /* without ".so" */
    size_t n;
};

static void release_names(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        bide_free(names->items[i]);
    bide_free(names->items);
}

/* Keeps the name of a file NAME.so; other files are none of ours. */
static bool add_name(struct names *names, const char *file)
{
    size_t size = strlen(file);
    if (size <= 3 || strcmp(file + size - 3, ".so") != 0)
        return true;
    char **items = bide_realloc(names->items, (names->n + 1) * sizeof *items);
    if (!items)
        return false;
    names->items = items;
    items[names->n] = bide_strndup(file, size - 3);
    return items[names->n] && ++names->n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bide_code read_names(const char *dir, struct names *names, bide_error *error)
{
    struct dirent *entry;
    bool room = true;
    DIR *folder = opendir(dir);
    if (!folder)
        return bide_fail(error, BIDE_E_CONFIG,
            "cannot read the plugin folder %s: %s; set plugin_dir in the configuration, or give --plugin-dir "
            "DIR",
            dir, strerror(errno));
    while (room && (entry = readdir(folder)))
        room = add_name(names, entry->d_name);
    closedir(folder);
    if (!room)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (names->n)
        qsort(names->items, names->n, sizeof *names->items, by_name);
    return BIDE_OK;
}

/* False where it cannot be used: then said on standard error. */
static bool show(const struct bide_cli *cli, const char *dir, const char *name, bool allow_unsafe, bool first)
{
    struct bide_plugin *plugin;
    bide_error why;
    char *path = bide_asprintf("%s/%s.so", dir, name);
    bide_code code = path ? bide_plugin_load(path, allow_unsafe, &plugin, &why)
                          : bide_fail(&why, BIDE_E_NOMEM, "out of memory");
    bide_free(path);
    if (code != BIDE_OK) {
        fprintf(stderr, "bide handlers: %s\n", why.text);
        return false;
    }
    if (cli->json)
        print_json(plugin);
    else
        print_text(plugin, first);
    bide_plugin_unload(plugin);
    return true;
}

static bide_code list_folder(
    const struct bide_cli *cli, const char *dir, bool allow_unsafe, bide_error *error)
{
    struct names names = {0};
    size_t n_bad = 0, n = 0;
    bide_code code = read_names(dir, &names, error);
    for (size_t i = 0; i < names.n && code == BIDE_OK; i++, n++)
        n_bad += !show(cli, dir, names.items[i], allow_unsafe, i == n_bad);
    release_names(&names);
    if (code == BIDE_OK && n == 0)
        fprintf(stderr, "No plugins in %s; `bide handlers new NAME` writes one.\n", dir);
    if (code == BIDE_OK && n_bad)
        code = bide_fail(error, BIDE_E_CONFIG, "%zu of %zu plugins cannot be used", n_bad, n);
    return code;
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    const char *path = bide_cli_config_path(cli);
    struct bide_config *config;
    if (values->dir)
        return list_folder(cli, values->dir, false, error);
    bide_code code = path ? bide_config_load(path, &config, error) : bide_config_default(&config, error);
    if (code != BIDE_OK)
        return code;
    for (char **dir = config->plugin_dirs; *dir && code == BIDE_OK; dir++)
        code = list_folder(cli, *dir, config->allow_unsafe_plugins, error);
    bide_config_destroy(config);
    return code;
}

const struct bide_cli_command bide_cli_handlers = {
    .name = "handlers",
    .usage = "[--plugin-dir DIR] [options]",
    .examples = "bide handlers --plugin-dir build",
    .summary = "Lists the plugins found, with their settings.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
