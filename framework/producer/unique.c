/* Sending messages with a unique key. In rounds, each with all messages that can go on:
 *
 *   take      the store: the key is reserved, or another message holds it (a duplicate)
 *   send      the broker, with all other messages of the call
 *   confirm   the store: the message holds the key. Only now anybody else is told so
 *
 * A message waits for the next round while another sender has reserved its key, or an earlier message of the
 * same call has the same key. Where this process dies, others take the reservation over after its lease.
 *
 * A round takes no longer than one send may. Of that time a share is kept for the confirmation: what the
 * broker has, and the store was not told of, is sent again by whoever repeats it after the lease. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/killpoint.h"
#include "keys/view.h"
#include "message/message.h"
#include "producer/inside.h"

enum {
    CHUNK = BIDE_STORE_LETTERS_MAX,
    LEASE_MS = 5000,
    PAUSE_US = 1000, /* the first one; each is longer, … */
    PAUSE_MAX_US = 50 * 1000,
    CONFIRM_SHARE = 10, /* a tenth */
};

enum stage { TAKES, WAITS, SENDS, CONFIRMS, UNDOES, ENDED };

/* One message with a key. */
struct row {
    bide_message *message;
    size_t at; /* in the chunk */
    enum stage stage;
    bool blind;   /* the view is no more than a guess, or old */
    bool extends; /* what is being written */
    struct bide_key_claim claim;
    struct bide_generation own; /* count 0: none yet */
    struct bide_key_view view;
    struct bide_key_slot next;
    struct bide_store_operation operation;
    char text[BIDE_KEY_TEXT];
};

struct chunk {
    struct bide_producer *producer;
    bide_message *const *messages;
    size_t n, n_rows;
    bide_sent *results;
    bool *goes; /* a message without a key that is still to be sent */
    struct row *rows;
    struct row **by_key; /* sorted by it, then as given */
    struct bide_store_letter letters[CHUNK];
    struct row *written[CHUNK];
    int64_t end_us;   /* monotonic: the end of the round */
    int64_t share_us; /* of its time, for confirming */
    bide_code code;   /* BIDE_OK, or BIDE_E_DATA: something was refused, and *error says the first */
    bide_error *error;
};

bool bide_producer_has_unique(bide_message *const *messages, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (*messages[i]->unique)
            return true;
    return false;
}

/* ---- what becomes of a message ---- */

static void end(struct chunk *chunk, struct row *row, bide_sent result)
{
    chunk->results[row->at] = result;
    row->stage = ENDED;
}

static bide_code keep_text(bide_message *message, const char *text, const char **to, bide_error *error)
{
    const char *copy = bide_arena_copy(&message->arena, text, strlen(text));
    if (!copy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *to = copy;
    return BIDE_OK;
}

static bide_code end_as_duplicate(struct chunk *chunk, struct row *row)
{
    end(chunk, row, BIDE_SENT_DUPLICATE);
    return keep_text(row->message, row->view.slot.id, &row->message->duplicate_of, chunk->error);
}

/* The reservation is ours: the message gets its generation, and its due time if that has been bounded. */
static bide_code begin_to_send(struct chunk *chunk, struct row *row)
{
    char text[BIDE_GENERATION_TEXT];
    bide_message *message = row->message;
    row->stage = SENDS;
    row->own = (struct bide_generation){row->next.life, row->next.last};
    row->claim.due_ms = bide_key_due_ms(&row->view.slot, &row->claim);
    if (message->expires_ms)
        message->expires_ms += row->claim.due_ms - message->due_ms;
    message->due_ms = row->claim.due_ms;
    bide_generation_write(row->own, text);
    return keep_text(message, text, &message->generation, chunk->error);
}

/* An earlier call reserved it, sent it, and did not learn that it was confirmed. */
static bool is_sent_already(const struct row *row)
{
    const struct bide_key_slot *slot = &row->view.slot;
    return row->own.count && slot->state != BIDE_KEY_FREE && slot->life == row->own.life &&
           slot->holder == row->own.count;
}

/* ---- the store ---- */

/* The time that is left for this stage, or less than 0. */
static int64_t left_us(const struct chunk *chunk, enum stage stage)
{
    int64_t share_us = stage == TAKES || stage == SENDS ? chunk->share_us : 0;
    return chunk->end_us - share_us - bide_mono_us(chunk->producer->clock);
}

/* Writes what these rows have to say. Those who confirm have their share of the time in any case. */
static bide_code apply(struct chunk *chunk, enum stage stage, size_t n)
{
    struct bide_store *store = chunk->producer->store;
    int64_t least_us = stage == TAKES ? 1 : chunk->share_us, usual_us = store->timeout_us;
    for (size_t i = 0; i < n; i++)
        chunk->letters[i] = (struct bide_store_letter){.operations = &chunk->written[i]->operation,
            .n = 1,
            .lax = chunk->written[i]->stage == TAKES && !chunk->written[i]->extends};
    store->timeout_us = left_us(chunk, stage);
    if (store->timeout_us < least_us)
        store->timeout_us = least_us;
    bide_code code = bide_store_apply(store, chunk->letters, n, chunk->error);
    store->timeout_us = usual_us;
    if (code != BIDE_OK)
        bide_fail_within(chunk->error, "unique messages");
    return code;
}

static bide_code read_answer(struct chunk *chunk, struct row *row)
{
    const struct bide_store_answer *answer = &row->operation.answer;
    row->blind = false;
    if (bide_key_view_read(answer, &row->view))
        return BIDE_OK;
    return bide_fail(chunk->error, BIDE_E_CONFIG,
        "the store's slot of the unique key '%s' was written by a newer version of bide: upgrade this one",
        row->message->unique);
}

static void write_turn(struct chunk *chunk, struct row *row)
{
    bide_key_turn(&row->view, &row->next, row->message->unique, bide_wall_ms(chunk->producer->clock),
        row->text, &row->operation);
}

/* What the slot in the view says to the row. WRITE and EXTEND: the operation is ready. */
static enum bide_key_says judge(struct chunk *chunk, struct row *row)
{
    enum bide_key_says says;
    const struct bide_key_slot *slot = &row->view.slot;
    if (row->stage == TAKES)
        says = is_sent_already(row) ? BIDE_KEY_LOST : bide_key_take(slot, &row->claim, &row->next);
    else if (row->stage == CONFIRMS)
        says = bide_key_confirm(slot, &row->claim, row->own, &row->next);
    else
        says = bide_key_undo(slot, &row->claim, &row->next);
    row->extends = says == BIDE_KEY_EXTEND;
    if (says == BIDE_KEY_WRITE || says == BIDE_KEY_EXTEND)
        write_turn(chunk, row);
    return says;
}

/* The step that the row wanted to take is taken. */
static bide_code advance(struct chunk *chunk, struct row *row)
{
    if (row->stage == TAKES)
        return row->extends ? end_as_duplicate(chunk, row) : begin_to_send(chunk, row);
    end(chunk, row, row->stage == CONFIRMS ? BIDE_SENT_OK : BIDE_SENT_REFUSED);
    return BIDE_OK;
}

/* Nothing is written. LOST: while taking, it was sent before; while confirming, it is to be sent again. */
static bide_code stand(struct chunk *chunk, struct row *row, enum bide_key_says says)
{
    if (says == BIDE_KEY_GO_ON)
        return advance(chunk, row);
    if (says == BIDE_KEY_TAKEN)
        return end_as_duplicate(chunk, row);
    if (says == BIDE_KEY_LOST && row->stage == TAKES)
        end(chunk, row, BIDE_SENT_OK);
    else
        row->stage = WAITS;
    return BIDE_OK;
}

/* Rows that are at this stage say what they have to write; *ret_n have. */
static bide_code ask_rows(struct chunk *chunk, enum stage stage, size_t *ret_n)
{
    bide_code code = BIDE_OK;
    *ret_n = 0;
    for (size_t i = 0; i < chunk->n_rows && code == BIDE_OK; i++) {
        struct row *row = &chunk->rows[i];
        if (row->stage != stage)
            continue;
        if (row->blind && row->view.size) { /* it is old */
            row->operation = (struct bide_store_operation){
                .kind = BIDE_STORE_GET, .scope = BIDE_KEYS, .key = row->message->unique};
            chunk->written[(*ret_n)++] = row;
            continue;
        }
        enum bide_key_says says = judge(chunk, row);
        if (says == BIDE_KEY_WRITE || says == BIDE_KEY_EXTEND)
            chunk->written[(*ret_n)++] = row;
        else
            code = stand(chunk, row, says);
    }
    return code;
}

/* It stands in the store as it was written. */
static void accept(struct row *row)
{
    row->view.slot = row->next;
    row->view.size = row->operation.turn.data.size;
    memcpy(row->view.text, row->text, row->view.size);
}

/* Takes the step of a stage with all rows that are at it. */
static bide_code take_step(struct chunk *chunk, enum stage stage)
{
    for (;;) {
        size_t n;
        bide_code code = ask_rows(chunk, stage, &n);
        if (code != BIDE_OK || n == 0)
            return code;
        code = apply(chunk, stage, n);
        for (size_t i = 0; i < n && code == BIDE_OK; i++) {
            struct row *row = chunk->written[i];
            if (row->operation.kind == BIDE_STORE_TURN && row->operation.answer.ok) {
                code = advance(chunk, row);
                accept(row);
            } else {
                code = read_answer(chunk, row);
            }
        }
        for (size_t i = 0; i < n; i++)
            bide_store_letter_clear(&chunk->letters[i]);
        if (code != BIDE_OK)
            return code;
    }
}

/* ---- the broker ---- */

static void note_result(struct chunk *chunk, struct row *row, size_t at, bide_sent result)
{
    if (!row)
        chunk->results[at] = result;
    else if (result == BIDE_SENT_OK)
        row->stage = CONFIRMS;
    else if (result == BIDE_SENT_REFUSED)
        row->stage = UNDOES;
}

static bide_code send_round(struct chunk *chunk)
{
    bide_message *messages[CHUNK];
    bide_sent results[CHUNK];
    struct row *rows[CHUNK];
    size_t places[CHUNK], m = 0, next_row = 0;
    memset(messages, 0, chunk->n * sizeof messages[0]); /* gcc 14 does not see that none is used unset */
    for (size_t i = 0; i < chunk->n; i++) {
        struct row *row =
            next_row < chunk->n_rows && chunk->rows[next_row].at == i ? &chunk->rows[next_row++] : NULL;
        if (row ? row->stage != SENDS : !chunk->goes[i])
            continue;
        messages[m] = chunk->messages[i];
        results[m] = BIDE_SENT_UNKNOWN;
        rows[m] = row;
        places[m++] = i;
        chunk->goes[i] = false;
    }
    struct bide_sender *sender = chunk->producer->sender;
    int64_t usual_us = sender->timeout_us, left = left_us(chunk, SENDS);
    sender->timeout_us = left > 0 ? left : 1;
    bide_code code = bide_producer_send_run(chunk->producer, messages, m, results, chunk->code, chunk->error);
    sender->timeout_us = usual_us;
    for (size_t i = 0; i < m; i++)
        note_result(chunk, rows[i], places[i], results[i]);
    if (code == BIDE_E_DATA)
        chunk->code = code;
    return code == BIDE_E_DATA ? BIDE_OK : code;
}

/* ---- rounds ---- */

/* Of each key the first message that has not ended may go on. *ret_open: there are such. */
static void begin_round(struct chunk *chunk, bool *ret_open)
{
    const char *taken = NULL;
    *ret_open = false;
    for (size_t i = 0; i < chunk->n_rows; i++) {
        struct row *row = chunk->by_key[i];
        if (row->stage == ENDED || (taken && strcmp(taken, row->message->unique) == 0))
            continue;
        taken = row->message->unique;
        row->stage = TAKES;
        *ret_open = true;
    }
}

static bide_code play_round(struct chunk *chunk)
{
    bide_error later;
    int64_t timeout_us = chunk->producer->timeout_ms * 1000;
    chunk->end_us = bide_mono_us(chunk->producer->clock) + timeout_us;
    chunk->share_us = timeout_us / CONFIRM_SHARE;
    bide_code code = take_step(chunk, TAKES);
    if (code != BIDE_OK)
        return code;
    BIDE_KILL_POINT("send/key-reserved");
    code = send_round(chunk);
    if (code != BIDE_OK) { /* what the broker has all the same is confirmed, if possible */
        bide_error *told = chunk->error;
        chunk->error = &later;
        take_step(chunk, CONFIRMS);
        chunk->error = told;
        return code;
    }
    code = take_step(chunk, CONFIRMS);
    if (code == BIDE_OK)
        code = take_step(chunk, UNDOES);
    BIDE_KILL_POINT("send/key-confirmed");
    return code;
}

static size_t count_ended(const struct chunk *chunk)
{
    size_t n = 0;
    for (size_t i = 0; i < chunk->n_rows; i++)
        n += chunk->rows[i].stage == ENDED;
    return n;
}

/* Nothing could go on: longer each time, and not as long as the others. */
static void pause_a_little(unsigned nth)
{
    int64_t us = (int64_t)PAUSE_US << (nth < 6 ? nth : 6);
    us = us < PAUSE_MAX_US ? us : PAUSE_MAX_US;
    us = us / 2 + (int64_t)(bide_random_number() % (uint64_t)us);
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static bide_code play(struct chunk *chunk)
{
    const struct bide_clock *clock = chunk->producer->clock;
    int64_t since_ms = bide_mono_ms(clock), wait_ms = LEASE_MS + chunk->producer->timeout_ms;
    unsigned pauses = 0;
    for (bool open;;) {
        size_t before = count_ended(chunk);
        begin_round(chunk, &open);
        bide_code code = play_round(chunk);
        if (code != BIDE_OK || count_ended(chunk) == chunk->n_rows)
            return code;
        if (count_ended(chunk) > before) {
            since_ms = bide_mono_ms(clock);
            pauses = 0;
            continue;
        }
        if (bide_mono_ms(clock) - since_ms > wait_ms)
            return bide_fail(chunk->error, BIDE_E_TIMEOUT,
                "other senders reserve the unique key again and again: not sent within %" PRId64 " ms",
                wait_ms);
        pause_a_little(pauses++);
        for (size_t i = 0; i < chunk->n_rows; i++)
            chunk->rows[i].blind = true;
    }
}

/* ---- a chunk ---- */

static struct bide_key_claim claim_of(const struct chunk *chunk, bide_message *message)
{
    int64_t timeout_ms = chunk->producer->timeout_ms;
    if (!message->unique_token)
        message->unique_token = bide_random_number() | 1;
    return (struct bide_key_claim){.id = message->id,
        .on_conflict = message->on_conflict,
        .sent_ms = message->sent_ms,
        .due_ms = message->due_ms,
        .hold_ms = message->unique_for_ms ? message->unique_for_ms : -1,
        .max_wait_ms = message->max_wait_ms,
        .lease_ms = timeout_ms < LEASE_MS ? timeout_ms : LEASE_MS,
        .token = message->unique_token,
        .new_life = (uint32_t)bide_random_number()};
}

static void add_row(struct chunk *chunk, size_t at)
{
    struct row *row = &chunk->rows[chunk->n_rows];
    row->message = chunk->messages[at];
    row->at = at;
    row->stage = WAITS;
    row->blind = false; /* after its first step the view is what was written or read */
    row->claim = claim_of(chunk, row->message);
    row->own.count = 0;
    bide_generation_read(row->message->generation, &row->own);
    row->message->duplicate_of = "";
    bide_key_view_free(&row->view);
    chunk->by_key[chunk->n_rows++] = row;
}

static int compare(const void *a, const void *b)
{
    const struct row *one = *(struct row *const *)a, *other = *(struct row *const *)b;
    int order = strcmp(one->message->unique, other->message->unique);
    return order ? order : one->at < other->at ? -1 : 1;
}

/* Stamps the messages, and refuses those that could never be sent. */
static bide_code begin(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->n; i++) {
        bide_error why;
        bide_code code = bide_producer_prepare(chunk->producer, chunk->messages[i], &why);
        if (code != BIDE_OK && code != BIDE_E_DATA)
            return bide_fail(chunk->error, code, "%s", why.text);
        if (code != BIDE_OK && chunk->code == BIDE_OK)
            chunk->code = bide_fail(chunk->error, code, "%s", why.text);
        if (code != BIDE_OK)
            chunk->results[i] = BIDE_SENT_REFUSED;
        else if (*chunk->messages[i]->unique)
            add_row(chunk, i);
        else
            chunk->goes[i] = true;
    }
    qsort(chunk->by_key, chunk->n_rows, sizeof *chunk->by_key, compare);
    return BIDE_OK;
}

static bide_code send_chunk(struct chunk *chunk)
{
    memset(chunk->goes, 0, CHUNK * sizeof *chunk->goes);
    chunk->n_rows = 0;
    bide_code code = begin(chunk);
    if (code == BIDE_OK)
        code = play(chunk);
    return code;
}

static bool allocate(struct chunk *chunk, size_t n)
{
    n = n < CHUNK ? n : CHUNK;
    chunk->rows = bide_malloc(n * sizeof *chunk->rows);
    chunk->by_key = bide_malloc(n * sizeof(struct row *));
    chunk->goes = bide_malloc(CHUNK * sizeof *chunk->goes);
    return chunk->rows && chunk->by_key && chunk->goes;
}

static void clear(struct chunk *chunk)
{
    bide_free(chunk->rows);
    bide_free(chunk->by_key);
    bide_free(chunk->goes);
    bide_free(chunk);
}

bide_code bide_producer_send_unique(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_error *error)
{
    if (!producer->store)
        return bide_fail(error, producer->no_store.code, "%s", producer->no_store.text);
    struct chunk *chunk = bide_calloc(1, sizeof *chunk);
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_UNKNOWN;
    if (!chunk || !allocate(chunk, n))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t at = 0; at < n && code == BIDE_OK; at += CHUNK) {
        chunk->producer = producer;
        chunk->messages = messages + at;
        chunk->results = results + at;
        chunk->n = n - at < CHUNK ? n - at : CHUNK;
        chunk->error = error;
        code = send_chunk(chunk);
    }
    if (code == BIDE_OK)
        code = chunk->code;
    if (chunk)
        clear(chunk);
    return code;
}
