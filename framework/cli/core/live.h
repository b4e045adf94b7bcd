/* cli/core/live.h: running workers of a configuration on this host, spoken to by HTTP over their Unix sockets
 * (console/). Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_CORE_LIVE_H
#define BIDE_CLI_CORE_LIVE_H

#include <stddef.h>

#include "cli/core/command.h"
#include "config/config.h"

enum { BIDE_CLI_LIVE_MAX = 16 }; /* workers of one configuration on one host; more are left out */

struct bide_cli_live {
    struct bide_config *config;
    char *paths[BIDE_CLI_LIVE_MAX]; /* of their sockets */
    size_t n;
};

/* Finds them; BIDE_E_BROKER where none runs. */
bide_code bide_cli_live_open(struct bide_cli *cli, struct bide_cli_live *ret_live, bide_error *error);
/* Looks again: who has ended is gone from `paths`, who has begun is there; n may become 0. */
void bide_cli_live_look(struct bide_cli_live *live);
void bide_cli_live_close(struct bide_cli_live *live);

/* POST to each; an error is what the first that refuses says. */
bide_code bide_cli_live_post(const struct bide_cli_live *live, const char *path, bide_error *error);

/* GET from the i-th; what it says is added to `answer`, whatever that is. */
bide_code bide_cli_live_get(const struct bide_cli_live *live, size_t i, const char *path,
    struct bide_buffer *answer, bide_error *error);

/* Called with each line of what the workers stream, without its end. False: enough. */
typedef bool bide_cli_live_line(void *user, const char *line, size_t size);
/* GET from all at once, until the last of them has ended or enough was seen. */
bide_code bide_cli_live_follow(const struct bide_cli_live *live, const char *path, bide_cli_live_line *visit,
    void *user, bide_error *error);

#endif
