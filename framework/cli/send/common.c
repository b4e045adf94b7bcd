/* What the commands that send have in common. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/visible.h"
#include "cli/core/output.h"
#include "cli/core/session.h"
#include "cli/send/send.h"
#include "producer/configured.h"

bide_code bide_cli_open_producer(struct bide_cli *cli, bide_producer **ret_producer, bide_error *error)
{
    struct bide_config *config;
    bide_code code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK)
        return code;
    code = bide_producer_open_configured(config, ret_producer, error);
    bide_config_destroy(config);
    return code;
}

void bide_cli_print_sent(const struct bide_cli *cli, const bide_message *message)
{
    const char *holder = bide_message_duplicate_of(message);
    const char *id = *holder ? holder : bide_message_id(message);
    struct bide_buffer line;
    if (*holder && !cli->json)
        fprintf(stderr, "duplicate: the unique key '%s' is taken\n", bide_message_unique(message));
    if (!cli->json && !isatty(STDOUT_FILENO)) {
        puts(id); /* for a program: as it is */
        return;
    }
    if (!cli->json) {
        bide_buffer_init(&line);
        bide_visible_add(&line, id, strlen(id), false);
        bide_cli_print_line(&line);
        bide_buffer_release(&line);
        return;
    }
    bide_cli_object_begin(&line);
    bide_json_text(&line, "id", id);
    if (*holder) {
        bide_json_text(&line, "unique", bide_message_unique(message));
        bide_json_bool(&line, "duplicate", true);
    } else {
        bide_json_text(&line, "queue", bide_message_queue(message));
        bide_json_int(&line, "due_ms", bide_message_due_ms(message));
    }
    bide_cli_object_end(&line);
}
