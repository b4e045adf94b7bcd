/* Listing, replaying and dropping dead letters. The filter's letters are first chosen into a temporary table,
 * page by page, and then handled one by one. So no read transaction stays open while there are many letters
 * or while a caller prints, and letters that arrive meanwhile are not touched. SQLite gives the number of the
 * newest row to the next letter once that row is deleted; so a letter is recognised by its row, its id and
 * its time of death together. */

#include "base/killpoint.h"
#include "broker/sqlite/admin/admin.h"
#include "broker/sqlite/topic.h"

enum { BATCH = 256 };

/* ---- choosing ---- */

enum { SEQ, ID, DIED_MS, TYPE, QUEUE, REASON, ERROR };

/* The letters that one condition of the filter selects: the statement of a page and the value bound to it. */
struct selection {
    enum bide_sql page;
    const char *value; /* NULL: none */
};

static bool is_given(const char *text)
{
    return text && *text;
}

/* Selects by the first condition that is set; the program checks the others row by row. */
static struct selection select_by(const struct bide_dead_filter *filter)
{
    const struct selection selections[] = {
        {BIDE_SQL_DEAD_PAGE_OF_TYPE, filter->type},
        {BIDE_SQL_DEAD_PAGE_OF_REASON, bide_reason_name(filter->reason)},
        {BIDE_SQL_DEAD_PAGE_OF_QUEUE, filter->queue},
    };
    for (size_t i = 0; i < sizeof selections / sizeof selections[0]; i++)
        if (is_given(selections[i].value))
            return selections[i];
    return (struct selection){BIDE_SQL_DEAD_PAGE, NULL};
}

static const char *text_of(sqlite3_stmt *page, int column)
{
    const char *text = (const char *)sqlite3_column_text(page, column);
    return text ? text : "";
}

static bool matches(sqlite3_stmt *page, const struct bide_dead_filter *filter)
{
    const struct bide_message message = {
        .id = text_of(page, ID),
        .type = text_of(page, TYPE),
        .queue = text_of(page, QUEUE),
        .error = text_of(page, ERROR),
    };
    struct bide_dead_letter letter = {&message, BIDE_REASON_NONE, sqlite3_column_int64(page, DIED_MS)};
    (void)bide_reason_parse(text_of(page, REASON), &letter.reason);
    return bide_dead_matches(filter, &letter);
}

static bide_code add_chosen(
    struct bide_sqlite_file *file, sqlite3_stmt *add, sqlite3_stmt *page, bide_error *error)
{
    for (int column = SEQ; column <= DIED_MS; column++)
        sqlite3_bind_value(add, column + 1, sqlite3_column_value(page, column));
    return bide_sqlite_run(file, add, error);
}

/* Chooses one page of the letters older than *before. Sets *before to the last letter of the page, or to
 * INT64_MIN where no letter is left. */
static bide_code choose_page(struct bide_sqlite_file *file, sqlite3_stmt *page, sqlite3_stmt *add,
    const struct bide_dead_filter *filter, int64_t *before, size_t *room, bide_error *error)
{
    int64_t last = INT64_MIN;
    bool row;
    bide_code code;
    sqlite3_bind_int64(page, 1, *before);
    sqlite3_bind_int(page, 3, filter->search != NULL);
    while ((code = bide_sqlite_step(file, page, &row, error)) == BIDE_OK && row && *room > 0) {
        last = sqlite3_column_int64(page, SEQ);
        if (!matches(page, filter))
            continue;
        code = add_chosen(file, add, page, error);
        if (code != BIDE_OK)
            break;
        (*room)--;
    }
    sqlite3_reset(page);
    *before = last;
    return code;
}

static bide_code choose_selection(struct bide_sqlite_file *file, sqlite3_stmt *add,
    const struct selection *selection, const struct bide_dead_filter *filter, bide_error *error)
{
    sqlite3_stmt *page;
    int64_t before = INT64_MAX;
    size_t room = filter->limit ? filter->limit : SIZE_MAX;
    bide_code code = bide_sqlite_use(file, selection->page, &page, error);
    while (code == BIDE_OK && before != INT64_MIN && room > 0) {
        if (selection->value)
            sqlite3_bind_text(page, 2, selection->value, -1, SQLITE_STATIC);
        code = choose_page(file, page, add, filter, &before, &room, error);
    }
    return code;
}

static bide_code keep_newest(struct bide_sqlite_file *file, size_t limit, bide_error *error)
{
    char sql[160];
    sqlite3_snprintf(sizeof sql, sql,
        "DELETE FROM temp.chosen WHERE seq NOT IN (SELECT seq FROM temp.chosen ORDER BY seq DESC LIMIT %lld)",
        (long long)limit);
    return bide_sqlite_exec(file, sql, error);
}

static bide_code choose_all(struct bide_sqlite_file *file, sqlite3_stmt *add,
    const struct bide_dead_filter *filter, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (!filter->ids || filter->n_ids == 0) {
        const struct selection selection = select_by(filter);
        return choose_selection(file, add, &selection, filter, error);
    }
    for (size_t i = 0; code == BIDE_OK && i < filter->n_ids; i++) {
        const struct selection selection = {BIDE_SQL_DEAD_PAGE_OF_ID, filter->ids[i]};
        code = choose_selection(file, add, &selection, filter, error);
    }
    return code == BIDE_OK && filter->limit ? keep_newest(file, filter->limit, error) : code;
}

static bide_code choose(
    struct bide_sqlite_file *file, const struct bide_dead_filter *filter, bide_error *error)
{
    sqlite3_stmt *add;
    bide_code code = bide_sqlite_exec(
        file, "CREATE TEMP TABLE chosen(seq INTEGER PRIMARY KEY, id TEXT, died_ms INTEGER)", error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(file, "INSERT OR IGNORE INTO temp.chosen VALUES(?1, ?2, ?3)", &add, error);
    if (code != BIDE_OK)
        return code;
    code = choose_all(file, add, filter, error);
    sqlite3_finalize(add);
    return code;
}

/* ---- listing ---- */

static const char next_letter[] =
    "SELECT " BIDE_SQLITE_LETTER
    " FROM temp.chosen c CROSS JOIN {dead} d ON d.seq = c.seq AND d.id = c.id AND d.died_ms = c.died_ms "
    "WHERE c.seq < ?1 ORDER BY c.seq DESC LIMIT 1";

static bide_code show(sqlite3_stmt *statement, bide_dead_visit *visit, void *user, bool *ret_more)
{
    struct bide_dead_letter letter;
    struct bide_message *message = bide_sqlite_read_dead(statement, &letter.reason, &letter.died_ms);
    sqlite3_reset(statement);
    if (!message)
        return BIDE_E_NOMEM;
    letter.message = message;
    *ret_more = visit(user, &letter);
    bide_message_destroy(message);
    return BIDE_OK;
}

static bide_code walk(struct bide_sqlite_file *file, bide_dead_visit *visit, void *user, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = true, more = true;
    int64_t before = INT64_MAX;
    bide_code code = bide_sqlite_prepare(file, next_letter, &statement, error);
    if (code != BIDE_OK)
        return code;
    while (code == BIDE_OK && more) {
        sqlite3_bind_int64(statement, 1, before);
        code = bide_sqlite_step(file, statement, &row, error);
        if (code != BIDE_OK || !row)
            break;
        before = sqlite3_column_int64(statement, BIDE_SQLITE_SEQ);
        if (show(statement, visit, user, &more) != BIDE_OK)
            code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    sqlite3_finalize(statement);
    return code;
}

bide_code bide_sqlite_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_READ, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = choose(&admin->file, filter, error);
    if (code == BIDE_OK)
        code = walk(&admin->file, visit, user, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

/* ---- retrying and dropping ---- */

/* How far the work on the chosen letters has come. */
struct batch {
    const struct bide_dead_spread *spread;
    int64_t after; /* the letter handled last; the oldest come first */
    uint64_t n;    /* letters that still existed */
    bool more;
};

/* What is done with the letter `after` within a transaction, before that letter is deleted, unless it
 * stays. */
typedef bide_code letter_fate(
    struct bide_sqlite_file *file, const struct batch *batch, bool *ret_stays, bide_error *error);

/* A letter that was sent to a topic without any subscription. *ret_message: NULL where it is another one. */
static bide_code read_unrouted(struct bide_sqlite_file *file, const struct batch *batch,
    struct bide_message **ret_message, bide_error *error)
{
    sqlite3_stmt *read;
    enum bide_reason reason;
    int64_t died_ms;
    bool row;
    *ret_message = NULL;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_DEAD_FOR_TOPIC, &read, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(read, 1, batch->after);
    code = bide_sqlite_step(file, read, &row, error);
    if (code != BIDE_OK || !row)
        return code;
    *ret_message = bide_sqlite_read_dead(read, &reason, &died_ms);
    sqlite3_reset(read);
    return *ret_message ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code fan_out_again(struct bide_sqlite_file *file, const struct bide_message *dead, int64_t due_ms,
    bool *ret_stays, bide_error *error)
{
    struct bide_buffer scratch;
    struct bide_message again;
    size_t n;
    bide_buffer_init(&scratch);
    bide_message_replay(dead, due_ms, &again);
    bide_code code = bide_sqlite_fan_out(file, &again, &scratch, &n, error);
    *ret_stays = n == 0;
    bide_buffer_release(&scratch);
    return code;
}

static bide_code queue_again(
    struct bide_sqlite_file *file, const struct batch *batch, bool *ret_stays, bide_error *error)
{
    sqlite3_stmt *copy, *wait;
    struct bide_message *unrouted;
    int64_t due_ms = bide_dead_due_ms(batch->spread, batch->n, bide_wall_ms(file->clock));
    bide_code code = read_unrouted(file, batch, &unrouted, error);
    if (unrouted) {
        code = fan_out_again(file, unrouted, due_ms, ret_stays, error);
        bide_message_destroy(unrouted);
        return code;
    }
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_DEAD_RETRY, &copy, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_RELEASE, &wait, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(copy, 1, batch->after);
    sqlite3_bind_int64(copy, 2, due_ms);
    code = bide_sqlite_run(file, copy, error);
    if (code != BIDE_OK || sqlite3_changes(file->db) == 0)
        return code;
    sqlite3_bind_int64(wait, 1, sqlite3_last_insert_rowid(file->db));
    return bide_sqlite_run_waiting(file, wait, error);
}

static bide_code drop(
    struct bide_sqlite_file *file, const struct batch *batch, bool *ret_stays, bide_error *error)
{
    (void)file;
    (void)batch;
    (void)ret_stays;
    (void)error;
    return BIDE_OK;
}

/* Runs in a write transaction: a letter that it finds still exists at the end of the transaction. */
static const char next_to_treat[] =
    "SELECT c.seq FROM temp.chosen c CROSS JOIN {dead} d ON d.seq = c.seq AND d.id = c.id AND "
    "d.died_ms = c.died_ms WHERE c.seq > ?1 ORDER BY c.seq LIMIT 1";

static bide_code treat(
    struct bide_sqlite_file *file, struct batch *batch, letter_fate *fate, bide_error *error)
{
    sqlite3_stmt *remove;
    bool stays = false;
    bide_code code = fate(file, batch, &stays, error);
    if (stays)
        return code;
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_DEAD_DELETE, &remove, error);
    if (code != BIDE_OK)
        return code;
    uint64_t removed = 0;
    sqlite3_bind_int64(remove, 1, batch->after);
    code = bide_sqlite_run_dead(file, remove, -1, &removed, error);
    batch->n += removed;
    return code;
}

static bide_code treat_batch(struct bide_sqlite_file *file, sqlite3_stmt *next, struct batch *batch,
    letter_fate *fate, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (int i = 0; code == BIDE_OK && batch->more && i < BATCH; i++) {
        sqlite3_bind_int64(next, 1, batch->after);
        code = bide_sqlite_step(file, next, &batch->more, error);
        if (code != BIDE_OK || !batch->more)
            break;
        batch->after = sqlite3_column_int64(next, 0);
        sqlite3_reset(next);
        code = treat(file, batch, fate, error);
    }
    return code;
}

static bide_code treat_all(struct bide_sqlite_admin *admin, sqlite3_stmt *next, struct batch batch,
    letter_fate *fate, bide_progress *progress, void *user, uint64_t *done, bide_error *error)
{
    struct bide_sqlite_file *file = &admin->file;
    int64_t total;
    bide_code code = bide_sqlite_number(file, "SELECT count(*) FROM temp.chosen", &total, error);
    while (code == BIDE_OK && batch.more) {
        code = bide_sqlite_begin(file, true, admin->timeout_us, error);
        if (code != BIDE_OK)
            break;
        code = treat_batch(file, next, &batch, fate, error);
        BIDE_KILL_POINT("replay/sqlite-moved");
        code = bide_sqlite_end(file, code, error);
        if (code != BIDE_OK)
            break;
        *done = batch.n;
        BIDE_KILL_POINT("replay/sqlite-committed");
        bide_sqlite_lock_ring(&file->lock);
        if (progress && !progress(user, batch.n, (uint64_t)total))
            break;
    }
    return code;
}

static bide_code treat_chosen(struct bide_admin *base, const struct bide_dead_filter *filter,
    letter_fate *fate, bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    sqlite3_stmt *next = NULL;
    bool empty;
    *ret_n = 0;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = choose(&admin->file, filter, error);
    if (code == BIDE_OK)
        code = bide_sqlite_prepare(&admin->file, next_to_treat, &next, error);
    if (code == BIDE_OK)
        code = treat_all(admin, next,
            (struct batch){.spread = &filter->spread, .after = INT64_MIN, .more = true}, fate, progress, user,
            ret_n, error);
    sqlite3_finalize(next);
    bide_sqlite_file_close(&admin->file);
    return code;
}

bide_code bide_sqlite_dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return treat_chosen(base, filter, queue_again, progress, user, ret_n, error);
}

bide_code bide_sqlite_dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return treat_chosen(base, filter, drop, progress, user, ret_n, error);
}
