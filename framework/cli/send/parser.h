/* cli/send/parser.h: one line of `bide send --lines` as a message. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_SEND_PARSER_H
#define BIDE_CLI_SEND_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "bide/message.h"
#include "config/config.h"

struct bide_cli_line_counts {
    uint64_t read, bad;
};

enum { BIDE_CLI_WARNED_MAX = 8 };

struct bide_cli_parser {
    const struct bide_config *config;
    bool strict; /* a message that no worker of the configuration would run is a bad line; else: warned of
                    once a type */
    struct bide_cli_line_counts counts;
    char warned[BIDE_CLI_WARNED_MAX][BIDE_NAME_MAX + 1];
    size_t n_warned;
};

/* The message of the next line, with the queue of its type's handler where it names none; NULL for a blank
 * line and for a bad one, which is reported on standard error with its number. text NULL: the line was too
 * long. */
bide_message *bide_cli_parser_next(struct bide_cli_parser *parser, const char *text, size_t size);

/* The longest line that can hold a good message: a body may be written with six bytes for one. */
size_t bide_cli_parser_longest(const struct bide_config *config);

/* Only looks: reads a descriptor to its end, reporting bad lines. */
bide_code bide_cli_lines_check(
    int fd, const struct bide_config *config, struct bide_cli_line_counts *ret_counts, bide_error *error);

#endif
