/* What the store and a header have of a transaction, as anybody may have written it: what is read is sound,
 * and reads the same when it is written again. */
#include "fuzz/fuzz.h"

#include "transactions/transaction.h"

static void check_terms(const struct bide_transaction_terms *terms)
{
    HOLDS(bide_name_valid(terms->type) && bide_address_valid(terms->queue));
    HOLDS(bide_name_valid(terms->check) && bide_queue_name_valid(terms->check_queue));
    HOLDS(terms->delay_ms >= -1 && terms->delay_ms <= BIDE_DELAY_MAX_MS && terms->due_ms >= 0);
    HOLDS(terms->interval_ms > 0 && terms->deadline_ms > 0 && terms->checks > 0);
}

static void check_again(const struct bide_transaction_terms *terms, const bide_message *message)
{
    struct bide_transaction_terms again;
    struct bide_buffer record;
    bide_message *other;
    bide_buffer_init(&record);
    bide_transaction_record(&record, terms, message);
    const struct bide_slice slice = {record.bytes, record.size};
    HOLDS(!record.failed && bide_transaction_record_terms(slice, &again, NULL) == BIDE_OK);
    HOLDS(strcmp(again.queue, terms->queue) == 0 && again.checks == terms->checks);
    HOLDS(bide_transaction_recall(slice, message->id, &other, NULL) == BIDE_OK);
    HOLDS(other->body_size == message->body_size && other->n_headers == message->n_headers);
    HOLDS(memcmp(other->body, message->body, message->body_size) == 0);
    bide_message_destroy(other);
    bide_buffer_release(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size), old[BIDE_TRANSACTION_CLAIM_TEXT];
    const struct bide_slice record = {text, size};
    struct bide_store_answer answer = {.data = text, .size = size};
    struct bide_transaction_terms terms;
    bide_message *message;
    if (bide_transaction_terms_read(text, &terms, NULL) == BIDE_OK)
        check_terms(&terms);
    if (bide_transaction_recall(record, "o", &message, NULL) == BIDE_OK) {
        HOLDS(bide_transaction_record_terms(record, &terms, NULL) == BIDE_OK);
        check_terms(&terms);
        check_again(&terms, message);
        bide_message_destroy(message);
    }
    HOLDS(bide_transaction_lease_ms(&answer, old) >= 0 && strlen(old) < sizeof old);
    free(text);
    return 0;
}
