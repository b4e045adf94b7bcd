#include "transactions/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "message/asking.h"
#include "message/envelope.h"

const char *bide_transaction_state_name(unsigned state)
{
    static const char *const names[] = {
        "unknown", "prepared", "committing", "committed", "aborted", "unresolved"};
    return state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

void bide_transaction_report(struct bide_buffer *to, const bide_transaction_view *view)
{
    bide_json_text(to, "id", view->id);
    bide_json_text(to, "state", view->state);
    if (!*view->type)
        return;
    bide_json_text(to, "type", view->type);
    bide_json_text(to, "queue", view->queue);
    bide_json_text(to, "check", view->check);
    bide_json_int(to, "left_ms", view->left_ms);
}

/* ---- terms ---- */

enum { LINE_MAX = 600 };

static void write_terms(const struct bide_transaction_terms *terms, char to[LINE_MAX])
{
    snprintf(to, LINE_MAX, "1 %s %s %" PRId64 " %" PRId64 " %" PRId64 " %s %s %" PRId64 " %" PRId64 " %d",
        terms->type, terms->queue, terms->delay_ms, terms->due_ms, terms->expires_after_ms, terms->check,
        terms->check_queue, terms->deadline_ms, terms->interval_ms, terms->checks);
}

static bool is_sound(const struct bide_transaction_terms *terms)
{
    return bide_name_valid(terms->type) && bide_address_valid(terms->queue) && terms->delay_ms >= -1 &&
           terms->delay_ms <= BIDE_DELAY_MAX_MS && terms->due_ms >= 0 && terms->due_ms <= INT64_MAX / 1000 &&
           terms->expires_after_ms >= 0 && terms->expires_after_ms <= BIDE_DELAY_MAX_MS &&
           bide_name_valid(terms->check) && bide_queue_name_valid(terms->check_queue) &&
           terms->deadline_ms > 0 && terms->checks > 0 && terms->interval_ms > 0 &&
           terms->interval_ms <= BIDE_TRANSACTION_INTERVAL_MAX_MS;
}

/* The 1 in front is the format's version. */
bide_code bide_transaction_terms_read(
    const char *text, struct bide_transaction_terms *ret_terms, bide_error *error)
{
    _Static_assert(BIDE_NAME_MAX == 100, "as in the format");
    struct bide_transaction_terms terms;
    int end = 0;
    int n = text ? sscanf(text,
                       "1 %100s %100s %" SCNd64 " %" SCNd64 " %" SCNd64 " %100s %100s %" SCNd64 " %" SCNd64
                       " %d%n",
                       terms.type, terms.queue, &terms.delay_ms, &terms.due_ms, &terms.expires_after_ms,
                       terms.check, terms.check_queue, &terms.deadline_ms, &terms.interval_ms, &terms.checks,
                       &end)
                 : 0;
    if (n != 10 || text[end] || !is_sound(&terms))
        return bide_fail(error, BIDE_E_DATA, "what a transaction was prepared with cannot be read");
    *ret_terms = terms;
    return BIDE_OK;
}

/* ---- the messages ---- */

static struct bide_slice slice_of(const char *text)
{
    return (struct bide_slice){text, strlen(text)};
}

static bool is_ours(const struct bide_header *header)
{
    return strncmp(header->name, BIDE_ASKING_ID, sizeof BIDE_ASKING_ID - 1) == 0;
}

/* Content and headers of `from`, without those of an asking message. Unstamped. */
static bide_message *copy_as(const bide_message *from, const char *id, const char *type, const char *queue)
{
    struct bide_header headers[BIDE_HEADERS_MAX];
    struct bide_message_parts parts = {.id = slice_of(id),
        .type = slice_of(type),
        .queue = slice_of(queue),
        .content_type = slice_of(from->content_type),
        .body = {from->body, from->body_size},
        .headers = headers};
    for (size_t i = 0; i < from->n_headers && parts.n_headers < BIDE_HEADERS_MAX; i++)
        if (!is_ours(&from->headers[i]))
            headers[parts.n_headers++] = from->headers[i];
    return bide_message_from_parts(&parts);
}

static bide_code nomem(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code set_marks(
    bide_message *asking, const char *id, const struct bide_transaction_terms *terms, bide_error *error)
{
    char checks[16], line[LINE_MAX];
    write_terms(terms, line);
    snprintf(checks, sizeof checks, "%d", terms->checks);
    bide_code code = bide_message_set_mark(asking, BIDE_ASKING_ID, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_mark(asking, BIDE_ASKING_CHECKS, checks, error);
    if (code == BIDE_OK)
        code = bide_message_set_mark(asking, BIDE_ASKING_TERMS, line, error);
    if (code != BIDE_OK)
        (void)bide_fail_within(
            error, "the message that asks about transaction '%.100s', which has three headers more", id);
    return code;
}

bide_code bide_transaction_ask(const struct bide_transaction_terms *terms, const bide_message *prepared,
    bide_message **ret_asking, bide_error *error)
{
    char id[BIDE_ID_MAX + 1];
    snprintf(id, sizeof id, BIDE_ASKING_PREFIX "%s", prepared->id);
    bide_message *asking = copy_as(prepared, id, terms->check, terms->check_queue);
    if (!asking)
        return nomem(error);
    bide_code code = bide_message_set_delay_ms(asking, terms->deadline_ms, error);
    if (code == BIDE_OK)
        code = set_marks(asking, prepared->id, terms, error);
    if (code == BIDE_OK)
        *ret_asking = asking;
    else
        bide_message_destroy(asking);
    return code;
}

static bide_code restore(const bide_message *content, const char *id,
    const struct bide_transaction_terms *terms, bide_message **ret_prepared, bide_error *error)
{
    bide_message *message = copy_as(content, id, terms->type, terms->queue);
    if (!message)
        return nomem(error);
    message->delay_ms = terms->delay_ms;
    message->due_ms = terms->due_ms;
    message->expires_after_ms = terms->expires_after_ms;
    *ret_prepared = message;
    return BIDE_OK;
}

bide_code bide_transaction_restore(const bide_message *asking, bide_message **ret_prepared, bide_error *error)
{
    struct bide_transaction_terms terms;
    bide_code code =
        bide_transaction_terms_read(bide_message_header(asking, BIDE_ASKING_TERMS), &terms, error);
    return code == BIDE_OK
               ? restore(asking, asking->id + sizeof BIDE_ASKING_PREFIX - 1, &terms, ret_prepared, error)
               : code;
}

void bide_transaction_record(
    struct bide_buffer *to, const struct bide_transaction_terms *terms, const bide_message *prepared)
{
    char line[LINE_MAX];
    write_terms(terms, line);
    bide_buffer_format(to, "%s\n{", line);
    bide_json_text(to, "type", terms->type);
    bide_json_name(to, NULL);
    bide_envelope_add_content(to, prepared);
    bide_buffer_char(to, '}');
}

/* Where the message begins; 0: nowhere. */
static size_t end_of_line(struct bide_slice record)
{
    const char *end = record.size ? memchr(record.bytes, '\n', record.size) : NULL;
    return end && end - record.bytes < LINE_MAX ? (size_t)(end - record.bytes) + 1 : 0;
}

bide_code bide_transaction_record_terms(
    struct bide_slice record, struct bide_transaction_terms *ret_terms, bide_error *error)
{
    char line[LINE_MAX] = "";
    size_t size = end_of_line(record);
    if (size > 0) /* its end is no NUL */
        memcpy(line, record.bytes, size - 1);
    return bide_transaction_terms_read(line, ret_terms, error);
}

bide_code bide_transaction_recall(
    struct bide_slice record, const char *id, bide_message **ret_prepared, bide_error *error)
{
    struct bide_transaction_terms terms;
    bide_message *content;
    size_t begin = end_of_line(record);
    bide_code code = bide_transaction_record_terms(record, &terms, error);
    if (code == BIDE_OK)
        code = bide_envelope_parse(record.bytes + begin, record.size - begin, &content, error);
    if (code != BIDE_OK)
        return code;
    code = restore(content, id, &terms, ret_prepared, error);
    bide_message_destroy(content);
    return code;
}

/* ---- the decision ---- */

void bide_transaction_claim(char to[BIDE_TRANSACTION_CLAIM_TEXT], uint64_t token, int64_t lease_ms)
{
    snprintf(to, BIDE_TRANSACTION_CLAIM_TEXT, "%016" PRIx64 " %" PRId64, token, lease_ms);
}

/* How long it has been decided follows from how much longer the fact lasts: the store's clock counts. */
int64_t bide_transaction_lease_ms(
    const struct bide_store_answer *answer, char old[BIDE_TRANSACTION_CLAIM_TEXT])
{
    size_t size = answer->size < BIDE_TRANSACTION_CLAIM_TEXT ? answer->size : 0;
    memcpy(old, answer->data ? answer->data : "", size);
    old[size] = '\0';
    int64_t lease_ms = strtoll(old + strcspn(old, " "), NULL, 10);
    int64_t age_ms = BIDE_TRANSACTION_ENDED_MS - answer->lasts_ms;
    return lease_ms > age_ms ? lease_ms - age_ms : 0;
}

static struct bide_store_operation turn(
    const char *id, unsigned from, unsigned to, const char *expect, const char *data, int64_t lasts_ms)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_TRANSACTIONS,
        .key = id,
        .lasts_ms = lasts_ms,
        .turn = {.from = from, .to = to, .expect = slice_of(expect), .data = slice_of(data)}};
}

static struct bide_store_operation forget_message(const char *id)
{
    return (struct bide_store_operation){
        .kind = BIDE_STORE_TURN, .scope = BIDE_PREPARED, .key = id, .turn = {.from = BIDE_STORE_ANY}};
}

void bide_transaction_write_decide(
    struct bide_store_operation operations[2], const char *id, unsigned from, const char *claim)
{
    operations[0] = turn(id, from, BIDE_TRANSACTION_DECIDED, "", claim, BIDE_TRANSACTION_ENDED_MS);
    operations[1] = (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = BIDE_PREPARED, .key = id};
}

void bide_transaction_write_claim(
    struct bide_store_operation *operation, const char *id, const char *old, const char *claim)
{
    *operation = turn(
        id, 1 << BIDE_TRANSACTION_DECIDED, BIDE_TRANSACTION_DECIDED, old, claim, BIDE_TRANSACTION_ENDED_MS);
}

void bide_transaction_write_sent(struct bide_store_operation operations[2], const char *id, const char *claim)
{
    operations[0] = turn(
        id, 1 << BIDE_TRANSACTION_DECIDED, BIDE_TRANSACTION_COMMITTED, claim, "", BIDE_TRANSACTION_ENDED_MS);
    operations[0].stop = true;
    operations[1] = forget_message(id);
}

void bide_transaction_write_abort(struct bide_store_operation operations[2], const char *id, unsigned from)
{
    operations[0] = turn(id, from, BIDE_TRANSACTION_ABORTED, "", "", BIDE_TRANSACTION_ENDED_MS);
    operations[0].stop = true;
    operations[1] = forget_message(id);
}

void bide_transaction_write_unresolved(struct bide_store_operation *operation, const char *id)
{
    *operation = turn(
        id, 1 << BIDE_TRANSACTION_PREPARED, BIDE_TRANSACTION_UNRESOLVED, "", "", BIDE_TRANSACTION_OPEN_MS);
}

void bide_transaction_write_met(
    struct bide_store_operation *operation, const char *id, unsigned state, int64_t interval_ms)
{
    *operation = turn(id, 1U << state, state, "", "met", BIDE_TRANSACTION_MET_MS + interval_ms);
}
