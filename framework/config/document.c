#include <inttypes.h>
#include <string.h>

#include "base/units.h"
#include "config/config.h"
#include "config/options.h"

static const char *const kind_names[] = {
    [BIDE_OPTION_STRING] = "string",
    [BIDE_OPTION_STRINGS] = "string or list of strings",
    [BIDE_OPTION_TYPE] = "name",
    [BIDE_OPTION_QUEUE] = "name",
    [BIDE_OPTION_ADDRESS] = "name",
    [BIDE_OPTION_TOPIC] = "name",
    [BIDE_OPTION_SUBSCRIPTION] = "SUB@TOPIC",
    [BIDE_OPTION_NAMESPACE] = "name",
    [BIDE_OPTION_INT] = "whole number",
    [BIDE_OPTION_BOOL] = "true or false",
    [BIDE_OPTION_FRACTION] = "number",
    [BIDE_OPTION_DURATION] = "duration",
    [BIDE_OPTION_RATE] = "rate",
    [BIDE_OPTION_SIZE] = "size",
    [BIDE_OPTION_CHOICE] = "choice",
    [BIDE_OPTION_WORD] = "choice",
    [BIDE_OPTION_BACKOFF] = "choice or list of durations",
    [BIDE_OPTION_GROUP] = "group",
    [BIDE_OPTION_LIST] = "list of groups",
    [BIDE_OPTION_SETTINGS] = "group",
};

static bool is_number(const struct bide_option *option)
{
    return option->kind == BIDE_OPTION_INT || option->kind == BIDE_OPTION_FRACTION;
}

/* Does the value stand in the file without quotes? */
static bool is_bare(const struct bide_option *option)
{
    return is_number(option) || option->kind == BIDE_OPTION_BOOL;
}

static bool is_nested(const struct bide_option *option)
{
    return option->kind == BIDE_OPTION_GROUP || option->kind == BIDE_OPTION_LIST;
}

void bide_option_add_size(struct bide_buffer *to, int64_t bytes)
{
    const int64_t mib = 1024 * 1024, gib = mib * 1024;
    if (bytes > 0 && bytes % gib == 0)
        bide_buffer_format(to, "%" PRId64 "GiB", bytes / gib);
    else if (bytes > 0 && bytes % mib == 0)
        bide_buffer_format(to, "%" PRId64 "MiB", bytes / mib);
    else
        bide_buffer_format(to, "%" PRId64, bytes);
}

/* Writes "1 … 1024" or "0s … 1d"; nothing for kinds without a range. */
static void add_range(struct bide_buffer *to, const struct bide_option *option)
{
    char min[BIDE_DURATION_TEXT], max[BIDE_DURATION_TEXT];
    if (option->kind == BIDE_OPTION_DURATION) {
        bide_buffer_format(
            to, "%s … %s", bide_format_duration(option->min, min), bide_format_duration(option->max, max));
    } else if (option->kind == BIDE_OPTION_SIZE) {
        bide_option_add_size(to, option->min);
        bide_buffer_text(to, " … ");
        bide_option_add_size(to, option->max);
    } else if (is_number(option)) {
        bide_buffer_format(to, "%" PRId64 " … %" PRId64, option->min, option->max);
    }
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        bide_buffer_format(to, "%s`%s`", i ? ", " : "", option->choices[i]);
}

/* ---- docs/configuration.md ---- */

static void write_row(struct bide_buffer *to, const struct bide_option *option)
{
    bide_buffer_format(to, "| `%s` | %s | ", option->key, kind_names[option->kind]);
    add_range(to, option);
    if (!option->fallback)
        bide_buffer_text(to, " | required | ");
    else if (!*option->fallback)
        bide_buffer_text(to, " | | ");
    else
        bide_buffer_format(to, " | `%s` | ", option->fallback);
    bide_buffer_text(to, option->help);
    if (is_nested(option))
        bide_buffer_text(to, " See below.");
    bide_buffer_text(to, " |\n");
}

static void write_section(struct bide_buffer *to, const struct bide_option_section *section)
{
    if (*section->name)
        bide_buffer_format(to, "\n## `%s`\n\n%s\n", section->name, section->help);
    else
        bide_buffer_text(to, "\n## Top level\n");
    bide_buffer_text(to, "\n| key | kind | range | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (const struct bide_option *option = section->options; option->key; option++)
        write_row(to, option);
    for (const struct bide_option *option = section->options; option->key; option++)
        if (is_nested(option))
            write_section(to, option->section);
}

void bide_config_write_reference(struct bide_buffer *to)
{
    bide_buffer_text(to,
        "<!-- Generated from framework/config/options.c: `cmake --build build/dev --target docs`. -->\n"
        "# Configuration\n\n"
        "One libconfig file serves all commands: `-c FILE`, else `./bide.conf`, else `/etc/bide/bide.conf`.\n"
        "Without any file, but with a broker from `--broker` or `BIDE_BROKER`, the defaults below hold.\n\n"
        "- Durations are written in quotes with their unit: `\"250ms\"`, `\"1.5s\"`, `\"10m\"`, `\"36h\"`, "
        "`\"7d\"`; the\n"
        "  longest is `3650d`. Sizes: `4096`, `\"64KiB\"`, `\"1MiB\"`.\n"
        "- Relative paths start at the folder of the file. `@include \"other.conf\"` takes in another file, "
        "from the\n"
        "  folder of the file that includes it.\n"
        "- `${NAME}` in any string takes a value from the environment, else from the file `bide.env` beside "
        "the "
        "configuration\n"
        "  (lines `NAME=value`; only the service's user or group should be able to read it). A variable that "
        "is "
        "not set is an\n"
        "  error; in `handlers`, `programs` and `http` only for `worker` and `check`. `$${` stands for a "
        "plain `${`, as "
        "a "
        "shell script in\n"
        "  `settings` may need it.\n"
        "- A file that belongs to anybody but root or the user who runs bide, or that others can write, is "
        "refused "
        "with\n"
        "  what to do; so is one below a folder of that kind (a sticky one such as `/tmp` will do). The same "
        "holds "
        "for\n"
        "  what it includes, `bide.env`, `secret_file`, plugins and the program of `command`.\n"
        "- An unknown key, a value of another kind or out of its range is refused with file and line; "
        "nothing runs\n"
        "  with half a configuration.\n\n"
        "A file with every option is `config/bide.reference.conf`; ready ones, one a broker, lie beside "
        "it.\n");
    write_section(to, bide_option_root());
}

/* ---- config/bide.reference.conf ---- */

static void indent(struct bide_buffer *to, int depth)
{
    for (int i = 0; i < depth; i++)
        bide_buffer_text(to, "  ");
}

/* Writes the help as comment lines of about 100 columns. */
static void write_comment(struct bide_buffer *to, const char *text, int depth)
{
    while (*text) {
        size_t size = strlen(text), most = 100 - 2 * (size_t)depth;
        if (size > most)
            for (size = most; text[size] != ' ';)
                size--;
        indent(to, depth);
        bide_buffer_format(to, "// %.*s\n", (int)size, text);
        text += size + (text[size] == ' ');
    }
}

static void write_sample_section(
    struct bide_buffer *to, const struct bide_option_section *section, int depth);

static void write_sample_nested(struct bide_buffer *to, const struct bide_option *option, int depth)
{
    bool list = option->kind == BIDE_OPTION_LIST;
    bide_buffer_format(to, "%s%s\n", option->key, list ? " = (" : ": {");
    if (list) {
        indent(to, depth + 1);
        bide_buffer_text(to, "{\n");
    }
    write_sample_section(to, option->section, depth + 1 + list);
    if (list) {
        indent(to, depth + 1);
        bide_buffer_text(to, "}\n");
    }
    indent(to, depth);
    bide_buffer_text(to, list ? ");\n" : "};\n");
}

static void write_sample_option(struct bide_buffer *to, const struct bide_option *option, int depth)
{
    const char *value = option->sample ? option->sample : option->fallback;
    write_comment(to, option->help, depth);
    indent(to, depth);
    if (is_nested(option))
        write_sample_nested(to, option, depth);
    else if (option->kind == BIDE_OPTION_SETTINGS)
        bide_buffer_format(to, "settings: { path = \"receipts.ndjson\"; };\n");
    else if (!*value)
        bide_buffer_format(to, "// %s = \"handlers\";\n", option->key);
    else
        bide_buffer_format(to, is_bare(option) ? "%s = %s;\n" : "%s = \"%s\";\n", option->key, value);
}

static void write_sample_section(struct bide_buffer *to, const struct bide_option_section *section, int depth)
{
    for (const struct bide_option *option = section->options; option->key; option++) {
        if (option != section->options)
            bide_buffer_char(to, '\n');
        write_sample_option(to, option, depth);
    }
}

void bide_config_write_sample(struct bide_buffer *to)
{
    bide_buffer_text(to,
        "// Every option of bide, with its default where it has one (docs/configuration.md).\n"
        "// Generated from framework/config/options.c: `cmake --build build/dev --target docs`.\n\n");
    write_sample_section(to, bide_option_root(), 0);
}
