#include "relay/outbox.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bide/log.h"

enum {
    TURN_US = 100 * 1000,           /* one call waits so long for other writers; the relay calls again */
    PATIENCE_US = 10 * 1000 * 1000, /* a database that is locked for less is not reported */
    COMMIT_US = 20 * 1000, /* a commit that waits for readers keeps new ones out, where there is no WAL */
    REST_US = 100 * 1000,  /* and these are let in before the next try */
    NAP_US = 500,
    BATCH_BYTES = 8 * 1024 * 1024,
};

enum statement { READ, BEGIN, DELETE, REFUSE, COMMIT, N_STATEMENTS };

static const char *const texts[N_STATEMENTS] = {
    [READ] = "SELECT " BIDE_OUTBOX_COLUMNS " FROM bide_outbox WHERE refused IS NULL AND "
             "(?3 IS NULL OR queue = ?3) ORDER BY rowid LIMIT ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    /* A number may be given again once its row is deleted: so the id and the time must be the same, too. */
    [DELETE] =
        "DELETE FROM bide_outbox WHERE rowid = ?1 AND " BIDE_OUTBOX_SENT " = ?2 AND CAST(id AS TEXT) = ?3",
    [REFUSE] = "UPDATE bide_outbox SET refused = ?3 WHERE rowid = ?1 AND " BIDE_OUTBOX_SENT " = ?2",
    [COMMIT] = "COMMIT",
};

struct outbox {
    struct bide_source base;
    struct bide_source_options options;
    struct bide_turn turn;
    struct bide_outbox_watch watch;
    char *path;
    sqlite3 *db; /* NULL: closed */
    sqlite3_stmt *statements[N_STATEMENTS];
    dev_t device; /* of the open file */
    ino_t inode;
    int64_t busy_until_us;
    int64_t busy_since_us; /* 0: the last call was not kept waiting */
    bool is_absent;        /* and that was logged */
};

static struct outbox *of(struct bide_source *base)
{
    return (struct outbox *)base;
}

/* ---- failures ---- */

static bool has_table(struct outbox *outbox)
{
    sqlite3_stmt *look = NULL;
    bool there = true;
    if (sqlite3_prepare_v2(outbox->db, "SELECT 1 FROM sqlite_master WHERE name = 'bide_outbox'", -1, &look,
            NULL) == SQLITE_OK)
        there = sqlite3_step(look) != SQLITE_DONE;
    sqlite3_finalize(look);
    return there;
}

static bide_code judge(struct outbox *outbox, int status)
{
    switch (status & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return BIDE_E_TIMEOUT;
    case SQLITE_NOMEM:
        return BIDE_E_NOMEM;
    case SQLITE_NOTADB:
        return BIDE_E_CONFIG;
    case SQLITE_CANTOPEN:
        return access(outbox->path, F_OK) != 0 && errno == ENOENT ? BIDE_E_NOT_FOUND : BIDE_E_BROKER;
    case SQLITE_ERROR:
        return outbox->db && !has_table(outbox) ? BIDE_E_NOT_FOUND : BIDE_E_CONFIG;
    default:
        return BIDE_E_BROKER;
    }
}

static bide_code failed(struct outbox *outbox, int status, bide_error *error)
{
    char text[BIDE_ERROR_SIZE / 2];
    sqlite3_snprintf(
        sizeof text, text, "%s", outbox->db ? sqlite3_errmsg(outbox->db) : sqlite3_errstr(status));
    return bide_fail(error, judge(outbox, status), "outbox %s: %s", outbox->path, text);
}

/* ---- the file ---- */

static int wait_for_others(void *user, int times)
{
    struct outbox *outbox = user;
    (void)times;
    if (bide_mono_us(outbox->options.clock) >= outbox->busy_until_us)
        return 0;
    usleep(NAP_US);
    return 1;
}

static void close_file(struct outbox *outbox)
{
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(outbox->statements[i]);
        outbox->statements[i] = NULL;
    }
    sqlite3_close(outbox->db);
    outbox->db = NULL;
}

/* Only asks for its state: a descriptor of our own, closed, would drop SQLite's locks on the file. */
static bool is_gone(const struct outbox *outbox)
{
    struct stat status;
    if (stat(outbox->path, &status) != 0)
        return errno == ENOENT;
    return status.st_dev != outbox->device || status.st_ino != outbox->inode;
}

static bide_code open_file(struct outbox *outbox, bide_error *error)
{
    struct stat status;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(outbox->path, &outbox->db, flags, NULL);
    if (result == SQLITE_OK && stat(outbox->path, &status) != 0)
        result = SQLITE_CANTOPEN;
    bide_code code = result == SQLITE_OK ? BIDE_OK : failed(outbox, result, error);
    if (code == BIDE_OK && sqlite3_db_readonly(outbox->db, "main") == 1)
        code = bide_fail(error, BIDE_E_CONFIG,
            "outbox %s: cannot be written: this user needs to write the file, the files beside it and their "
            "folder",
            outbox->path);
    if (code != BIDE_OK) {
        close_file(outbox);
        return code;
    }
    outbox->device = status.st_dev;
    outbox->inode = status.st_ino;
    sqlite3_busy_handler(outbox->db, wait_for_others, outbox);
    bide_outbox_watch_file(&outbox->watch, outbox->path);
    return BIDE_OK;
}

static bide_code use(
    struct outbox *outbox, enum statement which, sqlite3_stmt **ret_statement, bide_error *error)
{
    sqlite3_stmt **statement = &outbox->statements[which];
    int result = SQLITE_OK;
    if (!*statement)
        result = sqlite3_prepare_v3(outbox->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    *ret_statement = *statement;
    return result == SQLITE_OK ? BIDE_OK : failed(outbox, result, error);
}

static bide_code run(struct outbox *outbox, sqlite3_stmt *statement, bide_error *error)
{
    int result = sqlite3_step(statement);
    bide_code code = result == SQLITE_DONE ? BIDE_OK : failed(outbox, result, error);
    sqlite3_reset(statement);
    return code;
}

static bide_code run_alone(struct outbox *outbox, enum statement which, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = use(outbox, which, &statement, error);
    return code == BIDE_OK ? run(outbox, statement, error) : code;
}

/* ---- taking ---- */

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

static bide_code read_rows(
    struct outbox *outbox, struct bide_taken *items, size_t max, size_t *ret_n, bide_error *error)
{
    sqlite3_stmt *row;
    size_t bytes = 0, n = 0;
    int result = SQLITE_ROW;
    bide_code code = use(outbox, READ, &row, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(row, 1, (int64_t)max);
    sqlite3_bind_int64(row, 2, outbox->options.config->worker.max_body);
    bind_text(row, 3, outbox->options.queue);
    while (code == BIDE_OK && n < max && bytes < BATCH_BYTES && (result = sqlite3_step(row)) == SQLITE_ROW) {
        code = bide_outbox_read(row, &outbox->options, &items[n], error);
        if (code == BIDE_OK && items[n].message)
            bytes += items[n].message->body_size;
        n += code == BIDE_OK;
    }
    if (code == BIDE_OK && result != SQLITE_ROW && result != SQLITE_DONE && n == 0)
        code = failed(outbox, result, error);
    sqlite3_reset(row);
    *ret_n = n; /* what was read before a failure can be carried */
    return n > 0 ? BIDE_OK : code;
}

static void note_absence(struct outbox *outbox, bool is_absent, const bide_error *error)
{
    if (is_absent && !outbox->is_absent)
        bide_log(BIDE_LOG_INFO, "the outbox is not there yet: the relay waits for it",
            BIDE_STR("file", outbox->path), BIDE_STR("why", error->text));
    outbox->is_absent = is_absent;
}

/* A database that is not there yet is an empty outbox. One that is locked for a while (a long transaction, a
 * backup) is looked at again soon, and is a failure in the end. */
static bide_code bear(struct outbox *outbox, bide_code code, const bide_error *failure, bide_error *error)
{
    int64_t now_us = bide_mono_us(outbox->options.clock);
    note_absence(outbox, code == BIDE_E_NOT_FOUND, failure);
    if (code != BIDE_E_TIMEOUT)
        outbox->busy_since_us = 0;
    else if (outbox->busy_since_us == 0)
        outbox->busy_since_us = now_us;
    if (code == BIDE_E_TIMEOUT && now_us - outbox->busy_since_us < PATIENCE_US) {
        bide_outbox_watch_soon(&outbox->watch);
        return BIDE_OK;
    }
    return code == BIDE_OK || code == BIDE_E_NOT_FOUND ? BIDE_OK
                                                       : bide_fail(error, code, "%s", failure->text);
}

static bide_code outbox_take(
    struct bide_source *base, struct bide_taken *items, size_t max, size_t *ret_n, bide_error *error)
{
    struct outbox *outbox = of(base);
    bool touched = false;
    bide_error failure = {0};
    *ret_n = 0;
    if (max == 0)
        return BIDE_OK;
    int64_t now_us = bide_mono_us(outbox->options.clock);
    outbox->busy_until_us = now_us + TURN_US;
    bide_outbox_watch_look(&outbox->watch, outbox->path, now_us, &touched);
    if (touched && outbox->db && is_gone(outbox)) {
        bide_log(
            BIDE_LOG_WARN, "the outbox's database was removed or replaced", BIDE_STR("file", outbox->path));
        close_file(outbox);
    }
    bide_code code = outbox->db ? BIDE_OK : open_file(outbox, &failure);
    if (code == BIDE_OK)
        code = read_rows(outbox, items, max, ret_n, &failure);
    return bear(outbox, code, &failure, error);
}

/* ---- settling ---- */

static void free_item(struct bide_taken *item)
{
    bide_message_destroy(item->message);
    bide_free(item->why);
    item->message = NULL;
    item->why = NULL;
}

static bide_code settle_one(struct outbox *outbox, const struct bide_taken *item, bide_error *error)
{
    bool done = item->end == BIDE_TAKEN_DONE;
    sqlite3_stmt *statement;
    if (item->end == BIDE_TAKEN_RELEASED)
        return BIDE_OK;
    bide_code code = use(outbox, done ? DELETE : REFUSE, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, item->seq);
    sqlite3_bind_int64(statement, 2, item->since_ms);
    bind_text(statement, 3, done ? item->message->id : item->why ? item->why : "refused");
    return run(outbox, statement, error);
}

static bide_code commit(struct outbox *outbox, bide_error *error)
{
    outbox->busy_until_us = bide_mono_us(outbox->options.clock) + COMMIT_US;
    return run_alone(outbox, COMMIT, error);
}

static bide_code settle_all(
    struct outbox *outbox, const struct bide_taken *items, size_t n, bide_error *error)
{
    bide_code code = run_alone(outbox, BEGIN, error), committed = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = settle_one(outbox, &items[i], error);
    if (code == BIDE_OK)
        code = committed = commit(outbox, error);
    if (code != BIDE_OK && !sqlite3_get_autocommit(outbox->db))
        sqlite3_exec(outbox->db, "ROLLBACK", NULL, NULL, NULL);
    if (committed == BIDE_E_TIMEOUT)
        usleep(REST_US);
    return code;
}

/* Rows whose database or table is gone are gone as well. */
static bide_code outbox_settle(
    struct bide_source *base, struct bide_taken *items, size_t n, bide_error *error)
{
    struct outbox *outbox = of(base);
    bide_error failure = {0};
    outbox->busy_until_us = bide_mono_us(outbox->options.clock) + TURN_US;
    bide_code code = outbox->db ? settle_all(outbox, items, n, &failure) : BIDE_OK;
    if (code != BIDE_OK && code != BIDE_E_NOT_FOUND && !is_gone(outbox))
        return bide_fail(error, code, "%s", failure.text);
    for (size_t i = 0; i < n; i++)
        free_item(&items[i]);
    return BIDE_OK;
}

/* ---- the rest of the contract ---- */

static bide_code outbox_claim(struct bide_source *base, bool *ret_mine, bide_error *error)
{
    struct outbox *outbox = of(base);
    int64_t now_us = bide_mono_us(outbox->options.clock);
    if (access(outbox->path, F_OK) == 0 || errno != ENOENT || outbox->turn.lock.fd >= 0)
        return bide_turn_take(&outbox->turn, now_us, ret_mine, error);
    const bide_error absent = {.code = BIDE_E_NOT_FOUND, .text = "there is no such file"};
    note_absence(outbox, true, &absent);
    return bide_fail(error, BIDE_E_NOT_FOUND, "outbox %s: %s", outbox->path, absent.text);
}

static void outbox_wait(struct bide_source *base, struct bide_wait *ret_wait)
{
    struct outbox *outbox = of(base);
    if (outbox->turn.is_mine)
        bide_outbox_watch_wait(&outbox->watch, bide_mono_us(outbox->options.clock), ret_wait);
    else
        bide_turn_wait(&outbox->turn, ret_wait);
}

static bide_code read_depth(struct outbox *outbox, struct bide_source_depth *ret_depth, bide_error *error)
{
    static const char sql[] =
        "SELECT count(*) FILTER (WHERE refused IS NULL), min(sent_ms) FILTER (WHERE refused IS NULL), "
        "count(refused) FROM bide_outbox WHERE ?1 IS NULL OR queue = ?1";
    sqlite3_stmt *look;
    int result = sqlite3_prepare_v2(outbox->db, sql, -1, &look, NULL);
    if (result != SQLITE_OK)
        return failed(outbox, result, error);
    bind_text(look, 1, outbox->options.queue);
    result = sqlite3_step(look);
    bide_code code = result == SQLITE_ROW ? BIDE_OK : failed(outbox, result, error);
    if (code == BIDE_OK) {
        int64_t age_ms = bide_wall_ms(outbox->options.clock) - sqlite3_column_int64(look, 1);
        ret_depth->waiting = sqlite3_column_int64(look, 0);
        ret_depth->oldest_ms = ret_depth->waiting == 0 ? 0 : age_ms > 1 ? age_ms : 1;
        ret_depth->refused = sqlite3_column_int64(look, 2);
    }
    sqlite3_finalize(look);
    return code;
}

static bide_code outbox_look(struct bide_source *base, struct bide_source_depth *ret_depth, bide_error *error)
{
    struct outbox *outbox = of(base);
    struct bide_source_depth depth = {0};
    bide_error failure = {0};
    outbox->busy_until_us = bide_mono_us(outbox->options.clock) + outbox->options.timeout_ms * 1000;
    bide_code code = outbox->db ? BIDE_OK : open_file(outbox, &failure);
    if (code == BIDE_OK)
        code = read_depth(outbox, &depth, &failure);
    if (code != BIDE_OK && code != BIDE_E_NOT_FOUND)
        return bide_fail(error, code, "%s", failure.text);
    *ret_depth = depth;
    return BIDE_OK;
}

static void outbox_destroy(struct bide_source *base, struct bide_taken *items, size_t n)
{
    struct outbox *outbox = of(base);
    for (size_t i = 0; i < n; i++)
        free_item(&items[i]);
    close_file(outbox);
    bide_outbox_watch_close(&outbox->watch);
    bide_turn_release(&outbox->turn); /* last: the next relay reads what this one has left */
    bide_free(outbox->path);
    bide_free(outbox);
}

static const struct bide_source_ops ops = {
    .claim = outbox_claim,
    .take = outbox_take,
    .settle = outbox_settle,
    .wait = outbox_wait,
    .look = outbox_look,
    .destroy = outbox_destroy,
};

/* ---- opening ---- */

static bide_code read_url(const struct bide_source_options *options, char **ret_path, bide_error *error)
{
    static const char *const none[] = {NULL};
    struct bide_url url;
    bide_code code = bide_url_parse(options->url, &url, error);
    if (code != BIDE_OK)
        return code;
    code = bide_url_check_params(&url, none, error);
    if (code == BIDE_OK && (url.n_hosts > 0 || !url.path || !*url.path))
        code = bide_fail(error, BIDE_E_CONFIG,
            "'%s': names no file: write outbox+sqlite:FILE, or outbox+sqlite:/path/to/FILE", url.redacted);
    if (code == BIDE_OK && !(*ret_path = bide_source_path(options->config->dir, url.path)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_url_clear(&url);
    return code;
}

bide_code bide_outbox_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error)
{
    struct outbox *outbox = bide_calloc(1, sizeof *outbox);
    if (!outbox)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    outbox->base.ops = &ops;
    outbox->options = *options;
    bide_code code = read_url(options, &outbox->path, error);
    if (code == BIDE_OK)
        code = bide_turn_init(&outbox->turn, outbox->path, options->queue, error);
    if (code != BIDE_OK) {
        bide_free(outbox->path);
        bide_free(outbox);
        return code;
    }
    bide_outbox_watch_open(&outbox->watch);
    *ret_source = &outbox->base;
    return BIDE_OK;
}
