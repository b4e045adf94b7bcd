#include "streams/manage.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"

enum { PAGE = 500 };

/* The operations of one letter about all queues of a stream. */
struct letter {
    struct bide_stream_names names[BIDE_STREAM_QUEUES_MAX];
    struct bide_store_operation operations[1 + BIDE_STREAM_QUEUES_MAX * BIDE_STREAM_OPERATIONS];
    struct bide_store_letter letter;
    struct bide_buffer text;
};
_Static_assert(
    1 + (int)BIDE_STREAM_QUEUES_MAX * (int)BIDE_STREAM_OPERATIONS <= (int)BIDE_STORE_OPERATIONS_MAX,
    "a letter has room for all queues");

static struct letter *letter_for(const struct bide_stream_info *info)
{
    struct letter *letter = bide_calloc(1, sizeof *letter);
    if (!letter)
        return NULL;
    letter->letter.operations = letter->operations;
    bide_buffer_init(&letter->text);
    for (size_t i = 0; i < info->n_queues; i++)
        bide_stream_names(info->id, info->queues[i], &letter->names[i]);
    return letter;
}

static void free_letter(struct letter *letter)
{
    bide_store_letter_clear(&letter->letter);
    bide_buffer_release(&letter->text);
    bide_free(letter);
}

static bide_code apply(struct bide_store *store, struct letter *letter, bide_error *error)
{
    return letter->text.failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory")
                               : bide_store_apply(store, &letter->letter, 1, error);
}

static struct bide_store_operation *add(struct letter *letter)
{
    return &letter->operations[letter->letter.n++];
}

/* ---- sending ---- */

static void add_turn(struct letter *letter, const struct bide_stream_info *info, unsigned from,
    enum bide_stream_state to, int64_t lasts_ms)
{
    bide_stream_info_write(info, &letter->text);
    *add(letter) = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_STREAMS,
        .key = info->id,
        .lasts_ms = lasts_ms,
        .turn = {.from = from, .to = to, .data = {letter->text.bytes, letter->text.size}}};
}

static void add_sets(
    struct letter *letter, const struct bide_stream_info *info, int64_t total, int64_t lasts_ms)
{
    for (size_t i = 0; i < info->n_queues; i++)
        *add(letter) = (struct bide_store_operation){.kind = BIDE_STORE_ARRIVE,
            .scope = letter->names[i].scope,
            .key = letter->names[i].sets[BIDE_STREAM_DONE],
            .lasts_ms = lasts_ms,
            .arrive = {.member = BIDE_STORE_NO_MEMBER, .total = total}};
}

bide_code bide_stream_record(struct bide_store *store, const struct bide_stream_info *info, bide_error *error)
{
    int64_t lasts_ms = info->deadline_ms + BIDE_STREAM_KEEP_MS;
    struct letter *letter = letter_for(info);
    if (!letter)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    add_sets(letter, info, 0, lasts_ms);
    add_turn(letter, info, 1 << BIDE_STREAM_UNKNOWN, BIDE_STREAM_SENDING, lasts_ms);
    bide_code code = apply(store, letter, error);
    free_letter(letter);
    return code;
}

bide_code bide_stream_record_total(struct bide_store *store, const struct bide_stream_info *info,
    int64_t total, int64_t age_ms, int64_t now_ms, bide_error *error)
{
    int64_t left_ms = info->deadline_ms - age_ms + BIDE_STREAM_KEEP_MS;
    struct letter *letter = letter_for(info);
    if (!letter)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (total > 0)
        add_sets(letter, info, total, 0);
    for (size_t i = 0; i < info->n_queues && total == 0; i++)
        bide_stream_write_end(
            &letter->names[i], BIDE_STREAM_COMPLETE, BIDE_STORE_NO_MEMBER, now_ms, add(letter));
    add_turn(letter, info, 1 << BIDE_STREAM_SENDING, BIDE_STREAM_SENT, left_ms > 1 ? left_ms : 1);
    bide_code code = apply(store, letter, error);
    const struct bide_store_answer *turned = &letter->operations[letter->letter.n - 1].answer;
    if (code == BIDE_OK && !turned->ok && turned->state == BIDE_STREAM_UNKNOWN)
        code = bide_fail(error, BIDE_E_BROKER,
            "the store has forgotten stream %s: its members run, and nobody counts them", info->id);
    free_letter(letter);
    return code;
}

/* ---- looking ---- */

/* BIDE_E_NOT_FOUND, in *ret_get what bide_store_letter_clear frees. */
static bide_code get(
    struct bide_store *store, const char *id, struct bide_store_operation *ret_get, bide_error *error)
{
    *ret_get = (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = BIDE_STREAMS, .key = id};
    struct bide_store_letter letter = {.operations = ret_get, .n = 1};
    if (!bide_stream_id_valid(id))
        return bide_fail(error, BIDE_E_NOT_FOUND, "'%.100s' is no stream: `bide stream list`", id);
    bide_code code = bide_store_apply(store, &letter, 1, error);
    if (code == BIDE_OK && !ret_get->answer.ok)
        code = bide_fail(
            error, BIDE_E_NOT_FOUND, "there is no stream '%.100s': it is forgotten, or never was", id);
    return code;
}

static void forget(struct bide_store_operation *operation)
{
    bide_store_letter_clear(&(struct bide_store_letter){.operations = operation, .n = 1});
}

bide_code bide_stream_read_state(
    struct bide_store *store, const char *id, enum bide_stream_state *ret_state, bide_error *error)
{
    struct bide_store_operation fact;
    bide_code code = get(store, id, &fact, error);
    if (code == BIDE_OK)
        *ret_state = fact.answer.state;
    else if (code == BIDE_E_NOT_FOUND)
        *ret_state = BIDE_STREAM_UNKNOWN;
    forget(&fact);
    return code == BIDE_E_NOT_FOUND ? BIDE_OK : code;
}

static bide_code read_counts(struct bide_store *store, const struct bide_stream_info *info,
    struct bide_stream_counts *counts, bide_error *error)
{
    struct letter *letter = letter_for(info);
    if (!letter)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < info->n_queues; i++)
        bide_stream_look(&letter->names[i], letter->operations + i * BIDE_STREAM_OPERATIONS);
    letter->letter.n = info->n_queues * BIDE_STREAM_OPERATIONS;
    bide_code code = apply(store, letter, error);
    for (size_t i = 0; i < info->n_queues && code == BIDE_OK; i++)
        bide_stream_read(&letter->names[i], letter->operations + i * BIDE_STREAM_OPERATIONS, &counts[i]);
    free_letter(letter);
    return code;
}

static bide_stream_part part_of(
    const struct bide_stream_info *info, const char *queue, const struct bide_stream_counts *counts)
{
    bool is_complete = counts->end == BIDE_STREAM_COMPLETE;
    return (bide_stream_part){
        .queue = queue,
        .total = counts->total > 0 || is_complete ? counts->total : -1,
        .done = counts->ended - counts->dead - counts->dropped,
        .dead = counts->dead,
        .dropped = counts->dropped,
        .is_complete = is_complete,
        .took_ms = counts->end == BIDE_STREAM_OPEN    ? -1
                   : counts->ended_ms > info->sent_ms ? counts->ended_ms - info->sent_ms
                                                      : 0,
    };
}

static const char *state_of(enum bide_stream_state state, bool is_complete, bool failed)
{
    if (is_complete)
        return state == BIDE_STREAM_CANCELLED ? "cancelled" : "complete";
    if (failed)
        return "failed";
    if (state == BIDE_STREAM_CANCELLED)
        return "cancelling";
    return state == BIDE_STREAM_SENDING ? "sending" : "running";
}

static bide_code show(struct bide_store *store, const struct bide_stream_info *info,
    const struct bide_store_answer *fact, bide_stream_visit *visit, void *user, bide_error *error)
{
    struct bide_stream_counts counts[BIDE_STREAM_QUEUES_MAX];
    bide_stream_part parts[BIDE_STREAM_QUEUES_MAX];
    int64_t left_ms = fact->lasts_ms - BIDE_STREAM_KEEP_MS;
    bool is_complete = true, failed = left_ms <= 0;
    bide_code code = read_counts(store, info, counts, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; i < info->n_queues; i++) {
        parts[i] = part_of(info, info->queues[i], &counts[i]);
        is_complete &= parts[i].is_complete;
        failed |= counts[i].end == BIDE_STREAM_FAILED;
    }
    visit(user, &(bide_stream_view){.id = info->id,
                    .name = info->name,
                    .state = state_of(fact->state, is_complete, failed),
                    .on_end = info->on_end,
                    .sent_ms = info->sent_ms,
                    .left_ms = left_ms > 0 ? left_ms : 0,
                    .parts = parts,
                    .n_parts = info->n_queues});
    return BIDE_OK;
}

bide_code bide_stream_see(
    struct bide_store *store, const char *id, bide_stream_visit *visit, void *user, bide_error *error)
{
    struct bide_store_operation fact;
    struct bide_stream_info info = {0};
    bide_code code = get(store, id, &fact, error);
    if (code == BIDE_OK)
        code =
            bide_stream_info_read(id, (struct bide_slice){fact.answer.data, fact.answer.size}, &info, error);
    if (code == BIDE_OK)
        code = show(store, &info, &fact.answer, visit, user, error);
    bide_stream_info_clear(&info);
    forget(&fact);
    return code;
}

struct page {
    size_t n, capacity;
    char (*ids)[BIDE_STREAM_ID_TEXT];
    bool failed;
};

static void note_id(void *user, const struct bide_store_fact *fact)
{
    struct page *page = user;
    if (page->n == page->capacity) {
        size_t more = page->capacity ? page->capacity * 2 : PAGE;
        void *ids = bide_realloc(page->ids, more * sizeof *page->ids);
        page->failed |= !ids;
        if (!ids)
            return;
        page->ids = ids;
        page->capacity = more;
    }
    snprintf(page->ids[page->n++], BIDE_STREAM_ID_TEXT, "%s", fact->key);
}

static int by_age(const void *a, const void *b)
{
    return strcmp(a, b);
}

bide_code bide_stream_see_all(
    struct bide_store *store, bide_stream_visit *visit, void *user, bide_error *error)
{
    struct page page = {0};
    struct bide_store_cursor cursor = {0};
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && !cursor.done)
        code = bide_store_scan(store, BIDE_STREAMS, "", PAGE, &cursor, note_id, &page, error);
    if (code == BIDE_OK && page.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (page.n > 0)
        qsort(page.ids, page.n, sizeof *page.ids, by_age);
    for (size_t i = 0; i < page.n && code == BIDE_OK; i++) {
        if (i > 0 && strcmp(page.ids[i - 1], page.ids[i]) == 0)
            continue;
        code = bide_stream_see(store, page.ids[i], visit, user, error);
        code = code == BIDE_E_NOT_FOUND ? BIDE_OK : code; /* it was forgotten meanwhile */
    }
    bide_free(page.ids);
    return code;
}

/* ---- cancelling ---- */

bide_code bide_stream_record_cancel(struct bide_store *store, const char *id, bide_error *error)
{
    struct bide_store_operation fact;
    bide_code code = get(store, id, &fact, error);
    if (code == BIDE_OK) {
        struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
            .scope = BIDE_STREAMS,
            .key = id,
            .lasts_ms = fact.answer.lasts_ms,
            .turn = {.from = 1 << BIDE_STREAM_SENDING | 1 << BIDE_STREAM_SENT | 1 << BIDE_STREAM_CANCELLED,
                .to = BIDE_STREAM_CANCELLED,
                .data = {fact.answer.data, fact.answer.size}}};
        struct bide_store_letter letter = {.operations = &turn, .n = 1};
        code = bide_store_apply(store, &letter, 1, error);
        forget(&turn);
    }
    forget(&fact);
    return code;
}

/* ---- telling ---- */

bool bide_stream_view_is_over(const bide_stream_view *view)
{
    static const char *const over[] = {"complete", "failed", "cancelled"};
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++)
        if (strcmp(view->state, over[i]) == 0)
            return true;
    return false;
}

static void report_part(struct bide_buffer *to, const bide_stream_part *part)
{
    bide_json_open(to, NULL, '{');
    bide_json_text(to, "queue", part->queue);
    bide_json_count(to, "total", part->total);
    bide_json_int(to, "done", part->done);
    bide_json_int(to, "dead", part->dead);
    bide_json_int(to, "dropped", part->dropped);
    bide_json_bool(to, "complete", part->is_complete);
    bide_json_count(to, "took_ms", part->took_ms);
    bide_buffer_char(to, '}');
}

void bide_stream_report(struct bide_buffer *to, const bide_stream_view *view)
{
    bide_json_text(to, "stream", view->id);
    bide_json_text(to, "name", view->name);
    bide_json_text(to, "state", view->state);
    bide_json_text(to, "on_end", view->on_end);
    bide_json_int(to, "sent_ms", view->sent_ms);
    bide_json_int(to, "left_ms", view->left_ms);
    bide_json_open(to, "queues", '[');
    for (size_t i = 0; i < view->n_parts; i++)
        report_part(to, &view->parts[i]);
    bide_buffer_char(to, ']');
}
