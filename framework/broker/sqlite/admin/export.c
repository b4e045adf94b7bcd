/* Exporting: the exporter registers as a worker and claims all waiting messages, due or not. When it is
 * killed, the kernel drops its lock, and other workers give its claims back as those of every dead worker. */
#include <string.h>

#include "broker/export.h"
#include "broker/sqlite/admin/admin.h"
#include "broker/sqlite/row.h"
#include "broker/sqlite/workers.h"

struct exporter {
    struct bide_sqlite_admin *admin;
    struct bide_sqlite_file *file;
    const char *queue; /* NULL: all queues */
    bide_export_visit *visit;
    void *user;
    int64_t worker;
    bool carried; /* this round has deleted something that was carried */
    struct bide_export_batch batch;
    int64_t seqs[BIDE_EXPORT_BATCH];
};

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code run_by_seq(
    struct exporter *exporter, enum bide_sql which, int64_t seq, bool with_worker, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(exporter->file, which, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, seq);
    if (with_worker)
        sqlite3_bind_int64(statement, 2, exporter->worker);
    return bide_sqlite_run(exporter->file, statement, error);
}

/* ---- visiting a batch, and deleting what was carried ---- */

/* Deletes the letter only if it is still the same one: another command may have removed it meanwhile, and its
 * row number may belong to another letter now. */
static bide_code delete_letter(
    struct exporter *exporter, const struct bide_export *item, int64_t seq, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(exporter->file, BIDE_SQL_DEAD_DELETE_SAME, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, seq);
    sqlite3_bind_text(statement, 2, item->message->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, item->died_ms);
    uint64_t deleted = 0;
    code = bide_sqlite_run_dead(exporter->file, statement, -1, &deleted, error);
    exporter->carried |= deleted > 0;
    return code;
}

/* Deletes the message only if this export still holds its claim: a worker may have taken the export for dead
 * and given the claim back. */
static bide_code delete_message(struct exporter *exporter, int64_t seq, bide_error *error)
{
    bide_code code = run_by_seq(exporter, BIDE_SQL_UNCLAIM, seq, true, error);
    if (code != BIDE_OK || sqlite3_changes(exporter->file->db) == 0)
        return code;
    exporter->carried = true;
    return run_by_seq(exporter, BIDE_SQL_DELETE_MESSAGE, seq, false, error);
}

static bide_code delete_one(
    struct exporter *exporter, const struct bide_export *item, int64_t seq, bool is_letter, bide_error *error)
{
    if (!item->carried)
        return BIDE_OK;
    return is_letter ? delete_letter(exporter, item, seq, error) : delete_message(exporter, seq, error);
}

/* Deletes what the visitor has carried, even where the visit failed in the end: if it stayed, the message
 * would exist twice. */
static bide_code visit_batch(struct exporter *exporter, bool are_letters, bide_error *error)
{
    struct bide_export_batch *batch = &exporter->batch;
    bide_error later;
    bide_code visited = exporter->visit(exporter->user, batch->items, batch->n, error);
    bide_error *unsaid = visited == BIDE_OK ? error : &later;
    bide_code code = bide_sqlite_begin(exporter->file, true, exporter->admin->timeout_us, unsaid);
    if (code != BIDE_OK)
        return visited == BIDE_OK ? code : visited;
    for (size_t i = 0; code == BIDE_OK && i < batch->n; i++)
        code = delete_one(exporter, &batch->items[i], exporter->seqs[i], are_letters, unsaid);
    code = bide_sqlite_end(exporter->file, code, unsaid);
    return visited == BIDE_OK ? code : visited;
}

/* ---- what waits ---- */

static bide_code read_one(struct exporter *exporter, sqlite3_stmt *statement, bide_error *error)
{
    struct bide_export_batch *batch = &exporter->batch;
    enum bide_reason defect;
    const char *text;
    struct bide_message *message = bide_sqlite_read(statement, &defect, &text);
    if (!message)
        return no_memory(error);
    exporter->seqs[batch->n] = sqlite3_column_int64(statement, BIDE_SQLITE_SEQ);
    bide_export_batch_add(batch, message, text, bide_wall_ms(exporter->file->clock));
    return BIDE_OK;
}

static bide_code read_waiting(struct exporter *exporter, const char *queue, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    bide_code code = bide_sqlite_use(exporter->file, BIDE_SQL_CLAIM_READ, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, queue, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, INT64_MAX); /* reads bodies of any size */
    while (code == BIDE_OK && row && !bide_export_batch_is_full(&exporter->batch)) {
        code = bide_sqlite_step(exporter->file, statement, &row, error);
        if (code == BIDE_OK && row)
            code = read_one(exporter, statement, error);
    }
    sqlite3_reset(statement);
    return code;
}

static bide_code claim_read(struct exporter *exporter, const char *queue, bide_error *error)
{
    static const enum bide_sql steps[] = {BIDE_SQL_CLAIM_INSERT, BIDE_SQL_CLAIM_DELETE};
    size_t last = exporter->batch.n - 1;
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < 2; i++) {
        sqlite3_stmt *statement;
        code = bide_sqlite_use(exporter->file, steps[i], &statement, error);
        if (code != BIDE_OK)
            return code;
        sqlite3_bind_text(statement, 1, queue, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, exporter->batch.items[last].message->due_ms);
        sqlite3_bind_int64(statement, 3, exporter->seqs[last]);
        if (steps[i] == BIDE_SQL_CLAIM_INSERT)
            sqlite3_bind_int64(statement, 4, exporter->worker);
        code = bide_sqlite_run(exporter->file, statement, error);
    }
    if (code != BIDE_OK)
        return code;
    return bide_sqlite_count_claimed(exporter->file, queue, exporter->batch.n, false,
        exporter->batch.items[last].message->due_ms, exporter->seqs[last], error);
}

static bide_code claim_batch(struct exporter *exporter, const char *queue, bide_error *error)
{
    bool lost; /* ignored: the batches before are finished, no claim can be lost */
    bide_code code = bide_sqlite_begin(exporter->file, false, exporter->admin->timeout_us, error);
    if (code != BIDE_OK)
        return code;
    code =
        bide_sqlite_worker_keep(exporter->file, exporter->admin->client_name, exporter->worker, &lost, error);
    if (code == BIDE_OK)
        code = read_waiting(exporter, queue, error);
    if (code == BIDE_OK && exporter->batch.n > 0)
        code = claim_read(exporter, queue, error);
    return bide_sqlite_end(exporter->file, code, error);
}

static bide_code export_queue(struct exporter *exporter, const char *queue, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (bool more = true; code == BIDE_OK && more;) {
        code = claim_batch(exporter, queue, error);
        more = exporter->batch.n > 0;
        if (code == BIDE_OK && more)
            code = visit_batch(exporter, false, error);
        bide_export_batch_clear(&exporter->batch);
    }
    return code;
}

bide_code bide_sqlite_next_queue(
    struct bide_sqlite_file *file, char name[BIDE_NAME_MAX + 1], bool *ret_found, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_NEXT_WAITING_QUEUE, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    code = bide_sqlite_step(file, statement, &row, error);
    if (code != BIDE_OK)
        return code;
    const char *text = row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    /* a longer name, or one with a NUL inside, is not one of bide's queues */
    *ret_found = text && strlen(text) <= BIDE_NAME_MAX && strcmp(text, name) > 0;
    if (*ret_found)
        memcpy(name, text, strlen(text) + 1);
    sqlite3_reset(statement);
    return BIDE_OK;
}

static bide_code export_waiting(struct exporter *exporter, bide_error *error)
{
    char name[BIDE_NAME_MAX + 1] = "";
    if (exporter->queue)
        return export_queue(exporter, exporter->queue, error);
    for (;;) {
        bool found = false;
        bide_code code = bide_sqlite_next_queue(exporter->file, name, &found, error);
        if (code == BIDE_OK && found)
            code = export_queue(exporter, name, error);
        if (code != BIDE_OK || !found)
            return code;
    }
}

/* ---- dead letters ---- */

static const char letters[] = "SELECT " BIDE_SQLITE_LETTER " FROM {dead} d WHERE d.seq > ?1 ORDER BY d.seq";
static const char letters_of_queue[] =
    "SELECT " BIDE_SQLITE_LETTER " FROM {dead} d WHERE d.queue = ?2 AND d.seq > ?1 ORDER BY d.seq";

static bide_code read_letter(struct exporter *exporter, sqlite3_stmt *statement, bide_error *error)
{
    struct bide_export_batch *batch = &exporter->batch;
    enum bide_reason reason;
    int64_t died_ms;
    struct bide_message *message = bide_sqlite_read_dead(statement, &reason, &died_ms);
    if (!message)
        return no_memory(error);
    exporter->seqs[batch->n] = sqlite3_column_int64(statement, BIDE_SQLITE_SEQ);
    bide_export_batch_add_dead(batch, message, reason, died_ms);
    return BIDE_OK;
}

static bide_code read_letters(
    struct exporter *exporter, sqlite3_stmt *statement, int64_t after, bide_error *error)
{
    bool row = true;
    bide_code code = BIDE_OK;
    sqlite3_bind_int64(statement, 1, after);
    if (exporter->queue)
        sqlite3_bind_text(statement, 2, exporter->queue, -1, SQLITE_STATIC);
    while (code == BIDE_OK && row && !bide_export_batch_is_full(&exporter->batch)) {
        code = bide_sqlite_step(exporter->file, statement, &row, error);
        if (code == BIDE_OK && row)
            code = read_letter(exporter, statement, error);
    }
    sqlite3_reset(statement);
    return code;
}

static bide_code export_letters(struct exporter *exporter, bide_error *error)
{
    sqlite3_stmt *statement;
    int64_t after = INT64_MIN;
    bide_code code =
        bide_sqlite_prepare(exporter->file, exporter->queue ? letters_of_queue : letters, &statement, error);
    if (code != BIDE_OK)
        return code;
    for (bool more = true; code == BIDE_OK && more;) {
        code = read_letters(exporter, statement, after, error);
        more = exporter->batch.n > 0;
        if (code == BIDE_OK && more) {
            after = exporter->seqs[exporter->batch.n - 1];
            code = visit_batch(exporter, true, error);
        }
        bide_export_batch_clear(&exporter->batch);
    }
    sqlite3_finalize(statement);
    return code;
}

/* ---- rounds ---- */

static bide_code run_rounds(struct exporter *exporter, bide_error *error)
{
    bide_code code;
    do {
        exporter->carried = false;
        code = bide_sqlite_worker_free_dead(
            exporter->file, exporter->worker, exporter->admin->timeout_us, error);
        if (code == BIDE_OK)
            code = export_waiting(exporter, error);
        if (code == BIDE_OK)
            code = export_letters(exporter, error);
    } while (code == BIDE_OK && exporter->carried);
    return code;
}

static bide_code export_as_worker(struct exporter *exporter, bide_error *error)
{
    bide_error later;
    bide_code code = bide_sqlite_worker_register(
        exporter->file, exporter->admin->client_name, exporter->admin->timeout_us, &exporter->worker, error);
    if (code != BIDE_OK)
        return code;
    code = run_rounds(exporter, error);
    /* If this fails, the next worker gives the claims back: closing the file drops this export's lock. */
    bide_code freed = bide_sqlite_worker_free_alone(
        exporter->file, exporter->worker, exporter->admin->timeout_us, code == BIDE_OK ? error : &later);
    bide_sqlite_lock_ring(&exporter->file->lock);
    return code == BIDE_OK ? freed : code;
}

bide_code bide_sqlite_export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    struct exporter exporter = {
        .admin = admin, .file = &admin->file, .queue = queue, .visit = visit, .user = user};
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = export_as_worker(&exporter, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

/* ---- dead letters from another broker ---- */

bide_code bide_sqlite_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *added, size_t n, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    struct bide_buffer scratch;
    bide_code code = bide_sqlite_file_open(&admin->file, BIDE_SQLITE_WRITE, admin->timeout_us, error);
    if (code != BIDE_OK)
        return code;
    bide_buffer_init(&scratch);
    code = bide_sqlite_begin(&admin->file, true, admin->timeout_us, error);
    if (code == BIDE_OK) {
        for (size_t i = 0; code == BIDE_OK && i < n; i++)
            code = bide_sqlite_insert_dead(&admin->file, &added[i], &scratch, error);
        code = bide_sqlite_end(&admin->file, code, error);
    }
    bide_buffer_release(&scratch);
    bide_sqlite_file_close(&admin->file);
    return code;
}
