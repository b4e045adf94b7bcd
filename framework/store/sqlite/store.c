#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "store/sqlite/inside.h"
#include "store/stores.h"

/* ---- the file ---- */

static void disconnect(struct bide_sqlite_store *store)
{
    store->session = 0; /* with the side file its byte is given back */
    bide_store_finalize(store);
    bide_sqlite_file_close(&store->file);
}

static bool is_connected(struct bide_sqlite_store *store)
{
    if (store->file.db && bide_sqlite_file_is_gone(&store->file))
        disconnect(store);
    return store->file.db != NULL;
}

/* Opens the file where it is not open, or was removed or replaced. */
static bide_code connect(struct bide_sqlite_store *store, int64_t wait_us, bide_error *error)
{
    return is_connected(store) ? BIDE_OK
                               : bide_sqlite_file_open(&store->file, BIDE_SQLITE_WRITE, wait_us, error);
}

/* The same, and makes no file and no tables. What it opens (*ret_opened) cannot write, and is to be closed
 * again. */
static bide_code look(struct bide_sqlite_store *store, bool *ret_opened, bide_error *error)
{
    *ret_opened = !is_connected(store);
    return *ret_opened ? bide_sqlite_file_open(&store->file, BIDE_SQLITE_LOOK, store->base.timeout_us, error)
                       : BIDE_OK;
}

static void begin_batch(struct bide_sqlite_store *store)
{
    store->now_us = bide_wall_us(store->file.clock);
    *store->scope.name = '\0';
}

static void roll_back(struct bide_sqlite_store *store)
{
    for (size_t i = 0; i < BIDE_STORE_SQL_COUNT; i++)
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
    bide_sqlite_rollback(&store->file);
}

/* ---- letters ---- */

static bide_store_perform *const performers[] = {
    [BIDE_STORE_TURN] = bide_store_sqlite_turn,
    [BIDE_STORE_ARRIVE] = bide_store_sqlite_arrive,
    [BIDE_STORE_METER] = bide_store_sqlite_meter,
    [BIDE_STORE_ACQUIRE] = bide_store_sqlite_acquire,
    [BIDE_STORE_RELEASE] = bide_store_sqlite_release,
    [BIDE_STORE_GET] = bide_store_sqlite_get,
    [BIDE_STORE_CLOSE] = bide_store_sqlite_close,
};

static bide_code apply_letter(
    struct bide_sqlite_store *store, struct bide_store_letter *letter, bide_error *error)
{
    bool stopped = false;
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < letter->n; i++) {
        struct bide_store_operation *operation = &letter->operations[i];
        operation->answer.skipped = stopped;
        if (!stopped)
            code = performers[operation->kind](store, operation, error);
        stopped = stopped || (operation->stop && !operation->answer.ok);
    }
    return code;
}

static bide_code apply_letters(
    struct bide_sqlite_store *store, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        if (letters[i].code == BIDE_OK)
            code = apply_letter(store, &letters[i], error);
    return code;
}

/* What the letters need. Nothing: a look at one state of the file. */
struct needs {
    bool write, sync, session;
};

static struct needs needs_of(const struct bide_store_letter *letters, size_t n)
{
    struct needs needs = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; letters[i].code == BIDE_OK && j < letters[i].n; j++) {
            enum bide_store_kind kind = letters[i].operations[j].kind;
            needs.session |= kind == BIDE_STORE_ACQUIRE || kind == BIDE_STORE_RELEASE;
            needs.write |= kind != BIDE_STORE_GET;
            needs.sync |= kind != BIDE_STORE_GET && !letters[i].lax;
        }
    return needs;
}

static bide_code run_own(struct bide_sqlite_store *store, enum bide_store_sql which, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_store_use(store, which, &statement, error);
    return code == BIDE_OK ? bide_store_run(store, statement, error) : code;
}

static bide_code read_batch(
    struct bide_sqlite_store *store, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    bide_code code = run_own(store, BIDE_STORE_SQL_BEGIN_READ, error);
    if (code != BIDE_OK)
        return code;
    begin_batch(store);
    code = apply_letters(store, letters, n, error);
    if (code == BIDE_OK)
        code = run_own(store, BIDE_STORE_SQL_COMMIT, error);
    if (code != BIDE_OK)
        roll_back(store);
    return code;
}

static bide_code write_batch(struct bide_sqlite_store *store, struct bide_store_letter *letters, size_t n,
    bool sync, int64_t wait_us, bide_error *error)
{
    bide_code code = bide_sqlite_begin(&store->file, sync, wait_us, error);
    if (code != BIDE_OK)
        return code;
    begin_batch(store);
    code = bide_store_sweep(store, error);
    if (code == BIDE_OK)
        code = apply_letters(store, letters, n, error);
    BIDE_KILL_POINT("store/sqlite-applied");
    if (code == BIDE_OK)
        code = bide_sqlite_commit(&store->file, error);
    else
        roll_back(store);
    BIDE_KILL_POINT("store/sqlite-committed");
    return code;
}

static bide_code apply_once(struct bide_sqlite_store *store, struct bide_store_letter *letters, size_t n,
    int64_t wait_us, bide_error *error)
{
    struct needs needs = needs_of(letters, n);
    bide_code code = connect(store, wait_us, error);
    if (code == BIDE_OK && needs.session)
        code = bide_store_session_begin(store, wait_us, error);
    if (code != BIDE_OK)
        return code;
    return needs.write ? write_batch(store, letters, n, needs.sync, wait_us, error)
                       : read_batch(store, letters, n, error);
}

static void forget_answers(struct bide_store_letter *letters, size_t n, bide_code code)
{
    for (size_t i = 0; i < n; i++) {
        bide_store_letter_clear(&letters[i]);
        if (letters[i].code != BIDE_E_DATA)
            letters[i].code = code;
    }
}

static bide_code store_apply(
    struct bide_store *base, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    struct bide_sqlite_store *store = (struct bide_sqlite_store *)base;
    int64_t end_us = bide_mono_us(store->file.clock) + store->base.timeout_us;
    for (;;) {
        int64_t wait_us = end_us - bide_mono_us(store->file.clock);
        bide_code code = apply_once(store, letters, n, wait_us > 0 ? wait_us : 0, error);
        bool gone = store->file.db && bide_sqlite_file_is_gone(&store->file);
        if (code == BIDE_OK && !gone)
            return BIDE_OK;
        forget_answers(letters, n, code);
        if (!gone) /* else it went into a file that was removed or replaced: again, into the new one */
            return code;
        if (wait_us <= 0) {
            code = bide_sqlite_fail(&store->file, SQLITE_BUSY, error);
            forget_answers(letters, n, code);
            return code;
        }
    }
}

/* ---- the other calls ---- */

static void show_row(struct bide_sqlite_store *store, sqlite3_stmt *row, bide_store_visit *visit, void *user)
{
    bool own_end = sqlite3_column_type(row, 3) != SQLITE_NULL;
    int64_t end_ms = own_end ? sqlite3_column_int64(row, 3) : store->scope.end_ms;
    struct bide_store_fact fact = {
        .key = (const char *)sqlite3_column_text(row, 0),
        .state = (unsigned)sqlite3_column_int(row, 1) % BIDE_STORE_STATES,
        .data = {sqlite3_column_blob(row, 2), (size_t)sqlite3_column_bytes(row, 2)},
        .lasts_ms = end_ms - bide_store_now_ms(store),
    };
    if (fact.lasts_ms > 0)
        visit(user, &fact);
}

static bide_code scan_page(struct bide_sqlite_store *store, const char *prefix, size_t max,
    struct bide_store_cursor *cursor, bide_store_visit *visit, void *user, bide_error *error)
{
    sqlite3_stmt *rows;
    size_t n = 0;
    bool row = false;
    const char *after = strcmp(cursor->at, prefix) > 0 ? cursor->at : prefix;
    bide_code code = bide_store_use_for(store, BIDE_STORE_SQL_FACTS, store->scope.number, NULL, &rows, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(rows, 2, after, -1, SQLITE_TRANSIENT); /* the cursor moves on */
    sqlite3_bind_int64(rows, 3, (int64_t)max);
    sqlite3_bind_text(rows, 4, cursor->at, -1, SQLITE_TRANSIENT);
    while ((code = bide_sqlite_step(&store->file, rows, &row, error)) == BIDE_OK && row) {
        const char *key = (const char *)sqlite3_column_text(rows, 0);
        if (!key || strncmp(key, prefix, strlen(prefix)) != 0) /* beyond it: keys come in order */
            break;
        show_row(store, rows, visit, user);
        n++;
        snprintf(cursor->at, sizeof cursor->at, "%s", key);
    }
    sqlite3_reset(rows);
    cursor->done = code == BIDE_OK && n < max;
    return code;
}

static bide_code store_scan(struct bide_store *base, const char *scope, const char *prefix, size_t max,
    struct bide_store_cursor *cursor, bide_store_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_store *store = (struct bide_sqlite_store *)base;
    bool opened;
    bide_code code = look(store, &opened, error);
    if (code == BIDE_OK) {
        begin_batch(store);
        code = bide_store_scope_find(store, scope, error);
    }
    cursor->done = code == BIDE_E_NOT_FOUND || (code == BIDE_OK && store->scope.number == 0);
    if (code == BIDE_OK && !cursor->done)
        code = scan_page(store, prefix, max, cursor, visit, user, error);
    if (opened)
        disconnect(store);
    return cursor->done && code == BIDE_E_NOT_FOUND ? BIDE_OK : code;
}

enum { TEND_MS = 10 * 1000, TEND_SOON_MS = 20 };

static bide_code sweep_all(struct bide_sqlite_store *store, bide_error *error)
{
    bide_code code = bide_sqlite_begin(&store->file, false, store->base.timeout_us, error);
    if (code != BIDE_OK)
        return code;
    begin_batch(store);
    code = bide_store_sweep(store, error);
    if (code == BIDE_OK)
        code = bide_store_sessions_sweep(store, error);
    if (code == BIDE_OK)
        return bide_sqlite_commit(&store->file, error);
    roll_back(store);
    return code;
}

static bide_code store_tend(struct bide_store *base, int64_t *ret_wait_ms, bide_error *error)
{
    struct bide_sqlite_store *store = (struct bide_sqlite_store *)base;
    bide_code code = connect(store, store->base.timeout_us, error);
    if (code == BIDE_OK && store->session)
        code = bide_store_session_begin(store, store->base.timeout_us, error);
    if (code == BIDE_OK)
        code = sweep_all(store, error);
    if (code == BIDE_OK) /* a sweep that left something wants to go on at once */
        *ret_wait_ms = store->sweep_at_us <= bide_mono_us(store->file.clock) ? TEND_SOON_MS : TEND_MS;
    return code;
}

static bide_code store_verify(struct bide_store *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    struct bide_sqlite_store *store = (struct bide_sqlite_store *)base;
    bide_error why = {0};
    bool opened;
    struct bide_finding finding = {BIDE_FINDING_OK, "store", "its tables are there", NULL};
    bide_code code = look(store, &opened, &why);
    if (code == BIDE_E_NOT_FOUND)
        finding =
            (struct bide_finding){BIDE_FINDING_OK, "store", "its tables will be made at first use", NULL};
    else if (code == BIDE_E_NOMEM)
        return bide_fail(error, code, "%s", why.text);
    else if (code != BIDE_OK)
        finding = (struct bide_finding){BIDE_FINDING_ERROR, "store", why.text, NULL};
    if (opened)
        disconnect(store);
    sink(user, &finding);
    return BIDE_OK;
}

static void store_destroy(struct bide_store *base)
{
    struct bide_sqlite_store *store = (struct bide_sqlite_store *)base;
    disconnect(store);
    bide_sqlite_file_clear(&store->file);
    bide_free(store->client_name);
    bide_free(store);
}

static const struct bide_store_ops store_ops = {
    store_apply, store_scan, store_tend, store_verify, store_destroy};

static bide_code open_store(
    const struct bide_store_options *options, struct bide_store **ret_store, bide_error *error)
{
    struct bide_broker_options file_options = {.url = options->url,
        .name_space = options->name_space,
        .base_dir = options->base_dir,
        .clock = options->clock};
    struct bide_sqlite_store *store = bide_calloc(1, sizeof *store);
    if (!store)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_sqlite_file_init(&store->file, &file_options, error);
    if (code != BIDE_OK) {
        bide_free(store);
        return code;
    }
    store->base.ops = &store_ops;
    store->file.tables = &bide_store_sqlite_tables;
    store->base.timeout_us = options->timeout_ms * 1000;
    store->client_name = bide_strdup(options->client_name ? options->client_name : "bide");
    if (!store->client_name) {
        store_destroy(&store->base);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    *ret_store = &store->base;
    return BIDE_OK;
}

const struct bide_store_type bide_sqlite_store = {
    .name = "sqlite", .schemes = {"sqlite"}, .one_host = true, .open = open_store};
