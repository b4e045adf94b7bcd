/* bide handlers new: a ready folder for a handler of one's own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/names.h"
#include "cli/core/command.h"

/* @NAME@ stands for the handler's name. */
static const char source_text[] =
    "/* @NAME@: says what arrives. <bide/handler.h> is the manual. */\n"
    "#include <stdlib.h>\n"
    "\n"
    "#include <bide/handler.h>\n"
    "\n"
    "struct state {\n"
    "    const char *greeting; /* lives as long as the settings: until close has returned */\n"
    "};\n"
    "\n"
    "static const bide_setting_spec settings[] = {\n"
    "    {\"greeting\", BIDE_SETTING_STRING, \"hello\", \"What is written in front of the body.\"},\n"
    "    {0},\n"
    "};\n"
    "\n"
    "/* Once, before any message. */\n"
    "static bide_code open_state(const bide_settings *given, void **ret_state, bide_error *error)\n"
    "{\n"
    "    struct state *state = malloc(sizeof *state);\n"
    "    if (!state)\n"
    "        return bide_fail(error, BIDE_E_NOMEM, \"out of memory\");\n"
    "    state->greeting = bide_settings_string(given, \"greeting\");\n"
    "    *ret_state = state;\n"
    "    return BIDE_OK;\n"
    "}\n"
    "\n"
    "/* For each message; on several threads at once, unless `concurrency = 1` is configured. */\n"
    "static bide_outcome handle(void *given, const bide_message *message, bide_context *context)\n"
    "{\n"
    "    const struct state *state = given;\n"
    "    size_t size;\n"
    "    const char *body = bide_message_body(message, &size);\n"
    "    if (size == 0)\n"
    "        return bide_dead(context, \"an empty body\");\n"
    "    bide_context_log(context, BIDE_LOG_INFO, state->greeting,\n"
    "        (const bide_log_field[]){BIDE_STR(\"body\", body), {0}});\n"
    "    return BIDE_DONE; /* or: return bide_retry(context, BIDE_BY_POLICY, \"why\"); */\n"
    "}\n"
    "\n"
    "static void close_state(void *given)\n"
    "{\n"
    "    free(given);\n"
    "}\n"
    "\n"
    "const bide_plugin_descriptor bide_plugin = {\n"
    "    BIDE_PLUGIN_HEAD,\n"
    "    .name = \"@NAME@\",\n"
    "    .version = \"0.1\",\n"
    "    .summary = \"Says what arrives.\",\n"
    "    .settings = settings,\n"
    "    .open = open_state,\n"
    "    .handle = handle,\n"
    "    .close = close_state,\n"
    "};\n";

static const char cmake_text[] =
    "cmake_minimum_required(VERSION 3.16)\n"
    "project(@NAME@ LANGUAGES C)\n"
    "\n"
    "find_package(bide REQUIRED)\n"
    "\n"
    "add_library(@NAME@ MODULE @NAME@.c)\n"
    "set_target_properties(@NAME@ PROPERTIES PREFIX \"\")\n"
    "target_compile_options(@NAME@ PRIVATE -Wall -Wextra)\n"
    "# The headers alone: bide's functions come from the process that loads the plugin.\n"
    "target_include_directories(@NAME@ PRIVATE\n"
    "  $<TARGET_PROPERTY:bide::shared,INTERFACE_INCLUDE_DIRECTORIES>)\n";

static const char readme_text[] =
    "# @NAME@\n"
    "\n"
    "A handler for bide. Build it, and let bide find it:\n"
    "\n"
    "    cmake -B build && cmake --build build\n"
    "    bide handlers --plugin-dir build\n"
    "\n"
    "Then, in the configuration (`plugin_dir` is where `@NAME@.so` lies):\n"
    "\n"
    "    handlers = (\n"
    "      { type = \"@NAME@\"; plugin = \"@NAME@\"; settings: { greeting = \"hello\"; }; }\n"
    "    );\n"
    "\n"
    "and try it:\n"
    "\n"
    "    bide check\n"
    "    bide send @NAME@ 'a body'\n"
    "    bide worker --exit-idle 1s\n";

static const struct {
    const char *name, *text;
} files[] = {
    {"@NAME@.c", source_text},
    {"CMakeLists.txt", cmake_text},
    {"README.md", readme_text},
};

static void fill_in(struct bide_buffer *to, const char *text, const char *name)
{
    const char *mark;
    for (; (mark = strstr(text, "@NAME@")); text = mark + strlen("@NAME@")) {
        bide_buffer_add(to, text, (size_t)(mark - text));
        bide_buffer_text(to, name);
    }
    bide_buffer_text(to, text);
}

static bide_code write_file(const char *path, const struct bide_buffer *text, bide_error *error)
{
    FILE *file = fopen(path, "wx");
    bool written = file && !text->failed && fwrite(text->bytes, 1, text->size, file) == text->size;
    int why = errno;
    if (file && fclose(file) != 0 && written) {
        written = false;
        why = errno;
    }
    return written ? BIDE_OK : bide_fail(error, BIDE_E_DATA, "cannot write %s: %s", path, strerror(why));
}

static bide_code write_files(const char *name, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && code == BIDE_OK; i++) {
        struct bide_buffer path, text;
        bide_buffer_init(&path);
        bide_buffer_init(&text);
        bide_buffer_format(&path, "%s/", name);
        fill_in(&path, files[i].name, name);
        fill_in(&text, files[i].text, name);
        code = path.failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory")
                           : write_file(path.bytes, &text, error);
        if (code == BIDE_OK)
            printf("%s\n", path.bytes);
        bide_buffer_release(&path);
        bide_buffer_release(&text);
    }
    return code;
}

static bide_code run(struct bide_cli *cli, void *values, bide_error *error)
{
    const char *name = cli->arguments.items[0];
    (void)values;
    if (!bide_namespace_valid(name))
        return bide_fail(error, BIDE_E_USAGE,
            "'%.60s' will not do as a plugin's name: letters, digits, '-' and '_', "
            "not beginning with a digit",
            name);
    if (mkdir(name, 0777) != 0)
        return bide_fail(error, BIDE_E_DATA, "cannot create the folder %s: %s", name, strerror(errno));
    return write_files(name, error);
}

const struct bide_cli_command bide_cli_handlers_new = {
    .name = "handlers new",
    .usage = "NAME [options]",
    .examples = "bide handlers new resize",
    .summary = "Writes a ready folder NAME for a handler of your own.",
    .details = "NAME.c, CMakeLists.txt and README.md, which says how to build and try it.",
    .min_arguments = 1,
    .max_arguments = 1,
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
