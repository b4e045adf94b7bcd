/* bide/transaction.h. The fact first, then the message that asks; a decision is one turn of the fact, and who
 * made it sends. Killed between the two, another sends: who commits again, or the worker that the asking
 * message comes to. */
#include "bide/transaction.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/killpoint.h"
#include "base/utf8.h"
#include "message/asking.h"
#include "producer/inside.h"
#include "transactions/transaction.h"

enum {
    DEFAULT_DEADLINE_MS = 60 * 1000,
    DEFAULT_INTERVAL_MS = 60 * 1000,
    DEFAULT_CHECKS = 15,
    LOOK_EVERY_MS = 20, /* whether another, which sends just now, has done so */
    PAGE = 500,
};
_Static_assert((int)BIDE_TRANSACTION_ID_MAX == (int)BIDE_STORE_USER_KEY_MAX, "an id is a key of the store");

static bide_code has_store(const bide_producer *producer, bide_error *error)
{
    return producer->store ? BIDE_OK
                           : bide_fail(error, producer->no_store.code, "%s", producer->no_store.text);
}

/* Under the producer's lock. */
static bide_code apply(
    bide_producer *producer, struct bide_store_operation *operations, size_t n, bide_error *error)
{
    struct bide_store_letter letter = {.operations = operations, .n = n};
    return bide_store_apply(producer->store, &letter, 1, error);
}

static bide_code lock_and_apply(
    bide_producer *producer, struct bide_store_operation *operations, size_t n, bide_error *error)
{
    pthread_mutex_lock(&producer->lock);
    bide_code code = apply(producer, operations, n, error);
    pthread_mutex_unlock(&producer->lock);
    return code;
}

static void clear(struct bide_store_operation *operations, size_t n)
{
    bide_store_letter_clear(&(struct bide_store_letter){.operations = operations, .n = n});
}

static bool is_id(const char *id)
{
    size_t size = id ? strnlen(id, BIDE_TRANSACTION_ID_MAX + 1) : 0;
    return size > 0 && size <= BIDE_TRANSACTION_ID_MAX;
}

static bide_code unknown(const char *id, bide_error *error)
{
    return bide_fail(error, BIDE_E_NOT_FOUND,
        "there is no transaction '%.100s': it is forgotten, or never was", id ? id : "");
}

/* ---- preparing ---- */

static bide_code check_options(const bide_transaction_options *options, bide_error *error)
{
    if (!options || !options->check || !bide_name_valid(options->check))
        return bide_fail(error, BIDE_E_DATA,
            "a transaction names the type of its check handler (`check`): " BIDE_NAME_RULE);
    if (options->check_queue && !bide_queue_name_valid(options->check_queue))
        return bide_fail(
            error, BIDE_E_DATA, "'%.100s' is not a queue: " BIDE_NAME_RULE, options->check_queue);
    if (options->deadline_ms < 0 || options->deadline_ms > BIDE_TRANSACTION_DEADLINE_MAX_MS)
        return bide_fail(
            error, BIDE_E_DATA, "the deadline of a transaction is more than 0 and at most 7 days away");
    if (options->interval_ms < 0 || options->interval_ms > BIDE_TRANSACTION_INTERVAL_MAX_MS)
        return bide_fail(error, BIDE_E_DATA, "the interval between checks is more than 0 and at most 1 day");
    if (options->checks < 0 || options->checks > BIDE_ASKING_CHECKS_MAX)
        return bide_fail(
            error, BIDE_E_DATA, "a transaction is checked 1 to %d times", BIDE_ASKING_CHECKS_MAX);
    return BIDE_OK;
}

static bool is_text(const char *value)
{
    return bide_utf8_valid(value, strlen(value));
}

/* The store keeps a prepared message as JSON. Its body may be anything. */
static bide_code check_texts(const bide_message *message, bide_error *error)
{
    if (!is_text(message->content_type))
        return bide_fail(error, BIDE_E_DATA, "the content type of a prepared message must be UTF-8");
    for (size_t i = 0; i < message->n_headers; i++)
        if (!is_text(message->headers[i].value))
            return bide_fail(error, BIDE_E_DATA,
                "header '%.100s': the headers of a prepared message must be UTF-8 (encode what is none, as "
                "base64)",
                message->headers[i].name);
    return BIDE_OK;
}

static bide_code check_message(const bide_producer *producer, const bide_message *message, bide_error *error)
{
    if (*message->unique)
        return bide_fail(error, BIDE_E_DATA,
            "a prepared message has no unique key: its id is the transaction's (docs/transactions.md)");
    if (*message->id && !is_id(message->id))
        return bide_fail(
            error, BIDE_E_DATA, "the id of a transaction has at most %d bytes", BIDE_TRANSACTION_ID_MAX);
    if (message->body_size > producer->max_body)
        return bide_fail(error, BIDE_E_DATA,
            "message '%s': the body has %zu bytes, more than the maximum of %zu", message->id,
            message->body_size, producer->max_body);
    return check_texts(message, error);
}

static bide_code fix_names(const bide_producer *producer, bide_message *message, bide_error *error)
{
    char id[BIDE_ID_TEXT];
    bide_code code = BIDE_OK;
    bide_id_generate(id, producer->clock);
    if (!*message->id)
        code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK && !*message->queue)
        code = bide_message_set_queue(message, producer->default_queue, error);
    return code;
}

static void fill_terms(const bide_producer *producer, const bide_message *message,
    const bide_transaction_options *options, struct bide_transaction_terms *ret_terms)
{
    const char *check_queue = options->check_queue ? options->check_queue : producer->default_queue;
    *ret_terms = (struct bide_transaction_terms){.delay_ms = message->delay_ms,
        .due_ms = message->due_ms,
        .expires_after_ms = message->expires_after_ms,
        .deadline_ms = options->deadline_ms ? options->deadline_ms : DEFAULT_DEADLINE_MS,
        .interval_ms = options->interval_ms ? options->interval_ms : DEFAULT_INTERVAL_MS,
        .checks = options->checks ? options->checks : DEFAULT_CHECKS};
    snprintf(ret_terms->type, sizeof ret_terms->type, "%s", message->type);
    snprintf(ret_terms->queue, sizeof ret_terms->queue, "%s", message->queue);
    snprintf(ret_terms->check, sizeof ret_terms->check, "%s", options->check);
    snprintf(ret_terms->check_queue, sizeof ret_terms->check_queue, "%s", check_queue);
}

static bide_code judge_prepared(
    const char *id, const struct bide_store_operation operations[2], bide_error *error)
{
    const struct bide_store_answer *state = &operations[0].answer, *record = &operations[1].answer;
    if (!state->ok)
        return bide_fail(error, BIDE_E_CONFLICT, "transaction '%.100s' is %s already", id,
            bide_transaction_state_name(state->state));
    if (!record->ok)
        return bide_fail(error, BIDE_E_CONFLICT,
            "transaction '%.100s' is prepared already, with another message: give each an id of its own", id);
    return BIDE_OK;
}

/* As long as it is open, so the facts last. */
static int64_t lasts_ms(const struct bide_transaction_terms *terms)
{
    return terms->deadline_ms + terms->interval_ms * terms->checks + BIDE_TRANSACTION_OPEN_MS;
}

static bide_code write_prepared(bide_producer *producer, const char *id,
    const struct bide_transaction_terms *terms, struct bide_slice record, bide_error *error)
{
    char life[24]; /* tells how old it is: transactions/census.c */
    int size = snprintf(life, sizeof life, "%lld", (long long)lasts_ms(terms));
    struct bide_store_operation operations[] = {{.kind = BIDE_STORE_TURN,
                                                    .stop = true,
                                                    .scope = BIDE_TRANSACTIONS,
                                                    .key = id,
                                                    .lasts_ms = lasts_ms(terms),
                                                    .turn = {.from = 1 << BIDE_TRANSACTION_UNKNOWN,
                                                        .to = BIDE_TRANSACTION_PREPARED,
                                                        .data = {life, (size_t)size}}},
        {.kind = BIDE_STORE_TURN,
            .scope = BIDE_PREPARED,
            .key = id,
            .lasts_ms = lasts_ms(terms),
            .turn = {.from = 1 << 0, .to = 1, .data = record}}};
    bide_code code = lock_and_apply(producer, operations, 2, error);
    if (code == BIDE_OK)
        code = judge_prepared(id, operations, error);
    clear(operations, 2);
    return code;
}

static bide_code record_prepared(bide_producer *producer, const struct bide_transaction_terms *terms,
    const bide_message *message, bide_error *error)
{
    struct bide_buffer record;
    bide_code code;
    bide_buffer_init(&record);
    bide_transaction_record(&record, terms, message);
    if (record.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if (record.size > BIDE_STORE_DATA_MAX)
        code = bide_fail(error, BIDE_E_DATA,
            "message '%s' has %zu bytes with its headers, as JSON: a prepared message has at most %d",
            message->id, record.size, BIDE_STORE_DATA_MAX);
    else
        code = write_prepared(
            producer, message->id, terms, (struct bide_slice){record.bytes, record.size}, error);
    bide_buffer_release(&record);
    return code;
}

bide_code bide_transaction_prepare(bide_producer *producer, bide_message *message,
    const bide_transaction_options *options, bide_error *error)
{
    bide_message *asking;
    bide_code code = has_store(producer, error);
    if (code == BIDE_OK)
        code = check_options(options, error);
    if (code == BIDE_OK)
        code = check_message(producer, message, error);
    if (code == BIDE_OK)
        code = fix_names(producer, message, error);
    if (code != BIDE_OK)
        return code;
    struct bide_transaction_terms terms;
    fill_terms(producer, message, options, &terms);
    code = bide_transaction_ask(&terms, message, &asking, error);
    if (code != BIDE_OK)
        return code;
    code = record_prepared(producer, &terms, message, error);
    BIDE_KILL_POINT("transaction/recorded");
    if (code == BIDE_OK)
        code = bide_producer_send(producer, asking, error);
    BIDE_KILL_POINT("transaction/prepared");
    bide_message_destroy(asking);
    return code;
}

/* ---- committing ----
 *
 * From the decision until it is sent the producer is locked: a thread that decided and then waited for others
 * to send would outlast its lease, and another process would send as well. */

/* One that decides to commit. */
struct decision {
    const char *id;
    char claim[BIDE_TRANSACTION_CLAIM_TEXT]; /* ours */
    char old[BIDE_TRANSACTION_CLAIM_TEXT];   /* another's, where it is decided already */
    int64_t wait_ms;                         /* … and for so long that one sends */
    int64_t until_ms;                        /* monotonic: for so long this call waits for another */
    unsigned state;                          /* not ours: what it is */
    bool is_ours;
    bide_message *message; /* NULL: the store has lost it */
};

static bide_code decide(bide_producer *producer, struct decision *decision, bide_error *error)
{
    struct bide_store_operation operations[2];
    const struct bide_store_answer *answer = &operations[0].answer, *record = &operations[1].answer;
    bide_transaction_write_decide(operations, decision->id, BIDE_TRANSACTION_IS_OPEN, decision->claim);
    bide_code code = apply(producer, operations, decision->message ? 1 : 2, error);
    if (code == BIDE_OK) {
        decision->is_ours = answer->ok;
        decision->state = answer->state;
        if (!answer->ok)
            decision->wait_ms = bide_transaction_lease_ms(answer, decision->old);
    }
    if (code == BIDE_OK && record->ok && !decision->message)
        code = bide_transaction_recall(
            (struct bide_slice){record->data, record->size}, decision->id, &decision->message, error);
    clear(operations, 2);
    return code;
}

static bide_code take_over(bide_producer *producer, struct decision *decision, bide_error *error)
{
    struct bide_store_operation operation;
    bide_transaction_write_claim(&operation, decision->id, decision->old, decision->claim);
    bide_code code = apply(producer, &operation, 1, error);
    if (code == BIDE_OK)
        decision->is_ours = operation.answer.ok;
    clear(&operation, 1);
    return code;
}

/* A lease is never longer, unless another has a longer timeout or the store's clock was set back. */
static bide_code wait_for_another(bide_producer *producer, const struct decision *decision, bide_error *error)
{
    int64_t wait_ms = decision->wait_ms < LOOK_EVERY_MS ? decision->wait_ms : LOOK_EVERY_MS;
    if (bide_mono_ms(producer->clock) > decision->until_ms)
        return bide_fail(error, BIDE_E_TIMEOUT,
            "transaction '%.100s' is committed, and whether another process has sent its message is not "
            "known yet (repeat the call)",
            decision->id);
    pthread_mutex_unlock(&producer->lock);
    nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000 * 1000}, NULL);
    pthread_mutex_lock(&producer->lock);
    return BIDE_OK;
}

/* Until it is ours, or nothing is left to do. */
static bide_code get_hold(bide_producer *producer, struct decision *decision, bide_error *error)
{
    for (;;) {
        bide_code code = decide(producer, decision, error);
        if (code == BIDE_OK && !decision->is_ours && decision->state == BIDE_TRANSACTION_DECIDED &&
            decision->wait_ms == 0)
            code = take_over(producer, decision, error);
        if (code != BIDE_OK || decision->is_ours || decision->state != BIDE_TRANSACTION_DECIDED)
            return code;
        code = wait_for_another(producer, decision, error);
        if (code != BIDE_OK)
            return code;
    }
}

/* Another may send it at once. Where that fails, too, it may when the lease is over. */
static void let_go(bide_producer *producer, const struct decision *decision)
{
    struct bide_store_operation operation;
    bide_transaction_write_claim(&operation, decision->id, decision->claim, "0 0");
    (void)apply(producer, &operation, 1, NULL);
    clear(&operation, 1);
}

/* What fails once it is sent does not matter to the caller: a worker finds it decided, and may send it again.
 */
static void write_sent(bide_producer *producer, const struct decision *decision)
{
    struct bide_store_operation operations[2];
    bide_transaction_write_sent(operations, decision->id, decision->claim);
    (void)apply(producer, operations, 2, NULL);
    clear(operations, 2);
}

static bide_code send_decided(bide_producer *producer, const struct decision *decision, bide_error *error)
{
    bide_sent sent;
    BIDE_KILL_POINT("transaction/decided");
    bide_code code = decision->message
                         ? bide_producer_send_plain(producer, &decision->message, 1, &sent, error)
                         : bide_fail(error, BIDE_E_BROKER, "the store has lost its message");
    BIDE_KILL_POINT("transaction/sent");
    if (code == BIDE_OK)
        write_sent(producer, decision);
    return code;
}

static void not_sent(
    bide_producer *producer, const struct decision *decision, bide_code code, bide_error *error)
{
    let_go(producer, decision);
    (void)bide_fail_within(error,
        code == BIDE_E_DATA
            ? "transaction '%.100s' is committed, and its message is refused (mend that and repeat the call; "
              "else a dead letter tells of it when its check is due)"
            : "transaction '%.100s' is committed, and its message not sent yet (repeat the call; else it is "
              "sent when its check is due)",
        decision->id);
}

static bide_code judge(const char *id, unsigned state, enum bide_transaction_state wanted, bide_error *error)
{
    if (state == wanted)
        return BIDE_OK;
    if (state == BIDE_TRANSACTION_UNKNOWN)
        return unknown(id, error);
    return bide_fail(
        error, BIDE_E_CONFLICT, "transaction '%.100s' is %s", id, bide_transaction_state_name(state));
}

static bide_code commit(bide_producer *producer, struct decision *decision, bide_error *error)
{
    bide_code code = get_hold(producer, decision, error);
    if (code == BIDE_OK && decision->is_ours)
        code = send_decided(producer, decision, error);
    else if (code == BIDE_OK)
        code = judge(decision->id, decision->state, BIDE_TRANSACTION_COMMITTED, error);
    if (code != BIDE_OK && decision->is_ours)
        not_sent(producer, decision, code, error);
    return code;
}

bide_code bide_transaction_commit(bide_producer *producer, const char *id, bide_error *error)
{
    struct decision decision = {.id = id};
    bide_code code = has_store(producer, error);
    if (code == BIDE_OK && !is_id(id))
        code = unknown(id, error);
    if (code != BIDE_OK)
        return code;
    int64_t lease_ms = 2 * producer->timeout_ms; /* the answer to the decision, and the sending */
    bide_transaction_claim(decision.claim, bide_random_number(), lease_ms);
    decision.until_ms = bide_mono_ms(producer->clock) + lease_ms;
    pthread_mutex_lock(&producer->lock);
    code = commit(producer, &decision, error);
    pthread_mutex_unlock(&producer->lock);
    bide_message_destroy(decision.message);
    return code;
}

bide_code bide_transaction_abort(bide_producer *producer, const char *id, bide_error *error)
{
    struct bide_store_operation operations[2];
    bide_code code = has_store(producer, error);
    if (code == BIDE_OK && !is_id(id))
        code = unknown(id, error);
    if (code != BIDE_OK)
        return code;
    bide_transaction_write_abort(operations, id, BIDE_TRANSACTION_IS_OPEN);
    code = lock_and_apply(producer, operations, 2, error);
    if (code == BIDE_OK && !operations[0].answer.ok)
        code = judge(id, operations[0].answer.state, BIDE_TRANSACTION_ABORTED, error);
    clear(operations, 2);
    return code;
}

/* ---- looking ---- */

static void visit_with(const char *id, const struct bide_store_answer *fact,
    const struct bide_transaction_terms *terms, bide_transaction_visit *visit, void *user)
{
    bool is_prepared = fact->state == BIDE_TRANSACTION_PREPARED && *terms->type;
    visit(user, &(bide_transaction_view){.id = id,
                    .state = bide_transaction_state_name(fact->state),
                    .type = terms->type,
                    .queue = terms->queue,
                    .check = terms->check,
                    .left_ms = is_prepared ? fact->lasts_ms - lasts_ms(terms) + terms->deadline_ms : 0});
}

/* Of one that is gone meanwhile: BIDE_E_NOT_FOUND. */
static bide_code show(
    bide_producer *producer, const char *id, bide_transaction_visit *visit, void *user, bide_error *error)
{
    struct bide_store_operation operations[] = {
        {.kind = BIDE_STORE_GET, .scope = BIDE_TRANSACTIONS, .key = id},
        {.kind = BIDE_STORE_GET, .scope = BIDE_PREPARED, .key = id}};
    struct bide_transaction_terms terms = {0};
    bide_code code = lock_and_apply(producer, operations, 2, error);
    if (code == BIDE_OK && !operations[0].answer.ok)
        code = unknown(id, error);
    const struct bide_store_answer *record = &operations[1].answer;
    if (code == BIDE_OK && record->ok)
        code = bide_transaction_record_terms((struct bide_slice){record->data, record->size}, &terms, error);
    if (code == BIDE_OK)
        visit_with(id, &operations[0].answer, &terms, visit, user);
    clear(operations, 2);
    return code;
}

bide_code bide_transaction_show(
    bide_producer *producer, const char *id, bide_transaction_visit *visit, void *user, bide_error *error)
{
    bide_code code = has_store(producer, error);
    if (code == BIDE_OK && !is_id(id))
        code = unknown(id, error);
    return code == BIDE_OK ? show(producer, id, visit, user, error) : code;
}

/* Into a buffer, with a NUL behind it. */
static void note_open(void *user, const struct bide_store_fact *fact)
{
    struct bide_buffer *ids = user;
    const unsigned states = BIDE_TRANSACTION_IS_OPEN | 1 << BIDE_TRANSACTION_DECIDED;
    if (states & 1U << fact->state)
        bide_buffer_add(ids, fact->key, strlen(fact->key) + 1);
}

static bide_code show_page(bide_producer *producer, const struct bide_buffer *ids,
    bide_transaction_visit *visit, void *user, bide_error *error)
{
    bide_code code = ids->failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory") : BIDE_OK;
    for (size_t at = 0; at < ids->size && code == BIDE_OK; at += strlen(ids->bytes + at) + 1) {
        code = show(producer, ids->bytes + at, visit, user, error);
        code = code == BIDE_E_NOT_FOUND ? BIDE_OK : code;
    }
    return code;
}

bide_code bide_transaction_list(
    bide_producer *producer, bide_transaction_visit *visit, void *user, bide_error *error)
{
    struct bide_store_cursor cursor = {0};
    bide_code code = has_store(producer, error);
    while (code == BIDE_OK && !cursor.done) {
        struct bide_buffer ids;
        bide_buffer_init(&ids);
        pthread_mutex_lock(&producer->lock);
        code = bide_store_scan(producer->store, BIDE_TRANSACTIONS, "", PAGE, &cursor, note_open, &ids, error);
        pthread_mutex_unlock(&producer->lock);
        if (code == BIDE_OK)
            code = show_page(producer, &ids, visit, user, error);
        bide_buffer_release(&ids);
    }
    return code;
}
