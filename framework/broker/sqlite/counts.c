#include "broker/sqlite/counts.h"

#include <string.h>

#include "base/alloc.h"
#include "broker/sqlite/file.h"

/* One transaction moves the mark over at most so many rows: when a million messages fall due together, other
 * writers do not wait long. */
enum { STEPS_MAX = 5000 };

static bool is_before(int64_t due_ms, int64_t seq, const struct bide_sqlite_count *mark)
{
    return due_ms < mark->due_ms || (due_ms == mark->due_ms && seq <= mark->seq);
}

/* ---- single questions ---- */

struct question {
    const char *queue;
    int64_t numbers[4]; /* the parameters from ?2 on, as many as the statement has */
};

/* Reads the first row's numbers; *ret_row is false where there is none. */
static bide_code ask(struct bide_sqlite_file *file, enum bide_sql which, const struct question *question,
    int64_t *ret_numbers, bool *ret_row, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(file, which, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, question->queue, -1, SQLITE_STATIC);
    for (int i = 2; i <= sqlite3_bind_parameter_count(statement); i++)
        sqlite3_bind_int64(statement, i, question->numbers[i - 2]);
    code = bide_sqlite_step(file, statement, ret_row, error);
    if (code != BIDE_OK || !*ret_row)
        return code;
    for (int i = 0; i < sqlite3_column_count(statement); i++)
        ret_numbers[i] = sqlite3_column_int64(statement, i);
    sqlite3_reset(statement);
    return BIDE_OK;
}

static bide_code ask_one(struct bide_sqlite_file *file, enum bide_sql which, struct question question,
    int64_t *ret_number, bide_error *error)
{
    bool row;
    return ask(file, which, &question, ret_number, &row, error);
}

/* Counts the rows of the queue and sets the mark before all of them. */
static bide_code count_rows(struct bide_sqlite_file *file, struct bide_sqlite_count *count, bide_error *error)
{
    const struct question question = {count->queue, {0}};
    count->unknown = false;
    count->ready = 0;
    count->due_ms = count->seq = INT64_MIN;
    bide_code code = ask_one(file, BIDE_SQL_COUNT_WAITING, question, &count->waiting, error);
    return code == BIDE_OK ? ask_one(file, BIDE_SQL_COUNT_DEAD, question, &count->dead, error) : code;
}

static bide_code read_row(struct bide_sqlite_file *file, struct bide_sqlite_count *count, bide_error *error)
{
    int64_t numbers[5];
    bool row;
    const struct question question = {count->queue, {0}};
    bide_code code = ask(file, BIDE_SQL_COUNT_READ, &question, numbers, &row, error);
    if (code != BIDE_OK)
        return code;
    count->unknown = !row;
    if (!row)
        return BIDE_OK;
    count->waiting = numbers[0];
    count->ready = numbers[1];
    count->due_ms = numbers[2];
    count->seq = numbers[3];
    count->dead = numbers[4];
    return BIDE_OK;
}

/* ---- what a transaction changes ---- */

static struct bide_sqlite_count *find(struct bide_sqlite_counts *counts, const char *queue)
{
    if (counts->last < counts->n && strcmp(counts->items[counts->last].queue, queue) == 0)
        return &counts->items[counts->last];
    for (counts->last = 0; counts->last < counts->n; counts->last++)
        if (strcmp(counts->items[counts->last].queue, queue) == 0)
            return &counts->items[counts->last];
    return NULL;
}

static bide_code add(
    struct bide_sqlite_file *file, const char *queue, struct bide_sqlite_count **ret_count, bide_error *error)
{
    struct bide_sqlite_counts *counts = &file->counts;
    if (counts->n == counts->room) {
        size_t room = counts->room ? 2 * counts->room : 4;
        struct bide_sqlite_count *grown = bide_realloc(counts->items, room * sizeof *grown);
        if (!grown)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        counts->items = grown;
        counts->room = room;
    }
    struct bide_sqlite_count *count = &counts->items[counts->n];
    *count = (struct bide_sqlite_count){.unknown = false};
    memcpy(count->queue, queue, strlen(queue) + 1);
    bide_code code = read_row(file, count, error);
    if (code == BIDE_OK) {
        counts->last = counts->n++;
        *ret_count = count;
    }
    return code;
}

/* Sets NULL for a name that no queue of bide's can have: nobody asks for its count. */
static bide_code use(
    struct bide_sqlite_file *file, const char *queue, struct bide_sqlite_count **ret_count, bide_error *error)
{
    *ret_count = NULL;
    if (!queue || strlen(queue) > BIDE_NAME_MAX)
        return BIDE_OK;
    *ret_count = find(&file->counts, queue);
    return *ret_count ? BIDE_OK : add(file, queue, ret_count, error);
}

/* change: 1 or -1. */
static bide_code count_one(struct bide_sqlite_file *file, const char *queue, int64_t change, int64_t due_ms,
    int64_t seq, bide_error *error)
{
    struct bide_sqlite_count *count;
    bide_code code = use(file, queue, &count, error);
    if (code == BIDE_OK && count) {
        count->waiting += change;
        count->ready += is_before(due_ms, seq, count) ? change : 0;
    }
    return code;
}

bide_code bide_sqlite_count_waiting(
    struct bide_sqlite_file *file, const char *queue, int64_t due_ms, int64_t seq, bide_error *error)
{
    return count_one(file, queue, 1, due_ms, seq, error);
}

bide_code bide_sqlite_count_left(
    struct bide_sqlite_file *file, const char *queue, int64_t due_ms, int64_t seq, bide_error *error)
{
    return count_one(file, queue, -1, due_ms, seq, error);
}

bide_code bide_sqlite_count_claimed(struct bide_sqlite_file *file, const char *queue, size_t n, bool all,
    int64_t due_ms, int64_t seq, bide_error *error)
{
    struct bide_sqlite_count *count;
    bide_code code = use(file, queue, &count, error);
    if (code != BIDE_OK || !count)
        return code;
    count->waiting = all ? 0 : count->waiting - (int64_t)n;
    count->ready = !all && is_before(due_ms, seq, count) ? count->ready - (int64_t)n : 0;
    return BIDE_OK;
}

bide_code bide_sqlite_count_dead(
    struct bide_sqlite_file *file, const char *queue, int64_t change, bide_error *error)
{
    struct bide_sqlite_count *count;
    bide_code code = use(file, queue, &count, error);
    if (code == BIDE_OK && count)
        count->dead += change;
    return code;
}

bide_code bide_sqlite_run_waiting(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error)
{
    bool row;
    bide_code code;
    while ((code = bide_sqlite_step(file, statement, &row, error)) == BIDE_OK && row) {
        code = bide_sqlite_count_waiting(file, (const char *)sqlite3_column_text(statement, 0),
            sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2), error);
        if (code != BIDE_OK)
            break;
    }
    sqlite3_reset(statement);
    return code;
}

bide_code bide_sqlite_run_dead(struct bide_sqlite_file *file, sqlite3_stmt *statement, int64_t change,
    uint64_t *ret_n, bide_error *error)
{
    bool row;
    bide_code code;
    uint64_t n = 0;
    while ((code = bide_sqlite_step(file, statement, &row, error)) == BIDE_OK && row) {
        n++;
        code = bide_sqlite_count_dead(file, (const char *)sqlite3_column_text(statement, 0), change, error);
        if (code != BIDE_OK)
            break;
    }
    sqlite3_reset(statement);
    if (ret_n)
        *ret_n = n;
    return code;
}

/* ---- storing ---- */

/* Moves the mark to the present, or as far as one transaction may. */
static bide_code move_mark(
    struct bide_sqlite_file *file, struct bide_sqlite_count *count, int64_t now_ms, bide_error *error)
{
    const struct question question = {count->queue, {count->due_ms, count->seq, now_ms, STEPS_MAX}};
    int64_t steps = 0, mark[2] = {now_ms, INT64_MAX};
    bool row;
    if (!is_before(count->due_ms, count->seq, &(struct bide_sqlite_count){.due_ms = now_ms}))
        return BIDE_OK; /* the mark is at the present, or the clock was set back */
    bide_code code = ask_one(file, BIDE_SQL_COUNT_STEPS, question, &steps, error);
    if (code == BIDE_OK && steps == STEPS_MAX)
        code = ask(file, BIDE_SQL_STEP_TO, &question, mark, &row, error);
    if (code != BIDE_OK)
        return code;
    count->ready += steps;
    count->due_ms = mark[0];
    count->seq = mark[1];
    return BIDE_OK;
}

/* The count is unknown, or impossible because an older bide or a person has changed the file. */
static bool must_count(const struct bide_sqlite_count *count)
{
    return count->unknown || count->ready < 0 || count->ready > count->waiting || count->dead < 0;
}

static bide_code store(
    struct bide_sqlite_file *file, struct bide_sqlite_count *count, int64_t now_ms, bide_error *error)
{
    sqlite3_stmt *write;
    bide_code code = must_count(count) ? count_rows(file, count, error) : BIDE_OK;
    if (code == BIDE_OK)
        code = move_mark(file, count, now_ms, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_COUNT_WRITE, &write, error);
    if (code != BIDE_OK)
        return code;
    const int64_t numbers[] = {count->waiting, count->ready, count->due_ms, count->seq, count->dead};
    sqlite3_bind_text(write, 1, count->queue, -1, SQLITE_STATIC);
    for (int i = 0; i < 5; i++)
        sqlite3_bind_int64(write, i + 2, numbers[i]);
    return bide_sqlite_run(file, write, error);
}

bide_code bide_sqlite_counts_store(struct bide_sqlite_file *file, bide_error *error)
{
    bide_code code = BIDE_OK;
    int64_t now_ms = file->counts.n ? bide_wall_ms(file->clock) : 0;
    for (size_t i = 0; code == BIDE_OK && i < file->counts.n; i++)
        code = store(file, &file->counts.items[i], now_ms, error);
    return code;
}

void bide_sqlite_counts_forget(struct bide_sqlite_file *file)
{
    file->counts.n = 0;
}

void bide_sqlite_counts_release(struct bide_sqlite_file *file)
{
    bide_free(file->counts.items);
    file->counts = (struct bide_sqlite_counts){0};
}

/* ---- looking ---- */

/* Corrects `ready` by the messages between the mark and the present, whichever of the two is earlier. */
static bide_code count_since_mark(
    struct bide_sqlite_file *file, struct bide_sqlite_count *count, int64_t now_ms, bide_error *error)
{
    struct question later = {count->queue, {count->due_ms, count->seq, now_ms, INT64_MAX}};
    struct question earlier = {count->queue, {now_ms, INT64_MAX, count->due_ms, INT64_MAX}};
    int64_t n = 0;
    if (count->due_ms <= now_ms) {
        bide_code code = ask_one(file, BIDE_SQL_COUNT_STEPS, later, &n, error);
        count->ready += n;
        return code;
    }
    bide_code code = ask_one(file, BIDE_SQL_COUNT_STEPS, earlier, &n, error); /* the clock was set back */
    count->ready -= n < count->ready ? n : count->ready;
    return code;
}

bide_code bide_sqlite_counts_look(struct bide_sqlite_file *file, const char *queue, int64_t now_ms,
    struct bide_sqlite_count *ret_count, bide_error *error)
{
    struct bide_sqlite_count count = {.unknown = false};
    if (strlen(queue) > BIDE_NAME_MAX)
        return bide_fail(error, BIDE_E_INTERNAL, "no queue has such a long name");
    memcpy(count.queue, queue, strlen(queue) + 1);
    bide_code code = read_row(file, &count, error);
    if (code == BIDE_OK && count.unknown)
        code = count_rows(file, &count, error);
    if (code == BIDE_OK)
        code = count_since_mark(file, &count, now_ms, error);
    if (code == BIDE_OK)
        *ret_count = count;
    return code;
}
