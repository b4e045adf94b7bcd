/* handlers/shared/journal_line.h: one JSON line for each run of a message; the plugins journal and probe are
 * built with it.
 *
 * A line is written by one write(2) to a descriptor in append mode, so that several threads and processes may
 * share a file. After rotation (the path is another file) the new one is opened. Where a full disk took only
 * half a line, the next one begins on a line of its own. Thread-safety: any thread. Fails where the file
 * cannot be opened or written. */
#ifndef JOURNAL_LINE_H
#define JOURNAL_LINE_H

#include <bide/handler.h>

/* A row for the plugin's table of settings. */
#define JOURNAL_PATH_SETTING                                                                                 \
    {                                                                                                        \
        "path", BIDE_SETTING_STRING, NULL, "file that gets one JSON line a run"                              \
    }

struct journal;

/* Opens the file of setting "path", and creates it where it does not exist. */
bide_code journal_open(const bide_settings *settings, struct journal **ret_journal, bide_error *error);
void journal_close(struct journal *journal); /* NULL is fine */

/* outcome: "done", "retry", "dead" or "started". */
bide_code journal_write(struct journal *journal, const bide_message *message, const bide_context *context,
    const char *outcome, bide_error *error);

#endif
