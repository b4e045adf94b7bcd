/* config/environment.h: the values of "${NAME}" in a configuration: from the environment, else from the file
 * `bide.env` beside the configuration.
 *
 * bide.env has lines NAME=value, in the format of systemd's EnvironmentFile: '#' and ';' begin a comment
 * line; a value may be quoted as "…" (where \" \\ \$ \` stand for the character) or '…'. Its values are
 * not put into the process's environment: programs that handlers start do not inherit them. One thread at
 * a time. */
#ifndef BIDE_CONFIG_ENVIRONMENT_H
#define BIDE_CONFIG_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "bide/error.h"

struct bide_environment {
    char *path; /* of the file; NULL: there is none */
    bool unreadable;
    char *text; /* of the file: the rows point into it */
    struct {
        const char *name, *value;
    } * rows;
    size_t n_rows;
};

/* A missing file, or one that this user may not read, is no failure; a wrong line is. */
bide_code bide_environment_load(
    const char *config_path, struct bide_environment *ret_environment, bide_error *error);
void bide_environment_release(struct bide_environment *environment);
/* NULL if the variable is not set. The value is valid until the release or the next setenv. */
const char *bide_environment_get(const struct bide_environment *environment, const char *name);

#endif
