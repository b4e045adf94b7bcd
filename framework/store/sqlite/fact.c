#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/sqlite/inside.h"

/* A fact as it is now; its data belong to the statement, until that is reset. */
struct fact {
    unsigned state; /* 0: there is none */
    struct bide_slice data;
    int64_t lasts_ms;
    sqlite3_stmt *statement; /* to be reset */
};

static bide_code read_fact(
    struct bide_sqlite_store *store, const char *key, struct fact *ret_fact, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    *ret_fact = (struct fact){0};
    if (!store->scope.number)
        return BIDE_OK;
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_FACT, store->scope.number, key, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code != BIDE_OK || !row)
        return code;
    bool own_end = sqlite3_column_type(statement, 2) != SQLITE_NULL;
    int64_t end_ms = own_end ? sqlite3_column_int64(statement, 2) : store->scope.end_ms;
    ret_fact->statement = statement;
    ret_fact->lasts_ms = end_ms - bide_store_now_ms(store);
    if (ret_fact->lasts_ms <= 0)
        return BIDE_OK;
    ret_fact->state = (unsigned)sqlite3_column_int(statement, 0) % BIDE_STORE_STATES;
    ret_fact->data.bytes = sqlite3_column_blob(statement, 1);
    ret_fact->data.size = (size_t)sqlite3_column_bytes(statement, 1);
    return BIDE_OK;
}

static void done_with(struct fact *fact)
{
    if (fact->statement)
        sqlite3_reset(fact->statement);
}

static void bind_fact(struct bide_sqlite_store *store, sqlite3_stmt *statement, unsigned state,
    struct bide_slice data, int64_t lasts_ms)
{
    sqlite3_bind_int(statement, 3, (int)state);
    sqlite3_bind_blob64(statement, 4, data.size ? data.bytes : "", data.size, SQLITE_STATIC);
    if (lasts_ms)
        sqlite3_bind_int64(statement, 5, bide_store_now_ms(store) + lasts_ms);
    else
        sqlite3_bind_null(statement, 5);
}

static bide_code write_fact(struct bide_sqlite_store *store, const char *key, unsigned state,
    struct bide_slice data, int64_t lasts_ms, bide_error *error)
{
    sqlite3_stmt *statement;
    enum bide_store_sql which = state ? BIDE_STORE_SQL_FACT_WRITE : BIDE_STORE_SQL_FACT_DELETE;
    bide_code code = bide_store_use_for(store, which, store->scope.number, key, &statement, error);
    if (code != BIDE_OK)
        return code;
    if (state)
        bind_fact(store, statement, state, data, lasts_ms);
    return bide_store_run(store, statement, error);
}

/* Copies the fact into the answer. */
static bide_code answer_fact(
    struct bide_store_answer *answer, const struct fact *fact, bool with_data, bide_error *error)
{
    answer->state = fact->state;
    if (!with_data || !fact->state)
        return BIDE_OK;
    answer->lasts_ms = fact->lasts_ms;
    if (fact->data.size == 0)
        return BIDE_OK;
    char *copy = bide_malloc(fact->data.size);
    if (!copy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    memcpy(copy, fact->data.bytes, fact->data.size);
    answer->data = copy;
    answer->size = fact->data.size;
    return BIDE_OK;
}

bide_code bide_store_sqlite_get(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    struct fact fact = {0};
    bide_code code = bide_store_scope_find(store, operation->scope, error);
    if (code == BIDE_OK)
        code = read_fact(store, operation->key, &fact, error);
    if (code == BIDE_OK)
        code = answer_fact(&operation->answer, &fact, true, error);
    operation->answer.ok = fact.state != 0;
    done_with(&fact);
    return code;
}

static bool begins_with(struct bide_slice data, struct bide_slice with)
{
    return with.size <= data.size && (with.size == 0 || memcmp(data.bytes, with.bytes, with.size) == 0);
}

static bool may_turn(const struct bide_store_turn *turn, const struct fact *fact)
{
    return (turn->from >> fact->state & 1) && begins_with(fact->data, turn->expect);
}

/* Is it already as the turn asks for? */
static bool is_own(const struct bide_store_turn *turn, const struct fact *fact)
{
    return fact->state == turn->to &&
           (turn->to == 0 || (fact->data.size == turn->data.size && begins_with(fact->data, turn->data)));
}

/* The one state that it may turn from; -1: there are several. */
static int only_state(unsigned from)
{
    return from && (from & (from - 1)) == 0 ? __builtin_ctz(from) : -1;
}

/* Does the scope last long enough, as it is? */
static bool scope_lasts(const struct bide_sqlite_store *store, int64_t lasts_ms)
{
    return store->scope.number &&
           (lasts_ms == 0 || store->scope.end_ms >= bide_store_now_ms(store) + lasts_ms);
}

/* Most turns find what they expect: one statement does it then, and *ret_turned is true. Else nothing has
 * changed, and what is there must be looked at. */
static bide_code turn_at_once(struct bide_sqlite_store *store, const struct bide_store_operation *operation,
    bool *ret_turned, bide_error *error)
{
    const struct bide_store_turn *turn = &operation->turn;
    sqlite3_stmt *statement;
    int from = only_state(turn->from);
    bool is_new = from == 0;
    enum bide_store_sql which = is_new     ? BIDE_STORE_SQL_FACT_NEW
                                : turn->to ? BIDE_STORE_SQL_FACT_CHANGE
                                           : BIDE_STORE_SQL_FACT_END;
    *ret_turned = false;
    if (from < 0 || (is_new && (turn->to == 0 || turn->expect.size)) ||
        !scope_lasts(store, turn->to ? operation->lasts_ms : 0))
        return BIDE_OK;
    bide_code code = bide_store_use_for(store, which, store->scope.number, operation->key, &statement, error);
    if (code != BIDE_OK)
        return code;
    if (turn->to)
        bind_fact(store, statement, turn->to, turn->data, operation->lasts_ms);
    if (!is_new) {
        sqlite3_bind_int(statement, 6, from);
        sqlite3_bind_blob64(
            statement, 7, turn->expect.size ? turn->expect.bytes : "", turn->expect.size, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 8, bide_store_now_ms(store));
    }
    code = bide_store_run(store, statement, error);
    *ret_turned = code == BIDE_OK && sqlite3_changes(store->file.db) > 0;
    return code;
}

static bide_code turn_what_is_there(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    const struct bide_store_turn *turn = &operation->turn;
    struct bide_store_answer *answer = &operation->answer;
    struct fact fact = {0};
    bide_code code = read_fact(store, operation->key, &fact, error);
    if (code != BIDE_OK)
        return code;
    bool turns = may_turn(turn, &fact) && (store->scope.number || operation->lasts_ms || turn->to == 0);
    answer->ok = turns || is_own(turn, &fact);
    answer->changed = turns && (fact.state || turn->to);
    code = answer_fact(answer, &fact, !answer->ok, error);
    done_with(&fact);
    if (code != BIDE_OK || !answer->changed)
        return code;
    if (turn->to)
        code = bide_store_scope_last(store, operation->scope, operation->lasts_ms, error);
    return code == BIDE_OK
               ? write_fact(store, operation->key, turn->to, turn->data, operation->lasts_ms, error)
               : code;
}

bide_code bide_store_sqlite_turn(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    bool turned = false;
    bide_code code = bide_store_scope_find(store, operation->scope, error);
    if (code == BIDE_OK)
        code = turn_at_once(store, operation, &turned, error);
    if (code != BIDE_OK || !turned)
        return code == BIDE_OK ? turn_what_is_there(store, operation, error) : code;
    operation->answer.ok = operation->answer.changed = true;
    operation->answer.state = (unsigned)only_state(operation->turn.from);
    return BIDE_OK;
}

/* ---- rates: the fact's data are the time, in Unix µs, at which the next permit begins ---- */

/* Until then the key is not free; 0: it is. */
static bide_code read_wait(
    struct bide_sqlite_store *store, const char *key, int64_t *ret_wait_us, bide_error *error)
{
    struct fact fact = {0};
    bide_code code = read_fact(store, key, &fact, error);
    char digits[24] = "";
    if (fact.state && fact.data.size < sizeof digits)
        memcpy(digits, fact.data.bytes, fact.data.size);
    done_with(&fact);
    int64_t free_us = strtoll(digits, NULL, 10);
    bool later = free_us > store->now_us && free_us - store->now_us <= BIDE_STORE_LASTS_MAX_MS * 1000;
    *ret_wait_us = later ? free_us - store->now_us : 0;
    return code;
}

static bide_code write_wait(struct bide_sqlite_store *store, const struct bide_store_operation *operation,
    int64_t wait_us, bide_error *error)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRId64, store->now_us + wait_us);
    int64_t lasts_ms = wait_us / 1000 + 1;
    bide_code code = bide_store_scope_last(store, operation->scope, lasts_ms, error);
    if (code != BIDE_OK)
        return code;
    return write_fact(store, operation->key, 1, (struct bide_slice){digits, (size_t)size}, lasts_ms, error);
}

bide_code bide_store_sqlite_meter(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    const struct bide_store_meter *meter = &operation->meter;
    struct bide_store_answer *answer = &operation->answer;
    int64_t wait_us = 0, granted = 0;
    bide_code code = bide_store_scope_find(store, operation->scope, error);
    if (code == BIDE_OK)
        code = read_wait(store, operation->key, &wait_us, error);
    if (code != BIDE_OK)
        return code;
    if (wait_us <= meter->within_us)
        granted = (meter->within_us - wait_us) / meter->interval_us + 1;
    if (granted > meter->n)
        granted = meter->n;
    answer->wait_us = wait_us;
    answer->at_us = store->now_us;
    answer->count = granted;
    answer->ok = wait_us == 0;
    return granted ? write_wait(store, operation, wait_us + granted * meter->interval_us, error) : BIDE_OK;
}
