#include "broker/sqlite/receiver.h"

#include <stdlib.h>

#include "broker/sqlite/topic.h"

void bide_sqlite_settle_add(struct bide_sqlite_receiver *receiver, const struct bide_settlement *settlement)
{
    struct bide_sqlite_delivery *delivery = (struct bide_sqlite_delivery *)settlement->delivery;
    bide_sqlite_claim_take_back(receiver, delivery);
    delivery->settlement = *settlement;
    delivery->next = NULL;
    if (receiver->last_settled)
        receiver->last_settled->next = delivery;
    else
        receiver->first_settled = delivery;
    receiver->last_settled = delivery;
    receiver->n_settled++;
}

/* ---- one verdict each ---- */

static bide_code run_by_seq(
    struct bide_sqlite_receiver *receiver, enum bide_sql which, int64_t seq, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(&receiver->file, which, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, seq);
    return bide_sqlite_run(&receiver->file, statement, error);
}

static bide_code send_on(
    struct bide_sqlite_receiver *receiver, const struct bide_settlement *settlement, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < settlement->n_sends; i++)
        code = bide_sqlite_send(&receiver->file, settlement->sends[i], &receiver->scratch, error);
    receiver->waits |= settlement->n_sends > 0;
    return code;
}

static bide_code ack(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error)
{
    bide_code code = send_on(receiver, &delivery->settlement, error);
    if (code != BIDE_OK)
        return code;
    return run_by_seq(receiver, BIDE_SQL_DELETE_MESSAGE, delivery->seq, error);
}

static bide_code release(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(&receiver->file, BIDE_SQL_RELEASE, &statement, error);
    if (code != BIDE_OK)
        return code;
    receiver->waits = true;
    sqlite3_bind_int64(statement, 1, delivery->seq);
    return bide_sqlite_run_waiting(&receiver->file, statement, error);
}

static bide_code retry(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error)
{
    struct bide_message after;
    sqlite3_stmt *update;
    bide_code code = bide_sqlite_use(&receiver->file, BIDE_SQL_RETRY_MESSAGE, &update, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(update, 1, delivery->seq);
    bide_settlement_apply(&delivery->settlement, &after);
    sqlite3_bind_text(update, 2, after.queue, -1, SQLITE_STATIC);
    bide_sqlite_bind_fields(update, 3, &after, BIDE_PART_DUE | BIDE_PART_RUNS);
    code = bide_sqlite_run(&receiver->file, update, error);
    return code == BIDE_OK ? release(receiver, delivery, error) : code;
}

static bide_code bury(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error)
{
    const struct bide_settlement *settlement = &delivery->settlement;
    struct bide_message after;
    sqlite3_stmt *statement;
    bide_code code = send_on(receiver, settlement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(&receiver->file, BIDE_SQL_BURY, &statement, error);
    if (code != BIDE_OK)
        return code;
    bide_settlement_apply(settlement, &after);
    int at = bide_sqlite_bind_fields(statement, 1, &after, BIDE_PART_RUNS);
    sqlite3_bind_text(statement, at, bide_reason_name(settlement->reason), -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, at + 1, bide_wall_ms(receiver->file.clock));
    sqlite3_bind_int64(statement, at + 2, delivery->seq);
    code = bide_sqlite_run_dead(&receiver->file, statement, 1, NULL, error);
    if (code != BIDE_OK)
        return code;
    return run_by_seq(receiver, BIDE_SQL_DELETE_MESSAGE, delivery->seq, error);
}

typedef bide_code verdict(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error);

static verdict *const verdicts[] = {
    [BIDE_VERDICT_ACK] = ack,
    [BIDE_VERDICT_RETRY] = retry,
    [BIDE_VERDICT_DEAD] = bury,
    [BIDE_VERDICT_RELEASE] = release,
};

/* ---- a batch ---- */

/* Deletes the claim. *ret_ours is false when it is no longer this worker's: the file was replaced, or a
 * worker or a person has deleted it. */
static bide_code unclaim(struct bide_sqlite_receiver *receiver, const struct bide_sqlite_delivery *delivery,
    bool *ret_ours, bide_error *error)
{
    sqlite3_stmt *statement;
    *ret_ours = delivery->generation == receiver->generation;
    if (!*ret_ours)
        return BIDE_OK;
    bide_code code = bide_sqlite_use(&receiver->file, BIDE_SQL_UNCLAIM, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, delivery->seq);
    sqlite3_bind_int64(statement, 2, receiver->worker);
    code = bide_sqlite_run(&receiver->file, statement, error);
    if (code == BIDE_OK)
        *ret_ours = sqlite3_changes(receiver->file.db) == 1;
    return code;
}

static bide_code settle_one(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, bide_error *error)
{
    bool ours;
    bide_code code = unclaim(receiver, delivery, &ours, error);
    if (code == BIDE_OK && ours)
        code = verdicts[delivery->settlement.verdict](receiver, delivery, error);
    if (!ours)
        delivery->generation = 0;
    return code;
}

/* ---- acknowledgements together ---- */

/* Messages that were claimed together have neighbouring numbers, and most of them are done at about the same
 * time. Such a run of numbers is deleted by range, which costs a third of deleting each row by itself. */
enum { ACKS_MAX = 512, RUN_MIN = 3 };

static bool is_plain_ack(
    const struct bide_sqlite_receiver *receiver, const struct bide_sqlite_delivery *delivery)
{
    return delivery->settlement.verdict == BIDE_VERDICT_ACK && delivery->settlement.n_sends == 0 &&
           delivery->generation == receiver->generation;
}

static bide_code use_for_run(struct bide_sqlite_receiver *receiver, enum bide_sql which,
    struct bide_sqlite_delivery *const *run, size_t n, sqlite3_stmt **ret_statement, bide_error *error)
{
    bide_code code = bide_sqlite_use(&receiver->file, which, ret_statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(*ret_statement, 1, run[0]->seq);
    sqlite3_bind_int64(*ret_statement, 2, run[n - 1]->seq);
    return BIDE_OK;
}

static bide_code owns_run(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *const *run,
    size_t n, bool *ret_owns, bide_error *error)
{
    sqlite3_stmt *count;
    bool row;
    bide_code code = use_for_run(receiver, BIDE_SQL_COUNT_CLAIMS, run, n, &count, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(count, 3, receiver->worker);
    code = bide_sqlite_step(&receiver->file, count, &row, error);
    *ret_owns = code == BIDE_OK && row && sqlite3_column_int64(count, 0) == (int64_t)n;
    sqlite3_reset(count);
    return code;
}

static bide_code delete_run(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *const *run,
    size_t n, bide_error *error)
{
    static const enum bide_sql steps[] = {BIDE_SQL_UNCLAIM_RUN, BIDE_SQL_DELETE_RUN};
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < 2; i++) {
        sqlite3_stmt *statement;
        code = use_for_run(receiver, steps[i], run, n, &statement, error);
        if (code == BIDE_OK)
            code = bide_sqlite_run(&receiver->file, statement, error);
    }
    return code;
}

static bide_code ack_run(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *const *run,
    size_t n, bide_error *error)
{
    bool owns = false;
    bide_code code = n >= RUN_MIN ? owns_run(receiver, run, n, &owns, error) : BIDE_OK;
    if (code == BIDE_OK && owns)
        return delete_run(receiver, run, n, error);
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = settle_one(receiver, run[i], error);
    return code;
}

static int by_seq(const void *a, const void *b)
{
    int64_t first = (*(struct bide_sqlite_delivery *const *)a)->seq;
    int64_t second = (*(struct bide_sqlite_delivery *const *)b)->seq;
    return (first > second) - (first < second);
}

static bide_code ack_all(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **acks, size_t n, bide_error *error)
{
    bide_code code = BIDE_OK;
    qsort(acks, n, sizeof *acks, by_seq);
    for (size_t first = 0, end; code == BIDE_OK && first < n; first = end) {
        for (end = first + 1; end < n && acks[end]->seq == acks[end - 1]->seq + 1;)
            end++;
        code = ack_run(receiver, acks + first, end - first, error);
    }
    return code;
}

bide_code bide_sqlite_settle_apply(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    struct bide_sqlite_delivery *acks[ACKS_MAX];
    size_t n = 0;
    bide_code code = BIDE_OK;
    for (struct bide_sqlite_delivery *at = receiver->first_settled; at && code == BIDE_OK; at = at->next) {
        if (is_plain_ack(receiver, at))
            acks[n++] = at;
        else
            code = settle_one(receiver, at, error);
        if (code == BIDE_OK && n == ACKS_MAX) {
            code = ack_all(receiver, acks, n, error);
            n = 0;
        }
    }
    return code == BIDE_OK ? ack_all(receiver, acks, n, error) : code;
}

void bide_sqlite_settle_finish(struct bide_sqlite_receiver *receiver, bool lost)
{
    while (receiver->first_settled) {
        struct bide_sqlite_delivery *delivery = receiver->first_settled;
        receiver->first_settled = delivery->next;
        if (lost || delivery->generation != receiver->generation)
            receiver->stats.lost++;
        else
            receiver->stats.settled++;
        bide_settlement_release(&delivery->settlement);
        bide_sqlite_delivery_destroy(delivery);
    }
    receiver->last_settled = NULL;
    receiver->n_settled = 0;
}
