#include "cli/send/send.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "producer/configured.h"
#include "producer/unserved.h"

static bool is_blank(const char *text, size_t size)
{
    while (size && memchr(" \t\r", text[size - 1], 3))
        size--;
    return size == 0;
}

static bool has_warned_of(const struct bide_cli_parser *parser, const char *type)
{
    for (size_t i = 0; i < parser->n_warned; i++)
        if (strcmp(parser->warned[i], type) == 0)
            return true;
    return parser->n_warned == BIDE_CLI_WARNED_MAX;
}

/* Refused where strict; else a warning, the first time. */
static bide_code judge_service(struct bide_cli_parser *parser, const bide_message *message, bide_error *error)
{
    char text[BIDE_UNSERVED_TEXT];
    const char *type = bide_message_type(message);
    if (!bide_is_unserved(parser->config, type, bide_message_queue(message), text))
        return BIDE_OK;
    if (parser->strict)
        return bide_fail(error, BIDE_E_DATA, "%s", text);
    if (!has_warned_of(parser, type)) {
        fprintf(stderr, "line %" PRIu64 ": warning: %s\n", parser->counts.read, text);
        snprintf(parser->warned[parser->n_warned++], sizeof parser->warned[0], "%s", type);
    }
    return BIDE_OK;
}

static bide_code parse_line(struct bide_cli_parser *parser, const char *text, size_t size,
    bide_message **ret_message, bide_error *error)
{
    bide_message *message;
    if (!text)
        return bide_fail(
            error, BIDE_E_DATA, "the line is too long for any message that worker.max_body allows");
    bide_code code = bide_message_from_line(parser->config, text, size, &message, error);
    if (code != BIDE_OK)
        return code;
    code = judge_service(parser, message, error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}

bide_message *bide_cli_parser_next(struct bide_cli_parser *parser, const char *text, size_t size)
{
    bide_message *message = NULL;
    bide_error error;
    parser->counts.read++;
    if (text && is_blank(text, size))
        return NULL;
    if (parse_line(parser, text, size, &message, &error) == BIDE_OK)
        return message;
    parser->counts.bad++;
    fprintf(stderr, "line %" PRIu64 ": %s\n", parser->counts.read, error.text);
    return NULL;
}

size_t bide_cli_parser_longest(const struct bide_config *config)
{
    return (size_t)config->worker.max_body * 6 + 1024 * 1024;
}

/* ---- only looking: --strict ---- */

static bool look_at_line(void *user, const char *text, size_t size)
{
    bide_message_destroy(bide_cli_parser_next(user, text, size));
    return true;
}

static void look_idle(void *user)
{
    (void)user;
}

bide_code bide_cli_lines_check(
    int fd, const struct bide_config *config, struct bide_cli_line_counts *ret_counts, bide_error *error)
{
    struct bide_cli_parser parser = {.config = config, .strict = true};
    const struct bide_cli_splitter splitter = {
        fd, -1, bide_cli_parser_longest(config), look_at_line, look_idle, &parser};
    bide_code code = bide_cli_split(&splitter, error);
    *ret_counts = parser.counts;
    return code;
}
