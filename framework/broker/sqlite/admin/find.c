/* Finding what waits and what runs. Pages are read whole before their messages are visited: no read
 * transaction stays open while a caller prints. A walk takes the waiting ones queue by queue in the order of
 * their line, then the claimed ones. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/sqlite/admin/admin.h"
#include "broker/sqlite/row.h"

enum { PAGE = 100, PAGE_BYTES = 1024 * 1024, NAME = 256, BODY = 1, MESSAGE_COLUMNS = BIDE_SQLITE_BODY + 1 };
/* Behind the columns of a message: who has claimed it (0: nobody), and that worker's host and process. */
enum { WORKER = MESSAGE_COLUMNS, HOST, PID };

#define MESSAGE                                                                                              \
    "m.seq, m.due_ms, {rest m.#}, m.headers, "                                                               \
    "CASE WHEN length(m.body) > ?1 THEN length(m.body) ELSE m.body END"
#define HOLDER                                                                                               \
    ", coalesce(c.worker, 0), k.host, k.pid FROM {message} m LEFT JOIN {claim} c ON c.seq = m.seq "          \
    "LEFT JOIN {worker} k ON k.number = c.worker "

/* ?1: size of the largest body to read; ?2, ?3: place behind which to begin; ?4: a name, or NULL; ?5, ?6: due
 * times; ?7: type, or NULL; ?8: how many. */
static const char of_line[] =
    "SELECT " MESSAGE ", 0, NULL, NULL FROM {waiting} w CROSS JOIN {message} m ON m.seq = w.seq "
    "WHERE w.queue = ?4 AND (w.due_ms, w.seq) > (?2, ?3) AND w.due_ms BETWEEN ?5 AND ?6 "
    "AND (?7 IS NULL OR m.type = ?7) ORDER BY w.due_ms, w.seq LIMIT ?8";
static const char of_claims[] =
    "SELECT " MESSAGE ", c.worker, k.host, k.pid FROM {claim} c CROSS JOIN {message} m ON m.seq = c.seq "
    "LEFT JOIN {worker} k ON k.number = c.worker WHERE c.seq > ?3 AND (?4 IS NULL OR m.queue = ?4) "
    "AND (?7 IS NULL OR m.type = ?7) ORDER BY c.seq LIMIT ?8";
static const char of_id[] = "SELECT " MESSAGE HOLDER "WHERE m.id = ?4 AND m.seq > ?3 ORDER BY m.seq LIMIT ?8";

/* One message of a page. */
struct item {
    struct bide_message *message;
    size_t body_size;
    int64_t seq;
    bide_message_state state;
    char worker[NAME];
};

struct walk {
    struct bide_sqlite_admin *admin;
    const bide_selection *selection;
    bide_found_visit *visit;
    void *user;
    const char *text;    /* of the statement that reads */
    const char *name;    /* ?4 */
    int64_t due_ms, seq; /* place behind which to go on */
    size_t n;
    bool stopped;
    struct item items[PAGE];
};

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* A dead worker's claims wait: the next worker that looks gives them back. */
static bide_message_state state_of(
    struct bide_sqlite_admin *admin, const struct bide_message *message, int64_t worker)
{
    if (worker && bide_sqlite_lock_is_held(&admin->file.lock, bide_sqlite_worker_byte(worker)))
        return BIDE_STATE_RUNNING;
    return message->due_ms <= bide_wall_ms(admin->file.clock) ? BIDE_STATE_READY : BIDE_STATE_DELAYED;
}

static bide_code read_item(struct walk *walk, sqlite3_stmt *statement, bide_error *error)
{
    struct item *item = &walk->items[walk->n];
    enum bide_reason defect;
    const char *text, *host = (const char *)sqlite3_column_text(statement, HOST);
    bool left_out = sqlite3_column_type(statement, BIDE_SQLITE_BODY) == SQLITE_INTEGER;
    *item = (struct item){.seq = sqlite3_column_int64(statement, BIDE_SQLITE_SEQ)};
    int64_t size = left_out ? sqlite3_column_int64(statement, BIDE_SQLITE_BODY) : 0;
    item->message = bide_sqlite_read(statement, &defect, &text);
    if (!item->message)
        return no_memory(error);
    item->body_size = left_out ? (size_t)size : item->message->body_size;
    item->state = state_of(walk->admin, item->message, sqlite3_column_int64(statement, WORKER));
    if (item->state == BIDE_STATE_RUNNING && host)
        snprintf(item->worker, sizeof item->worker, "%.200s:%lld", host,
            (long long)sqlite3_column_int64(statement, PID));
    walk->n++;
    return BIDE_OK;
}

static void bind(const struct walk *walk, sqlite3_stmt *statement)
{
    const bide_selection *selection = walk->selection;
    int64_t now_ms = bide_wall_ms(walk->admin->file.clock);
    bool ready = selection->states & BIDE_STATE_READY, delayed = selection->states & BIDE_STATE_DELAYED;
    sqlite3_bind_int64(statement, BODY, selection->without_bodies ? -1 : INT64_MAX);
    sqlite3_bind_int64(statement, 2, walk->due_ms);
    sqlite3_bind_int64(statement, 3, walk->seq);
    if (walk->name)
        sqlite3_bind_text(statement, 4, walk->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, ready ? INT64_MIN : now_ms + 1);
    sqlite3_bind_int64(statement, 6, delayed ? INT64_MAX : now_ms);
    if (selection->type)
        sqlite3_bind_text(statement, 7, selection->type, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 8, PAGE);
}

static bide_code read_page(struct walk *walk, bide_error *error)
{
    sqlite3_stmt *statement;
    size_t bytes = 0;
    bool row = true;
    bide_code code = bide_sqlite_prepare(&walk->admin->file, walk->text, &statement, error);
    if (code != BIDE_OK)
        return code;
    bind(walk, statement);
    while (code == BIDE_OK && row && walk->n < PAGE && bytes < PAGE_BYTES) {
        code = bide_sqlite_step(&walk->admin->file, statement, &row, error);
        if (code == BIDE_OK && row)
            code = read_item(walk, statement, error);
        if (code == BIDE_OK && row)
            bytes += walk->items[walk->n - 1].message->body_size;
    }
    sqlite3_finalize(statement);
    return code;
}

static void visit_page(struct walk *walk)
{
    for (size_t i = 0; i < walk->n; i++) {
        struct item *item = &walk->items[i];
        const bide_found found = {
            .message = item->message,
            .body_size = item->body_size,
            .state = item->state,
            .worker = item->worker,
            .reason = "",
        };
        if (!walk->stopped) {
            walk->due_ms = item->message->due_ms;
            walk->seq = item->seq;
            if ((walk->selection->states & item->state) &&
                bide_selection_has(walk->selection, item->message, NULL))
                walk->stopped = !walk->visit(walk->user, &found);
        }
        bide_message_destroy(item->message);
    }
}

/* Visits all that the walk's statement finds behind its place. */
static bide_code visit_all(struct walk *walk, bide_error *error)
{
    bide_code code = BIDE_OK;
    bool more = true;
    while (code == BIDE_OK && more && !walk->stopped) {
        walk->n = 0;
        code = read_page(walk, error);
        more = walk->n > 0;
        if (code != BIDE_OK)
            walk->stopped = true;
        visit_page(walk);
    }
    return code;
}

/* ---- pages: where a walk goes on ---- */

/* A cursor is "w DUE SEQ QUEUE" in a queue's line, or "c SEQ" in the claims. */
static bool read_cursor(const char *cursor, char *ret_stage, char queue[BIDE_NAME_MAX + 1], struct walk *walk)
{
    int used = 0;
    *ret_stage = 'w';
    queue[0] = '\0';
    if (!*cursor)
        return true;
    *ret_stage = *cursor;
    if (sscanf(cursor, "c %" SCNd64 "%n", &walk->seq, &used) == 1)
        return cursor[used] == '\0';
    return sscanf(cursor, "w %" SCNd64 " %" SCNd64 " %n", &walk->due_ms, &walk->seq, &used) == 2 &&
           used > 0 && bide_queue_name_valid(cursor + used) &&
           snprintf(queue, BIDE_NAME_MAX + 1, "%s", cursor + used) <= BIDE_NAME_MAX;
}

static bide_code find_claimed(struct walk *walk, char cursor[BIDE_CURSOR_SIZE], bide_error *error)
{
    walk->text = of_claims;
    walk->name = walk->selection->queue;
    bide_code code = visit_all(walk, error);
    cursor[0] = '\0';
    if (walk->stopped)
        snprintf(cursor, BIDE_CURSOR_SIZE, "c %" PRId64, walk->seq);
    return code;
}

static bide_code find_in_lines(
    struct walk *walk, char queue[BIDE_NAME_MAX + 1], char cursor[BIDE_CURSOR_SIZE], bide_error *error)
{
    const char *only = walk->selection->queue;
    bool found = true;
    bide_code code = BIDE_OK;
    walk->text = of_line;
    if (only && *queue && strcmp(only, queue) != 0)
        return bide_fail(error, BIDE_E_DATA, "the cursor is of another queue than '%s'", only);
    if (!*queue && only)
        snprintf(queue, BIDE_NAME_MAX + 1, "%s", only);
    else if (!*queue)
        code = bide_sqlite_next_queue(&walk->admin->file, queue, &found, error);
    while (code == BIDE_OK && found) {
        walk->name = queue;
        code = visit_all(walk, error);
        if (code != BIDE_OK || walk->stopped)
            break;
        walk->due_ms = walk->seq = INT64_MIN;
        found = false;
        if (!only)
            code = bide_sqlite_next_queue(&walk->admin->file, queue, &found, error);
    }
    if (walk->stopped)
        snprintf(cursor, BIDE_CURSOR_SIZE, "w %" PRId64 " %" PRId64 " %s", walk->due_ms, walk->seq, queue);
    return code;
}

static bide_code find_page(struct walk *walk, char cursor[BIDE_CURSOR_SIZE], bide_error *error)
{
    char stage, queue[BIDE_NAME_MAX + 1];
    unsigned states = walk->selection->states;
    bide_code code = BIDE_OK;
    if (!read_cursor(cursor, &stage, queue, walk))
        return bide_fail(error, BIDE_E_DATA, "'%.100s' is no cursor of this broker", cursor);
    if (stage == 'w' && (states & (BIDE_STATE_DELAYED | BIDE_STATE_READY)))
        code = find_in_lines(walk, queue, cursor, error);
    if (code != BIDE_OK || walk->stopped)
        return code;
    if (stage == 'w')
        walk->seq = INT64_MIN;
    return find_claimed(walk, cursor, error);
}

static bide_code find_ids(struct walk *walk, bide_error *error)
{
    bide_code code = BIDE_OK;
    walk->text = of_id;
    for (size_t i = 0; code == BIDE_OK && i < walk->selection->n_ids && !walk->stopped; i++) {
        walk->name = walk->selection->ids[i];
        walk->seq = INT64_MIN;
        code = visit_all(walk, error);
    }
    return code;
}

bide_code bide_sqlite_find(struct bide_admin *base, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    struct walk *walk = bide_calloc(1, sizeof *walk);
    bool empty;
    if (!walk)
        return no_memory(error);
    *walk = (struct walk){.admin = admin,
        .selection = selection,
        .visit = visit,
        .user = user,
        .due_ms = INT64_MIN,
        .seq = INT64_MIN};
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_READ, &empty, error);
    if (code == BIDE_OK && !empty) {
        code = selection->n_ids ? find_ids(walk, error) : find_page(walk, cursor, error);
        bide_sqlite_file_close(&admin->file);
    } else if (code == BIDE_OK) {
        cursor[0] = '\0';
    }
    bide_free(walk);
    return code;
}
