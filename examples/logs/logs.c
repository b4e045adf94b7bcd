/* logs: three processors of access logs. Each counts the lines of a batch in memory, and adds what it has
 * counted to its table in one transaction, together with the ids of the lines: each line counts once,
 * whatever runs twice.
 *
 *     203.0.113.7 - - [28/Nov/2026:13:55:36 +0000] "GET /cart HTTP/1.1" 500 2326 0.187
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <bide/handler.h>
#include <bide/once_sqlite.h>

enum { BUSY_MS = 10000, KEY = 64, RANGES = 4096 };

/* ---- lines ---- */

struct line {
    uint32_t address;
    char day[16], path[KEY];
    int status, ms;
};

static bool read_line(const char *text, struct line *line)
{
    char address[16];
    double seconds;
    struct in_addr in;
    if (sscanf(text, "%15s - - [%15[^:]:%*[^]]] \"%*s %63s HTTP/%*[^\"]\" %d %*d %lf", address, line->day,
            line->path, &line->status, &seconds) != 5 ||
        inet_aton(address, &in) == 0)
        return false;
    line->address = ntohl(in.s_addr);
    line->ms = (int)(seconds * 1000 + 0.5);
    return true;
}

/* ---- what each processor counts ---- */

struct range {
    uint32_t first, last;
    char city[KEY];
};

struct state {
    const struct processor *processor;
    sqlite3 *db;
    sqlite3_stmt *add;
    size_t n_ranges;
    struct range ranges[RANGES]; /* in order */
};

/* What lines are counted by; `b` may stay empty. */
struct key {
    char a[KEY], b[KEY];
};

static int by_address(const void *address, const void *row)
{
    const uint32_t *wanted = address;
    const struct range *range = row;
    return *wanted < range->first ? -1 : *wanted > range->last;
}

static bool city_and_day(const struct state *state, const struct line *line, struct key *key)
{
    const struct range *range =
        bsearch(&line->address, state->ranges, state->n_ranges, sizeof state->ranges[0], by_address);
    snprintf(key->a, sizeof key->a, "%s", range ? range->city : "(elsewhere)");
    snprintf(key->b, sizeof key->b, "%s", line->day);
    return true;
}

static bool path_of_error(const struct state *state, const struct line *line, struct key *key)
{
    (void)state;
    snprintf(key->a, sizeof key->a, "%s", line->path);
    return line->status >= 500;
}

static bool path_and_ms(const struct state *state, const struct line *line, struct key *key)
{
    (void)state;
    snprintf(key->a, sizeof key->a, "%s", line->path);
    snprintf(key->b, sizeof key->b, "%d", line->ms);
    return true;
}

/* `key` is false where the line does not count. */
static const struct processor {
    const char *name;
    bool (*key)(const struct state *state, const struct line *line, struct key *key);
} processors[] = {{"geo", city_and_day}, {"errors", path_of_error}, {"latency", path_and_ms}};

/* ---- a batch ---- */

struct cell {
    struct key key;
    int64_t n; /* 0: the cell is free */
};

struct counts {
    size_t n_cells; /* a power of two, twice as many as there can be keys */
    struct cell *cells;
};

static bool make_counts(struct counts *counts, size_t n)
{
    for (counts->n_cells = 16; counts->n_cells < 2 * n;)
        counts->n_cells *= 2;
    counts->cells = calloc(counts->n_cells, sizeof *counts->cells);
    return counts->cells;
}

static void count(struct counts *counts, const struct key *key)
{
    size_t at = 5381;
    for (const char *byte = key->a; *byte; byte++)
        at = at * 33 + (unsigned char)*byte;
    for (const char *byte = key->b; *byte; byte++)
        at = at * 33 + (unsigned char)*byte;
    for (;; at++) {
        struct cell *cell = &counts->cells[at & (counts->n_cells - 1)];
        if (cell->n == 0)
            cell->key = *key;
        if (strcmp(cell->key.a, key->a) == 0 && strcmp(cell->key.b, key->b) == 0) {
            cell->n++;
            return;
        }
    }
}

static bide_code add_to_table(struct state *state, const struct counts *counts, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < counts->n_cells && code == BIDE_OK; i++) {
        const struct cell *cell = &counts->cells[i];
        if (cell->n == 0)
            continue;
        sqlite3_bind_text(state->add, 1, cell->key.a, -1, SQLITE_STATIC);
        sqlite3_bind_text(state->add, 2, cell->key.b, -1, SQLITE_STATIC);
        sqlite3_bind_int64(state->add, 3, cell->n);
        if (sqlite3_step(state->add) != SQLITE_DONE)
            code = bide_once_sqlite_failed(state->db, error);
        sqlite3_reset(state->add);
    }
    return code;
}

static void handle_batch(void *user, const bide_message *const messages[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    struct state *state = user;
    struct counts counts = {0};
    bool *is_done = calloc(n, sizeof *is_done);
    bide_error error = {.text = "out of memory"};
    bide_code code = is_done && make_counts(&counts, n)
                         ? bide_once_sqlite_begin_many(state->db, messages, n, is_done, &error)
                         : BIDE_E_NOMEM;
    bool begun = code == BIDE_OK;
    for (size_t i = 0; i < n && begun; i++) {
        struct line line;
        struct key key = {0};
        if (!read_line(bide_message_body(messages[i], NULL), &line))
            outcomes[i] = bide_dead(contexts[i], "this is no line of an access log");
        else if (!is_done[i] && state->processor->key(state, &line, &key))
            count(&counts, &key);
    }
    if (begun)
        code = bide_once_sqlite_end(state->db, add_to_table(state, &counts, &error), &error);
    for (size_t i = 0; i < n; i++)
        if (code != BIDE_OK)
            outcomes[i] = bide_retry(contexts[i], BIDE_BY_POLICY, "%s", error.text);
        else if (outcomes[i] != BIDE_DEAD)
            outcomes[i] = BIDE_DONE;
    free(counts.cells);
    free(is_done);
}

/* ---- the beginning and the end ---- */

static void close_processor(void *user)
{
    struct state *state = user;
    sqlite3_finalize(state->add);
    sqlite3_close(state->db);
    free(state);
}

static bide_code read_ranges(struct state *state, const char *path, bide_error *error)
{
    char first[16], last[16], city[KEY];
    FILE *file = fopen(path, "re");
    if (!file)
        return bide_fail(error, BIDE_E_CONFIG, "%s cannot be read (setting 'ranges')", path);
    while (state->n_ranges < RANGES && fscanf(file, "%15s %15s %63s", first, last, city) == 3) {
        struct range *range = &state->ranges[state->n_ranges++];
        range->first = ntohl(inet_addr(first));
        range->last = ntohl(inet_addr(last));
        memcpy(range->city, city, sizeof city);
    }
    fclose(file);
    return BIDE_OK;
}

static bide_code open_database(struct state *state, const char *path, bide_error *error)
{
    static const char tables[] =
        "PRAGMA journal_mode = WAL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8000;"
        "CREATE TABLE IF NOT EXISTS totals (a TEXT NOT NULL, b TEXT NOT NULL, n INTEGER NOT "
        "NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;";
    if (sqlite3_open(path, &state->db) != SQLITE_OK || sqlite3_busy_timeout(state->db, BUSY_MS) != SQLITE_OK)
        return bide_fail(error, BIDE_E_CONFIG, "%s: %s", path, sqlite3_errmsg(state->db));
    bide_code code = bide_once_sqlite_run(state->db, tables, error);
    if (code == BIDE_OK && sqlite3_prepare_v2(state->db,
                               "INSERT INTO totals VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + ?3",
                               -1, &state->add, NULL) != SQLITE_OK)
        code = bide_once_sqlite_failed(state->db, error);
    return code;
}

static bide_code open_processor(const bide_settings *settings, void **ret_state, bide_error *error)
{
    const char *name = bide_settings_string(settings, "processor"), *dir = bide_settings_dir(settings);
    char database[4096], ranges[4096];
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++)
        if (strcmp(processors[i].name, name) == 0)
            state->processor = &processors[i];
    snprintf(database, sizeof database, "%s/%s.db", dir, name);
    snprintf(ranges, sizeof ranges, "%s/%s", dir, bide_settings_string(settings, "ranges"));
    bide_code code = state->processor ? open_database(state, database, error)
                                      : bide_fail(error, BIDE_E_CONFIG, "no processor '%s'", name);
    if (code == BIDE_OK)
        code = read_ranges(state, ranges, error);
    if (code == BIDE_OK)
        *ret_state = state;
    else
        close_processor(state);
    return code;
}

static const bide_setting_spec table[] = {
    {"processor", BIDE_SETTING_STRING, NULL,
        "geo, errors or latency; its totals are in the SQLite file of that name"},
    {"ranges", BIDE_SETTING_STRING, "ranges.txt", "lines: first address, last address, city; in order"},
    {0},
};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "logs", .version = "1.0",
    .summary = "counts lines of access logs by city and day, error, or latency", .settings = table,
    .open = open_processor, .close = close_processor, .handle_batch = handle_batch};
