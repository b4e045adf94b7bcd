/* cli/commands/key.h: what waits under a unique key (docs/unique.md), for bide show, cancel and reschedule.
 * One thread at a time. */
#ifndef BIDE_CLI_COMMANDS_KEY_H
#define BIDE_CLI_COMMANDS_KEY_H

#include "bide/admin.h"
#include "cli/core/command.h"
#include "config/config.h"
#include "keys/slot.h"

/* The slot as it is in the store. */
bide_code bide_cli_key_look(
    const struct bide_config *config, const char *key, struct bide_key_slot *ret_slot, bide_error *error);

/* due_ms -1: cancels, else reschedules. can_move: the broker can change a message that waits; else only a
 * later time is possible. The slot comes first: what a command that was killed has not changed in the broker,
 * a worker does when the message lands. id: of the message that has the key, or had it last. */
bide_code bide_cli_key_change(const struct bide_config *config, const char *key, int64_t due_ms,
    bool can_move, bide_fate *ret_fate, char id[BIDE_ID_MAX + 1], bide_error *error);

#endif
