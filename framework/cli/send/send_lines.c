/* bide send --lines: a reader thread parses while this one waits for the broker. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/core/output.h"
#include "cli/send/send.h"
#include "producer/configured.h"

/* One run of the command. */
struct sending {
    const struct bide_cli *cli;
    bide_producer *producer;
    struct bide_cli_lines *lines;
    struct bide_cli_progress progress;
    uint64_t total; /* 0: unknown */
    uint64_t sent, refused;
    struct bide_cli_line batch[BIDE_CLI_BATCH];
    bide_message *messages[BIDE_CLI_BATCH];
    bide_sent results[BIDE_CLI_BATCH];
};

static void print_sent(struct sending *sending, size_t at)
{
    bide_cli_print_sent(sending->cli, sending->messages[at]);
    sending->sent++;
}

static void report_refused(struct sending *sending, size_t at, const bide_error *why)
{
    fprintf(stderr, "line %" PRIu64 ": refused: %s\n", sending->batch[at].number, why->text);
    sending->refused++;
}

/* The producer tells why it refused the first of a batch. Asking again tells it of another one (and sends
 * that, if nothing is wrong with it any more). Fails where the broker does: it may or may not have this one.
 */
static bide_code ask_again(struct sending *sending, size_t at, bide_error *error)
{
    bide_code code = bide_producer_send(sending->producer, sending->messages[at], error);
    if (code == BIDE_OK)
        print_sent(sending, at);
    else if (code == BIDE_E_DATA)
        report_refused(sending, at, error);
    return code == BIDE_E_DATA ? BIDE_OK : code;
}

/* What became of the batch: prints ids, reports what was refused. Fails when something is not confirmed: the
 * broker's failure is then in *error, and what was refused before is told without a reason. */
static bide_code settle_batch(struct sending *sending, size_t n, bide_code code, bide_error *error)
{
    static const bide_error unasked = {.text = "the broker failed before it could be asked why"};
    uint64_t refused_before = sending->refused;
    uint64_t first_unknown = 0, last_unknown = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = sending->batch[i].number;
        bide_error own;
        bide_code asked = BIDE_OK;
        if (sending->results[i] == BIDE_SENT_OK)
            print_sent(sending, i);
        else if (sending->results[i] == BIDE_SENT_DUPLICATE)
            bide_cli_print_sent(sending->cli, sending->messages[i]);
        else if (sending->results[i] == BIDE_SENT_REFUSED && code != BIDE_E_DATA)
            report_refused(sending, i, &unasked);
        else if (sending->results[i] == BIDE_SENT_REFUSED && sending->refused == refused_before)
            report_refused(sending, i, error);
        else if (sending->results[i] == BIDE_SENT_REFUSED)
            asked = ask_again(sending, i, &own);
        if (asked != BIDE_OK) {
            code = asked;
            *error = own;
        }
        if (asked != BIDE_OK || sending->results[i] == BIDE_SENT_UNKNOWN) {
            first_unknown = first_unknown ? first_unknown : number;
            last_unknown = number;
        }
    }
    if (code == BIDE_OK || !first_unknown)
        return BIDE_OK;
    bide_fail_within(error,
        "lines %" PRIu64 " to %" PRIu64
        " are not confirmed (the broker may or may not have them), nothing after them "
        "was sent",
        first_unknown, last_unknown);
    return code;
}

static bide_code send_batch(struct sending *sending, size_t n, bide_error *error)
{
    for (size_t i = 0; i < n; i++) {
        sending->messages[i] = sending->batch[i].message;
        sending->results[i] = BIDE_SENT_UNKNOWN;
    }
    bide_code code =
        bide_producer_send_many(sending->producer, sending->messages, n, sending->results, error);
    bide_cli_progress_end(&sending->progress); /* what follows may be a terminal, too */
    code = settle_batch(sending, n, code, error);
    for (size_t i = 0; i < n; i++)
        bide_message_destroy(sending->messages[i]);
    bide_code printed = bide_cli_output_flush(code == BIDE_OK ? error : NULL);
    return code == BIDE_OK ? printed : code;
}

static bide_code send_all(struct sending *sending, bide_error *error)
{
    for (;;) {
        size_t n;
        bide_code code = bide_cli_lines_take(sending->lines, sending->batch, &n, error);
        if (code == BIDE_OK && n > 0)
            code = send_batch(sending, n, error);
        if (code != BIDE_OK || n == 0)
            return code;
        bide_cli_progress_show(&sending->progress, sending->sent, sending->total);
    }
}

static bide_code finish(struct sending *sending, bide_error *error)
{
    struct bide_cli_line_counts counts = bide_cli_lines_counts(sending->lines);
    uint64_t bad = counts.bad + sending->refused;
    if (sending->progress.on)
        fprintf(stderr, "sent %" PRIu64 "\n", sending->sent);
    if (bad == 0)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_DATA,
        "%" PRIu64 " of %" PRIu64 " lines were bad, %" PRIu64 " messages were sent", bad, counts.read,
        sending->sent);
}

static bide_code send_from(
    const struct bide_cli *cli, const struct bide_config *config, int fd, uint64_t total, bide_error *error)
{
    struct sending *sending = bide_calloc(1, sizeof *sending);
    if (!sending)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sending->cli = cli;
    sending->total = total;
    bide_cli_progress_init(&sending->progress, "sent");
    bide_code code = bide_producer_open_configured(config, &sending->producer, error);
    if (code == BIDE_OK)
        code = bide_cli_lines_open(fd, config, &sending->lines, error);
    if (code == BIDE_OK)
        code = send_all(sending, error);
    bide_cli_progress_end(&sending->progress);
    if (code == BIDE_OK)
        code = finish(sending, error);
    bide_cli_lines_close(sending->lines);
    bide_producer_close(sending->producer);
    bide_free(sending);
    return code;
}

/* ---- strict: two passes ---- */

static bide_code copy_to(FILE *spool, bide_error *error)
{
    char chunk[64 * 1024];
    ssize_t got;
    while ((got = bide_cli_read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
        if (fwrite(chunk, 1, (size_t)got, spool) != (size_t)got)
            break;
    if (got == 0 && fflush(spool) == 0)
        return BIDE_OK;
    return bide_fail(
        error, BIDE_E_DATA, "cannot keep the input for --strict in a temporary file: %s", strerror(errno));
}

static bide_code check_then_send(
    const struct bide_cli *cli, const struct bide_config *config, int fd, off_t start, bide_error *error)
{
    struct bide_cli_line_counts counts;
    if (lseek(fd, start, SEEK_SET) < 0)
        return bide_fail(error, BIDE_E_DATA, "cannot read the input: %s", strerror(errno));
    bide_code code = bide_cli_lines_check(fd, config, &counts, error);
    if (code != BIDE_OK)
        return code;
    if (counts.bad)
        return bide_fail(error, BIDE_E_DATA, "%" PRIu64 " of %" PRIu64 " lines are bad: nothing was sent",
            counts.bad, counts.read);
    if (lseek(fd, start, SEEK_SET) < 0)
        return bide_fail(error, BIDE_E_DATA, "cannot read the input again: %s", strerror(errno));
    return send_from(cli, config, fd, counts.read, error);
}

/* What cannot be read twice goes to a temporary file first. */
static bide_code send_strictly(
    const struct bide_cli *cli, const struct bide_config *config, bide_error *error)
{
    off_t start = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (start >= 0)
        return check_then_send(cli, config, STDIN_FILENO, start, error);
    FILE *spool = tmpfile();
    if (!spool)
        return bide_fail(
            error, BIDE_E_DATA, "cannot make a temporary file for --strict: %s", strerror(errno));
    bide_code code = copy_to(spool, error);
    if (code == BIDE_OK)
        code = check_then_send(cli, config, fileno(spool), 0, error);
    fclose(spool);
    return code;
}

bide_code bide_cli_send_lines(
    const struct bide_cli *cli, const struct bide_config *config, bool strict, bide_error *error)
{
    return strict ? send_strictly(cli, config, error) : send_from(cli, config, STDIN_FILENO, 0, error);
}
