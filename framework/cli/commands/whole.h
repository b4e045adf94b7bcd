/* cli/commands/whole.h: a whole message as people read it: `bide show`, `bide dead show`. */
#ifndef BIDE_CLI_COMMANDS_WHOLE_H
#define BIDE_CLI_COMMANDS_WHOLE_H

#include "base/buffer.h"
#include "bide/admin.h"

/* A line a field, then the body. What would steer a terminal is made visible. */
void bide_cli_whole_text(struct bide_buffer *to, const bide_found *found);

#endif
