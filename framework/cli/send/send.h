/* cli/send/send.h: what `bide send` and `bide send --lines` share. */
#ifndef BIDE_CLI_SEND_SEND_H
#define BIDE_CLI_SEND_SEND_H

#include <sys/types.h>

#include "bide/producer.h"
#include "cli/core/command.h"
#include "config/config.h"

/* As read(2), but waits where a non-blocking descriptor has nothing yet. */
ssize_t bide_cli_read(int fd, void *to, size_t size);
/* Appends what BODY stands for: text, @file, or - for standard input; at most max bytes. */
bide_code bide_cli_read_body(const char *given, size_t max, struct bide_buffer *to, bide_error *error);

/* Prints the id, or with --json what was sent. */
void bide_cli_print_sent(const struct bide_cli *cli, const bide_message *message);

/* Sends what lines of standard input say. */
bide_code bide_cli_send_lines(
    const struct bide_cli *cli, const struct bide_config *config, bool strict, bide_error *error);

#endif
