/* cli/send/send.h: what `bide send` and `bide send --lines` consist of. One thread at a time, but for the
 * reader of lines.c. */
#ifndef BIDE_CLI_SEND_SEND_H
#define BIDE_CLI_SEND_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bide/error.h"
#include "bide/message.h"
#include "bide/producer.h"
#include "cli/core/command.h"
#include "config/config.h"

struct bide_cli_lines;

/* ---- split.c ---- */

/* A descriptor's bytes as lines. Thread-safety: one thread at a time. */

struct bide_cli_splitter {
    int fd;
    int wakeup_fd;  /* readable: stop; -1: none */
    size_t longest; /* bytes of a line; a longer one is handed over as NULL */
    /* One line without its end; false stops. */
    bool (*line)(void *user, const char *text, size_t size);
    /* Nothing more can be read at the moment. */
    void (*idle)(void *user);
    void *user;
};

/* Until the end of the input, a stop, or an error of reading. The last line needs no newline. */
bide_code bide_cli_split(const struct bide_cli_splitter *splitter, bide_error *error);

/* ---- parser.c ---- */

/* One line of `bide send --lines` as a message. Thread-safety: one thread at a time. */

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

/* ---- lines.c ---- */

/* Messages from lines of JSON, parsed on a thread of their own while others are being sent.
 *
 * The reader thread owns what it has parsed until it hands it over (bounded in number and bytes, then it
 * waits); from bide_cli_lines_take on, a message is the caller's. A bad line is reported on standard error
 * and counted. Thread-safety: take, counts and close by one thread, not the reader's. */

enum { BIDE_CLI_BATCH = 1000 };

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

/* ---- body.c ---- */

/* As read(2), but waits where a non-blocking descriptor has nothing yet. */
ssize_t bide_cli_read(int fd, void *to, size_t size);
/* Appends what BODY stands for: text, @file, or - for standard input; at most max bytes. */
bide_code bide_cli_read_body(const char *given, size_t max, struct bide_buffer *to, bide_error *error);

/* ---- common.c ---- */

/* A producer for the configuration's broker and store. */
bide_code bide_cli_open_producer(struct bide_cli *cli, bide_producer **ret_producer, bide_error *error);
/* Prints the id, or with --json what was sent. */
void bide_cli_print_sent(const struct bide_cli *cli, const bide_message *message);

/* ---- send_lines.c ---- */

/* Sends what lines of standard input say. */
bide_code bide_cli_send_lines(
    const struct bide_cli *cli, const struct bide_config *config, bool strict, bide_error *error);

#endif
