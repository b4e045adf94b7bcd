/* cli/commands/move.h: what `bide move` consists of. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_COMMANDS_MOVE_H
#define BIDE_CLI_COMMANDS_MOVE_H

#include "cli/core/output.h"
#include "cli/core/session.h"

/* ---- names, each once ---- */

struct bide_cli_names {
    char **items; /* owned */
    size_t n;
};

bide_code bide_cli_names_add(struct bide_cli_names *names, const char *name, bide_error *error);
void bide_cli_names_clear(struct bide_cli_names *names);

/* How many messages an export will find, in one queue (NULL: all); 0: the broker cannot tell. */
uint64_t bide_cli_backlog(const struct bide_broker_stats *stats, const char *queue);

/* ---- carrying ---- */

/* Brings batches to their destination; borrows everything. */
struct bide_carrier {
    const struct bide_cli *cli;
    struct bide_sender *sender;
    struct bide_admin *admin;
    struct bide_cli_progress progress;
    uint64_t total; /* 0: unknown */
    uint64_t ready, delayed, dead;
    struct bide_cli_names refused; /* ids; the carrier's own */
};

/* A bide_export_visit; user is a bide_carrier. A message that the destination refuses for good is named on
 * standard error and stays; each other failure ends the export. */
bide_code bide_cli_carry(void *user, struct bide_export *batch, size_t n, bide_error *error);

#endif
