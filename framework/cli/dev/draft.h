/* cli/dev/draft.h: the configuration with which `bide dev` runs a worker. Thread-safety: one thread. */
#ifndef BIDE_CLI_DEV_DRAFT_H
#define BIDE_CLI_DEV_DRAFT_H

#include <jansson.h>

#include "cli/core/home.h"

enum { BIDE_DRAFT_LISTEN = 32 };

struct bide_draft {
    const struct bide_home *home;
    const char *const *words;         /* of the command, ended by NULL */
    char listen[BIDE_DRAFT_LISTEN];   /* of the console; "": all its ports are taken */
    char send_socket[BIDE_HOME_PATH]; /* for programs that send */
};

/* Looks for an address on loopback that is free now. `home` and `words` are borrowed. */
void bide_draft_init(struct bide_draft *draft, const struct bide_home *home, const char *const *words);
/* Puts the file in place of the one before, in one step: for a reload reads it at any time. types: those that
 * the program announces; NULL: not known yet. */
bide_code bide_draft_write(const struct bide_draft *draft, const json_t *types, bide_error *error);

#endif
