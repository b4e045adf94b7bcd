#include "cli/commands/topic.h"

#define SCOPE "topics"
enum { JOINED = 1, PAGE = 500 };

static void add_fact(void *user, const struct bide_store_fact *fact)
{
    if (bide_subscription_valid(fact->key))
        (void)bide_cli_names_add(user, fact->key, NULL); /* without memory, the list is short */
}

bide_code bide_cli_topic_record_read(struct bide_cli_topic_record *record, const struct bide_config *config,
    struct bide_cli_names *names, bide_error *error)
{
    struct bide_store_cursor cursor = {.done = false};
    bide_code code = bide_store_configure(config, "topic", &record->configured, error);
    if (code == BIDE_OK && record->configured.type)
        code = bide_store_open(&record->configured.options, &record->store, error);
    while (code == BIDE_OK && record->store && !cursor.done)
        code = bide_store_scan(record->store, SCOPE, "", PAGE, &cursor, add_fact, names, error);
    return code;
}

bide_code bide_cli_topic_record_set(
    struct bide_cli_topic_record *record, const char *subscription, bool joined, bide_error *error)
{
    struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
        .scope = SCOPE,
        .key = subscription,
        .lasts_ms = BIDE_STORE_LASTS_MAX_MS,
        .turn = {.from = BIDE_STORE_ANY, .to = joined ? JOINED : 0}};
    struct bide_store_letter letter = {.operations = &turn, .n = 1};
    bide_code code = record->store ? bide_store_apply(record->store, &letter, 1, error) : BIDE_OK;
    bide_store_letter_clear(&letter);
    return code;
}

void bide_cli_topic_record_close(struct bide_cli_topic_record *record)
{
    bide_store_destroy(record->store);
    bide_configured_store_clear(&record->configured);
    *record = (struct bide_cli_topic_record){0};
}
