/* cli/core/option.h: command-line options as rows of a table, from which come parsing, --help and the manual
 * page.
 *
 * An option is written --name VALUE, --name=VALUE, or with its letter -c VALUE; names are never abbreviated,
 * so that a script keeps its meaning when options are added. "--" ends the options. Options and arguments may
 * be mixed. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_CORE_OPTION_H
#define BIDE_CLI_CORE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "bide/error.h"

enum bide_cli_kind {
    BIDE_CLI_FLAG,     /* bool, no value */
    BIDE_CLI_TEXT,     /* const char *, of argv; NULL: not given */
    BIDE_CLI_LIST,     /* struct bide_cli_list: may be given several times */
    BIDE_CLI_INT,      /* int64_t, min … max */
    BIDE_CLI_DURATION, /* int64_t ms */
    BIDE_CLI_INSTANT,  /* int64_t Unix ms */
    BIDE_CLI_CHOICE,   /* int: the place in `choices`; -1: not given */
};

#define BIDE_CLI_UNSET INT64_MIN /* an INT, DURATION or INSTANT that was not given and has no fallback */

struct bide_cli_list {
    const char **items; /* of argv */
    size_t n;
};

struct bide_cli_option {
    const char *name; /* NULL ends a table */
    enum bide_cli_kind kind;
    size_t offset;     /* in the struct of values */
    char letter;       /* 0: none */
    const char *value; /* "FILE": what stands for the value in help */
    const char *fallback;
    int64_t min, max;
    const char *const *choices; /* ended by NULL */
    const char *help;           /* one sentence, with the unit */
};

/* A table and the struct its values go to. */
struct bide_cli_values {
    const struct bide_cli_option *options;
    void *base;
};

/* Sets every value of a zeroed struct to its fallback. */
bide_code bide_cli_values_init(const struct bide_cli_values *values, bide_error *error);
void bide_cli_values_release(const struct bide_cli_values *values);

/* Reads argv (ended by NULL) into the structs of n tables, an earlier one first. What is no option goes to
 * `ret_arguments`, which has room for all of argv. With `until_argument` it stops at the first of those;
 * *ret_used says how many of argv were read. BIDE_E_USAGE names the option and the nearest known one. */
bide_code bide_cli_parse(const struct bide_cli_values *values, size_t n, char *const *argv,
    bool until_argument, struct bide_cli_list *ret_arguments, size_t *ret_used, bide_error *error);

/* "  --delay DURATION   …" for each row, wrapped. */
void bide_cli_options_help(struct bide_buffer *to, const struct bide_cli_option *options);

#endif
