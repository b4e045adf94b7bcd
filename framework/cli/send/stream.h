/* cli/send/stream.h: what the commands `bide stream …` share. One thread. */
#ifndef BIDE_CLI_SEND_STREAM_H
#define BIDE_CLI_SEND_STREAM_H

#include "bide/stream.h"
#include "cli/core/command.h"
#include "cli/core/output.h"

/* A stream's queues as rows of a table, or its JSON as a line. */
struct bide_cli_stream_report {
    bool json;
    struct bide_cli_table table;
};
void bide_cli_stream_report_init(struct bide_cli_stream_report *report, bool json);
void bide_cli_stream_report_add(void *report, const bide_stream_view *view); /* a bide_stream_visit */

/* Waits until a stream is over; its report is added. BIDE_E_TIMEOUT: it has failed at its deadline.
 * ret_is_done: each member is done, everywhere. */
bide_code bide_cli_stream_wait(bide_producer *producer, const char *id, struct bide_cli_stream_report *report,
    bool *ret_is_done, bide_error *error);

#endif
