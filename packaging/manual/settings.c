/* bide.conf(5), from the one table of configuration options. */
#include <stdio.h>
#include <inttypes.h>

#include "base/units.h"
#include "config/options.h"
#include "manual.h"

static const char *const kinds[] = {
    [BIDE_OPTION_STRING] = "string",
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
    [BIDE_OPTION_SIZE] = "size",
    [BIDE_OPTION_CHOICE] = "choice",
    [BIDE_OPTION_BACKOFF] = "choice, or list of durations",
    [BIDE_OPTION_GROUP] = "group",
    [BIDE_OPTION_LIST] = "list of groups",
    [BIDE_OPTION_SETTINGS] = "group",
};

static void write_range(struct bide_buffer *to, const struct bide_option *option)
{
    char min[BIDE_DURATION_TEXT], max[BIDE_DURATION_TEXT], text[3 * BIDE_DURATION_TEXT];
    if (option->kind == BIDE_OPTION_DURATION)
        snprintf(text, sizeof text, ", %s … %s", bide_format_duration(option->min, min),
            bide_format_duration(option->max, max));
    else if (option->kind == BIDE_OPTION_INT || option->kind == BIDE_OPTION_FRACTION)
        snprintf(text, sizeof text, ", %" PRId64 " … %" PRId64, option->min, option->max);
    else
        text[0] = '\0';
    manual_text(to, text);
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        bide_buffer_format(to, "%s\\fB%s\\fP", i ? ", " : ": ", option->choices[i]);
}

static void write_option(struct bide_buffer *to, const struct bide_option *option)
{
    bide_buffer_format(to, ".TP\n\\fB%s\\fP (%s", option->key, kinds[option->kind]);
    write_range(to, option);
    if (!option->fallback)
        bide_buffer_text(to, "; required");
    else if (*option->fallback) {
        bide_buffer_text(to, "; default: ");
        manual_text(to, option->fallback);
    }
    bide_buffer_text(to, ")\n");
    manual_text(to, option->help);
    bide_buffer_char(to, '\n');
}

static void write_section(struct bide_buffer *to, const struct bide_option_section *section)
{
    if (*section->name) {
        bide_buffer_format(to, ".SS %s\n", section->name);
        manual_paragraphs(to, section->help);
    }
    for (const struct bide_option *option = section->options; option->key; option++)
        write_option(to, option);
    for (const struct bide_option *option = section->options; option->key; option++)
        if (option->section)
            write_section(to, option->section);
}

static const char description[] = "One file serves all commands: that of `--config`, else `./bide.conf`, "
                                  "else `/etc/bide/bide.conf`. It is written in\n"
                                  "the language of libconfig: `key = value;`, groups as `key: { … };`, lists "
                                  "of groups as `key = ( { … }, { … } );`,\n"
                                  "comments behind `//` or `#`.\n"
                                  "\n"
                                  "Durations are strings with a unit: `\"250ms\"`, `\"1.5s\"`, `\"10m\"`, "
                                  "`\"36h\"`, `\"7d\"`. Sizes: `4096`, `\"64KiB\"`,\n"
                                  "`\"1MiB\"`. `${NAME}` in a string takes in an environment variable. "
                                  "Relative paths start at the folder of the file;\n"
                                  "`@include \"other.conf\"` takes in another one.\n"
                                  "\n"
                                  "An unknown key, or a value of another kind or out of its range, is "
                                  "refused with file and line; nothing runs with half a\n"
                                  "configuration. `bide check` says whether a worker would start.\n";

static const char example[] = "  broker = \"sqlite:/var/lib/bide/bide.db\";\n"
                              "  worker: { threads = 8; drain = \"30s\"; };\n"
                              "  handlers = (\n"
                              "    { type = \"receipt\"; plugin = \"journal\";\n"
                              "      settings: { path = \"/var/lib/bide/receipts.ndjson\"; }; }\n"
                              "  );\n";

void manual_write_settings(struct bide_buffer *to)
{
    manual_head(to, "bide.conf", "5", "configuration of bide");
    bide_buffer_text(to, ".SH DESCRIPTION\n");
    manual_paragraphs(to, description);
    bide_buffer_text(to, ".SH SETTINGS\n");
    write_section(to, bide_option_root());
    bide_buffer_text(to, ".SH EXAMPLES\n");
    manual_paragraphs(to, example);
    bide_buffer_text(to, ".SH SEE ALSO\n.BR bide (1),\n.BR bide\\-check (1),\n.BR bide\\-worker (1)\n");
}
