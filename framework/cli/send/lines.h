/* cli/send/lines.h: messages from lines of JSON, parsed on a thread of their own while others are being sent.
 *
 * The reader thread owns what it has parsed until it hands it over (bounded in number and bytes, then it
 * waits); from bide_cli_lines_take on, a message is the caller's. A bad line is reported on standard error
 * and counted. Thread-safety: take, counts and close by one thread, not the reader's. */
#ifndef BIDE_CLI_SEND_LINES_H
#define BIDE_CLI_SEND_LINES_H

#include <stdint.h>

#include "cli/send/parser.h"

enum { BIDE_CLI_BATCH = 1000 };

struct bide_cli_lines;

struct bide_cli_line {
    uint64_t number; /* 1 for the first of the input */
    bide_message *message;
};

/* Starts reading a descriptor, which stays the caller's; the configuration must outlive it. */
bide_code bide_cli_lines_open(
    int fd, const struct bide_config *config, struct bide_cli_lines **ret_lines, bide_error *error);

/* Up to BIDE_CLI_BATCH messages in the order of the lines; *ret_n is 0 at the end of the input. Waits for the
 * first; for more only while the input flows, and a few milliseconds at most. */
bide_code bide_cli_lines_take(
    struct bide_cli_lines *lines, struct bide_cli_line to[BIDE_CLI_BATCH], size_t *ret_n, bide_error *error);

/* So far; exact once take has given 0. */
struct bide_cli_line_counts bide_cli_lines_counts(struct bide_cli_lines *lines);

/* Stops reading where it is. NULL is fine. */
void bide_cli_lines_close(struct bide_cli_lines *lines);

#endif
