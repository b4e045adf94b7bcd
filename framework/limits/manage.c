#include "limits/manage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/units.h"

enum { SET = 1, PAGE = 500 };

struct key {
    char text[BIDE_LIMIT_KEY_TEXT];
    int64_t wait_ms, waiting, in_use;
};

/* The keys of one limit. */
struct keys {
    const struct bide_shared_limit_config *limit;
    struct bide_limit_terms terms;
    size_t n;
    struct key rows[BIDE_LIMIT_KEYS_MAX];
};

const char *bide_rate_text(const struct bide_rate *rate, char to[BIDE_RATE_TEXT])
{
    char window[BIDE_DURATION_TEXT];
    *to = '\0';
    if (rate->n)
        snprintf(
            to, BIDE_RATE_TEXT, "%" PRId64 "/%s", rate->n, bide_format_duration(rate->window_ms, window));
    return to;
}

bool bide_limit_is_set(const struct bide_limit_row *row)
{
    const struct bide_rate *now = &row->terms.rate, *configured = &row->limit->rate;
    return now->n != configured->n || now->window_ms != configured->window_ms ||
           row->terms.concurrency != row->limit->concurrency;
}

void bide_limit_report(struct bide_buffer *to, const struct bide_limit_row *row)
{
    char rate[BIDE_RATE_TEXT];
    bide_json_text(to, "limit", row->limit->name);
    bide_json_text(to, "key", row->key);
    bide_json_text(to, "rate", row->terms.rate.n ? bide_rate_text(&row->terms.rate, rate) : NULL);
    bide_json_count(to, "concurrency", row->terms.concurrency ? row->terms.concurrency : -1);
    bide_json_count(to, "in_use", row->in_use);
    bide_json_int(to, "waiting", row->waiting);
    bide_json_int(to, "wait_ms", row->wait_ms);
    bide_json_bool(to, "set", bide_limit_is_set(row));
}

/* ---- reading ---- */

static bide_code apply(
    struct bide_store *store, struct bide_store_operation *operations, size_t n, bide_error *error)
{
    struct bide_store_letter letter = {.operations = operations, .n = n};
    return bide_store_apply(store, &letter, 1, error);
}

/* The fact stays in *operation: bide_store_letter_clear's. */
static bide_code read_terms(struct bide_store *store, const struct bide_shared_limit_config *limit,
    struct bide_store_operation *operation, struct bide_limit_terms *ret_terms, bide_error *error)
{
    *operation =
        (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = BIDE_LIMIT_TERMS, .key = limit->name};
    bide_code code = apply(store, operation, 1, error);
    const struct bide_store_answer *answer = &operation->answer;
    if (code == BIDE_OK)
        *ret_terms =
            bide_limit_terms(limit, (struct bide_slice){answer->data, answer->ok ? answer->size : 0});
    return code;
}

static void forget(struct bide_store_operation *operations, size_t n)
{
    bide_store_letter_clear(&(struct bide_store_letter){.operations = operations, .n = n});
}

static struct key *row_of(struct keys *keys, const char *text)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->rows[i].text, text) == 0)
            return &keys->rows[i];
    if (keys->n == BIDE_LIMIT_KEYS_MAX)
        return NULL;
    struct key *row = &keys->rows[keys->n++];
    *row = (struct key){.in_use = -1};
    snprintf(row->text, sizeof row->text, "%s", text);
    return row;
}

/* A meter lasts until its key is free. */
static void see_meter(void *user, const struct bide_store_fact *fact)
{
    struct keys *keys = user;
    struct key *row = row_of(keys, strchr(fact->key, '/') + 1);
    int64_t interval_us = bide_limit_interval_us(&keys->terms.rate);
    if (!row)
        return;
    row->wait_ms = fact->lasts_ms > row->wait_ms ? fact->lasts_ms : row->wait_ms;
    if (interval_us)
        row->waiting = row->wait_ms * 1000 / interval_us;
}

static bide_code scan(struct bide_store *store, const char *scope, struct keys *keys, bide_error *error)
{
    char prefix[BIDE_LIMIT_NAME_TEXT];
    struct bide_store_cursor cursor = {0};
    bide_code code = BIDE_OK;
    bide_limit_name(keys->limit->name, keys->terms.generation, "", prefix);
    while (code == BIDE_OK && !cursor.done)
        code = bide_store_scan(store, scope, bide_limit_meter(prefix), PAGE, &cursor, see_meter, keys, error);
    return code;
}

static bide_code see_places(struct bide_store *store, struct keys *keys, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < keys->n && code == BIDE_OK; i++) {
        char place[BIDE_LIMIT_NAME_TEXT];
        snprintf(place, sizeof place, "%s/%s", keys->limit->name, keys->rows[i].text);
        struct bide_store_operation look = {
            .kind = BIDE_STORE_ACQUIRE, .scope = BIDE_LIMIT_PLACES, .key = place};
        code = apply(store, &look, 1, error);
        keys->rows[i].in_use = look.answer.count;
    }
    return code;
}

static bide_code read_keys(struct bide_store *store, struct keys *keys, bide_error *error)
{
    struct bide_store_operation terms;
    bide_code code = read_terms(store, keys->limit, &terms, &keys->terms, error);
    if (code == BIDE_OK)
        forget(&terms, 1);
    if (code == BIDE_OK && !keys->limit->key)
        row_of(keys, "");
    if (code == BIDE_OK)
        code = scan(store, BIDE_LIMIT_RATES, keys, error);
    if (code == BIDE_OK && keys->limit->concurrency)
        code = scan(store, BIDE_LIMIT_LINES, keys, error);
    if (code == BIDE_OK && keys->n == 0)
        row_of(keys, "");
    return code == BIDE_OK && keys->limit->concurrency ? see_places(store, keys, error) : code;
}

static void visit_keys(const struct keys *keys, bide_limit_visit *visit, void *user)
{
    for (size_t i = 0; i < keys->n; i++) {
        const struct key *key = &keys->rows[i];
        visit(user, &(struct bide_limit_row){.limit = keys->limit,
                        .terms = keys->terms,
                        .key = key->text,
                        .in_use = key->in_use,
                        .waiting = key->waiting,
                        .wait_ms = key->wait_ms});
    }
}

static const struct bide_shared_limit_config *find(
    const struct bide_config *config, const char *name, bide_code *ret_code, bide_error *error)
{
    const struct bide_shared_limit_config *limit = bide_config_limit(config, name);
    *ret_code =
        limit ? BIDE_OK : bide_fail(error, BIDE_E_DATA, "no limit '%.100s' in the configuration", name);
    return limit;
}

bide_code bide_limits_each(struct bide_store *store, const struct bide_config *config, const char *only,
    bide_limit_visit *visit, void *user, bide_error *error)
{
    bide_code code = BIDE_OK;
    struct keys *keys = bide_malloc(sizeof *keys);
    if (!keys)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (only)
        find(config, only, &code, error);
    for (size_t i = 0; i < config->n_limits && code == BIDE_OK; i++) {
        keys->limit = &config->limits[i];
        keys->n = 0;
        if (only && strcmp(only, keys->limit->name) != 0)
            continue;
        code = read_keys(store, keys, error);
        if (code == BIDE_OK)
            visit_keys(keys, visit, user);
    }
    bide_free(keys);
    return code;
}

/* ---- setting ---- */

/* Of each key that was used just now, the first permit of the new terms comes an interval behind those of the
 * old ones that are in hand. */
static bide_code leave_gaps(
    struct bide_store *store, const struct keys *keys, const struct bide_limit_terms *next, bide_error *error)
{
    bide_code code = BIDE_OK;
    int64_t interval_us = bide_limit_interval_us(&next->rate);
    const int64_t longest_ms = BIDE_LIMIT_IN_HAND_US / 1000;
    for (size_t i = 0; i < keys->n && code == BIDE_OK && interval_us; i++) {
        char name[BIDE_LIMIT_NAME_TEXT];
        int64_t in_hand_ms = keys->rows[i].wait_ms < longest_ms ? keys->rows[i].wait_ms : longest_ms;
        if (in_hand_ms == 0)
            continue;
        bide_limit_name(keys->limit->name, next->generation, keys->rows[i].text, name);
        struct bide_store_operation gap = {.kind = BIDE_STORE_METER,
            .scope = BIDE_LIMIT_RATES,
            .key = bide_limit_meter(name),
            .meter = {.n = 1, .interval_us = interval_us + in_hand_ms * 1000}};
        code = apply(store, &gap, 1, error);
    }
    return code;
}

static bide_code write_terms(struct bide_store *store, const struct bide_shared_limit_config *limit,
    const struct bide_store_answer *before, const struct bide_limit_terms *written, bide_error *error)
{
    char text[BIDE_LIMIT_TERMS_TEXT];
    struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_LIMIT_TERMS,
        .key = limit->name,
        .lasts_ms = BIDE_STORE_LASTS_MAX_MS,
        .turn = {.from = before->ok ? 1 << SET : 1 << 0,
            .to = SET,
            .expect = {before->data, before->ok ? before->size : 0},
            .data = {text, bide_limit_terms_write(written, text)}}};
    bide_code code = apply(store, &turn, 1, error);
    bool done = turn.answer.ok;
    forget(&turn, 1);
    if (code == BIDE_OK && !done)
        return bide_fail(
            error, BIDE_E_DATA, "somebody else has set '%s' at the same moment: try again", limit->name);
    return code;
}

static bide_code check(const struct bide_shared_limit_config *limit, const struct bide_rate *rate,
    int64_t concurrency, bide_error *error)
{
    if (rate->n && limit->rate.n == 0)
        return bide_fail(error, BIDE_E_DATA, "limit '%s' has no rate in the configuration", limit->name);
    if (concurrency && limit->concurrency == 0)
        return bide_fail(
            error, BIDE_E_DATA, "limit '%s' has no concurrency in the configuration", limit->name);
    return BIDE_OK;
}

/* What is written keeps what was set of the other part, unless all is to be as configured. */
static struct bide_limit_terms next_terms(
    const struct bide_limit_terms *now, const struct bide_rate *rate, int64_t concurrency)
{
    struct bide_limit_terms next = {
        .rate = *rate, .concurrency = concurrency, .generation = now->generation + 1};
    bool resets = rate->n == 0 && concurrency == 0;
    if (!resets && rate->n == 0 && now->generation)
        next.rate = now->rate;
    if (!resets && concurrency == 0 && now->generation)
        next.concurrency = now->concurrency;
    return next;
}

bide_code bide_limits_set(struct bide_store *store, const struct bide_config *config, const char *name,
    const struct bide_rate *rate, int64_t concurrency, bide_error *error)
{
    bide_code code;
    struct bide_store_operation before = {0};
    const struct bide_shared_limit_config *limit = find(config, name, &code, error);
    if (code == BIDE_OK)
        code = check(limit, rate, concurrency, error);
    struct keys *keys = code == BIDE_OK ? bide_malloc(sizeof *keys) : NULL;
    if (code == BIDE_OK && !keys)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK)
        return code;
    keys->limit = limit;
    keys->n = 0;
    code = read_terms(store, limit, &before, &keys->terms, error);
    if (code == BIDE_OK)
        code = scan(store, BIDE_LIMIT_RATES, keys, error);
    if (code == BIDE_OK) {
        struct bide_limit_terms written = next_terms(&keys->terms, rate, concurrency), holds = written;
        holds.rate = written.rate.n ? written.rate : limit->rate;
        code = leave_gaps(store, keys, &holds, error);
        if (code == BIDE_OK)
            code = write_terms(store, limit, &before.answer, &written, error);
    }
    forget(&before, 1);
    bide_free(keys);
    return code;
}
