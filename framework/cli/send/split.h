/* cli/send/split.h: a descriptor's bytes as lines. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_SEND_SPLIT_H
#define BIDE_CLI_SEND_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "bide/error.h"

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

#endif
