/* bide(1) and a page for each subcommand. */
#include <stdio.h>
#include <string.h>

#include "manual.h"

static void write_option(struct bide_buffer *to, const struct bide_cli_option *option)
{
    bide_buffer_text(to, ".TP\n");
    if (option->letter)
        bide_buffer_format(to, "\\fB\\-%c\\fP, ", option->letter);
    bide_buffer_text(to, "\\fB\\-\\-");
    manual_text(to, option->name);
    bide_buffer_text(to, "\\fP");
    if (option->value) {
        bide_buffer_text(to, " \\fI");
        manual_text(to, option->value);
        bide_buffer_text(to, "\\fP");
    }
    bide_buffer_char(to, '\n');
    manual_text(to, option->help);
    for (size_t i = 0; option->choices && option->choices[i]; i++) {
        bide_buffer_text(to, i ? ",\n\\fB" : ":\n\\fB");
        manual_text(to, option->choices[i]);
        bide_buffer_text(to, "\\fP");
    }
    if (option->fallback) {
        bide_buffer_text(to, " (default: ");
        manual_text(to, option->fallback);
        bide_buffer_char(to, ')');
    }
    bide_buffer_char(to, '\n');
}

static void write_options(struct bide_buffer *to, const char *heading, const struct bide_cli_option *options)
{
    if (!options || !options->name)
        return;
    bide_buffer_format(to, ".SH %s\n", heading);
    for (; options->name; options++)
        write_option(to, options);
}

/* A status that several codes share is one row. */
static void write_statuses(struct bide_buffer *to)
{
    static const struct {
        int status;
        const char *meaning;
    } rows[] = {
#define STATUS_ROW(name, status, meaning) {status, meaning},
        BIDE_CODES(STATUS_ROW)
#undef STATUS_ROW
    };
    int before = -1;
    bide_buffer_text(to, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == before)
            bide_buffer_text(to, "; ");
        else
            bide_buffer_format(to, "%s.TP\n\\fB%d\\fP\n", i ? "\n" : "", rows[i].status);
        manual_text(to, rows[i].meaning);
        before = rows[i].status;
    }
    bide_buffer_char(to, '\n');
}

/* "dead list" -> "bide-dead-list" */
static void add_page_name(struct bide_buffer *to, const struct bide_cli_command *command, const char *dash)
{
    bide_buffer_format(to, "bide%s", dash);
    for (const char *c = command->name; *c; c++)
        bide_buffer_format(to, *c == ' ' ? "%s" : "%.1s", *c == ' ' ? dash : c);
}

static void write_see_also(struct bide_buffer *to, const struct bide_cli_command *but)
{
    bide_buffer_text(to, ".SH SEE ALSO\n");
    if (but)
        bide_buffer_text(to, ".BR bide (1),\n");
    for (const struct bide_cli_command *const *command = bide_cli_commands(); *command; command++) {
        if (*command == but)
            continue;
        bide_buffer_text(to, ".BR ");
        add_page_name(to, *command, "\\-");
        bide_buffer_text(to, " (1),\n");
    }
    bide_buffer_text(to, ".BR bide.conf (5)\n");
}

void manual_write_command(struct bide_buffer *to, const struct bide_cli_command *command)
{
    struct bide_buffer name;
    bide_buffer_init(&name);
    add_page_name(&name, command, "-");
    bide_buffer_char(&name, '\0');
    manual_head(to, name.bytes, "1", command->summary);
    bide_buffer_release(&name);
    bide_buffer_text(to, ".SH SYNOPSIS\n.nf\n");
    const char *usage = command->usage;
    for (bool first = true; *usage || first; first = false) {
        char line[512];
        size_t size = strcspn(usage, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, usage);
        bide_buffer_format(to, "\\fBbide %s\\fP ", command->name);
        manual_line(to, line);
        bide_buffer_char(to, '\n');
        usage += size + (usage[size] == '\n');
    }
    bide_buffer_text(to, ".fi\n.SH DESCRIPTION\n");
    manual_paragraphs(to, command->summary);
    if (command->details) {
        bide_buffer_text(to, ".PP\n");
        manual_paragraphs(to, command->details);
    }
    bide_buffer_text(to, ".SH EXAMPLES\n.nf\n");
    manual_line(to, command->examples);
    bide_buffer_text(to, "\n.fi\n");
    write_options(to, "OPTIONS", command->options);
    write_options(to, "OPTIONS OF EVERY COMMAND", bide_cli_global_options());
    write_statuses(to);
    write_see_also(to, command);
}

static void write_commands(struct bide_buffer *to)
{
    bide_buffer_text(to, ".SH COMMANDS\n");
    for (const struct bide_cli_command *const *command = bide_cli_commands(); *command; command++) {
        bide_buffer_text(to, ".TP\n.BR ");
        add_page_name(to, *command, "\\-");
        bide_buffer_text(to, " (1)\n");
        manual_text(to, (*command)->summary);
        bide_buffer_char(to, '\n');
    }
}

static const char environment[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B BIDE_BROKER\nThe broker's URL: wins over the configuration, and \\fB\\-\\-broker\\fP over it.\n"
    ".TP\n.B NO_COLOR\nSet to anything: no colours on a terminal.\n"
    ".TP\n.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC\nSet by a service manager that wants to hear whether a "
    "worker\n"
    "is ready and alive; see\n.BR sd_notify (3).\n"
    ".PP\nA configuration may take any other in as \\fB${NAME}\\fP.\n"
    ".SH FILES\n"
    ".TP\n.I ./bide.conf\nThe configuration, where no other is given.\n"
    ".TP\n.I /etc/bide/bide.conf\nThe configuration, where there is none in the working directory.\n";

void manual_write_program(struct bide_buffer *to)
{
    manual_head(to, "bide", "1", "runs messages later, or again");
    bide_buffer_text(to, ".SH SYNOPSIS\n\\fBbide\\fP \\fICOMMAND\\fP [options]\n.SH DESCRIPTION\n");
    manual_paragraphs(to,
        "Producers send a message with a delay; the broker (a SQLite file, RabbitMQ, or Redis) holds it; a "
        "worker runs its handler when it is due, and again, later, when that fails. What fails "
        "for good is kept as a dead letter.");
    write_commands(to);
    write_options(to, "OPTIONS OF EVERY COMMAND", bide_cli_global_options());
    write_statuses(to);
    bide_buffer_text(to, environment);
    write_see_also(to, NULL);
}
