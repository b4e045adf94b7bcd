/* Exporting: the mover joins as a worker, with a keeper that beats for it however long a visit takes; when it
 * is killed, what it had in hand goes back as every dead worker's does. */
#include "broker/export.h"

#include <poll.h>
#include <string.h>

#include "broker/redis/admin/admin.h"
#include "broker/redis/entry.h"
#include "broker/redis/keeper.h"
#include "broker/redis/keys.h"

enum { ENOUGH_BYTES = 4 * 1024 * 1024, SOURCE_TEXT = 48, LOOK_AGAIN_MS = 200 };
/* While there are other workers, one of them may have died: until then its messages come back. */
enum { COME_BACK_MS = BIDE_REDIS_LEASE_MS + 3 * BIDE_REDIS_BEAT_MS };

struct exporter {
    struct bide_redis_admin *admin;
    const char *queue; /* NULL: all */
    bide_export_visit *visit;
    void *user;
    char worker[BIDE_REDIS_WORKER_TEXT];
    bool carried; /* something, in this round */
    struct bide_export_batch batch;
    char sources[BIDE_EXPORT_BATCH][SOURCE_TEXT]; /* of each: stream id or token */
    struct bide_redis_wire wire;
};

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bide_code taken_over(struct exporter *exporter, bide_error *error)
{
    return bide_fail(error, BIDE_E_BROKER,
        "%s: was out of reach for so long that others took over what was in hand: run it again",
        exporter->admin->settings->shown);
}

/* Begins a script about what this worker has of a queue. */
static void begin_script(struct exporter *exporter, enum bide_redis_script script, const char *queue)
{
    struct bide_redis_args *args = &exporter->admin->args;
    const char *name_space = exporter->admin->settings->name_space;
    bide_redis_link_script(exporter->admin->link, args, script, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(args, name_space, queue);
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_keys_claimed(args, name_space, queue, exporter->worker);
    bide_redis_args_text(args, exporter->worker);
}

/* ---- what waits ---- */

static bide_code add_read(struct exporter *exporter, const char *queue, const char *source, bide_error *error)
{
    struct bide_export_batch *batch = &exporter->batch;
    struct bide_redis_wire *wire = &exporter->wire;
    int64_t now_ms = bide_wall_ms(exporter->admin->settings->clock);
    if (batch->n == BIDE_EXPORT_BATCH || strlen(source) >= SOURCE_TEXT)
        return bide_fail(error, BIDE_E_INTERNAL, "an export's batch is larger than was asked for");
    bide_redis_wire_complete(wire, queue, source, now_ms);
    struct bide_message *message = bide_message_from_parts(&wire->parts);
    if (!message)
        return no_memory(error);
    memcpy(exporter->sources[batch->n], source, strlen(source) + 1);
    bide_export_batch_add(batch, message, wire->defect, now_ms);
    return BIDE_OK;
}

static bide_code read_taken(
    struct exporter *exporter, const char *queue, const redisReply *reply, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
        return taken_over(exporter, error);
    const redisReply *entries = reply->element[0], *tokens = reply->element[1];
    for (size_t i = 0; code == BIDE_OK && i < entries->elements; i++)
        if (bide_redis_entry_read(&exporter->wire, entries->element[i], NULL))
            code = add_read(exporter, queue, entries->element[i]->element[0]->str, error);
    for (size_t i = 0; code == BIDE_OK && i + 2 < tokens->elements; i += 3) {
        const redisReply *token = tokens->element[i];
        if (bide_redis_held_read(&exporter->wire, token, tokens->element[i + 1], tokens->element[i + 2]))
            code = add_read(exporter, queue, token->str, error);
    }
    return code;
}

static bide_code take(struct exporter *exporter, const char *queue, bide_error *error)
{
    redisReply *reply = NULL;
    begin_script(exporter, BIDE_REDIS_EXPORT, queue);
    bide_redis_args_int(&exporter->admin->args, BIDE_EXPORT_BATCH);
    bide_redis_args_int(&exporter->admin->args, ENOUGH_BYTES);
    bide_code code = bide_redis_admin_call(exporter->admin, "taking messages out", &reply, error);
    if (code != BIDE_OK)
        return code;
    code = read_taken(exporter, queue, reply, error);
    freeReplyObject(reply);
    return code;
}

static bool is_carried(const struct exporter *exporter, size_t i, bool is_token)
{
    return exporter->batch.items[i].carried && !strchr(exporter->sources[i], '-') == is_token;
}

static void add_carried(struct exporter *exporter, bool are_tokens)
{
    for (size_t i = 0; i < exporter->batch.n; i++)
        if (is_carried(exporter, i, are_tokens))
            bide_redis_args_text(&exporter->admin->args, exporter->sources[i]);
}

static bide_code delete_carried(struct exporter *exporter, const char *queue, bide_error *error)
{
    int64_t n_entries = 0, n_tokens = 0, answer = 1;
    for (size_t i = 0; i < exporter->batch.n; i++) {
        n_entries += is_carried(exporter, i, false);
        n_tokens += is_carried(exporter, i, true);
    }
    if (n_entries + n_tokens == 0)
        return BIDE_OK;
    exporter->carried = true;
    begin_script(exporter, BIDE_REDIS_ACK, queue);
    bide_redis_args_int(&exporter->admin->args, n_entries);
    add_carried(exporter, false);
    add_carried(exporter, true);
    bide_code code =
        bide_redis_admin_number(exporter->admin, "deleting what was carried away", &answer, error);
    return code == BIDE_OK && answer < 0 ? taken_over(exporter, error) : code;
}

/* What was carried is deleted even where the visit failed in the end: each other order makes duplicates. */
static bide_code export_queue(struct exporter *exporter, const char *queue, bide_error *error)
{
    bide_code code = BIDE_OK;
    bide_error later;
    for (bool more = true; code == BIDE_OK && more;) {
        code = take(exporter, queue, error);
        more = exporter->batch.n > 0;
        if (code == BIDE_OK && more) {
            code = exporter->visit(exporter->user, exporter->batch.items, exporter->batch.n, error);
            bide_code deleted = delete_carried(exporter, queue, code == BIDE_OK ? error : &later);
            code = code == BIDE_OK ? deleted : code;
        }
        bide_export_batch_clear(&exporter->batch);
    }
    return code;
}

static bide_code export_waiting(struct exporter *exporter, bide_error *error)
{
    struct bide_redis_args *args = &exporter->admin->args;
    redisReply *queues = NULL;
    if (exporter->queue)
        return export_queue(exporter, exporter->queue, error);
    bide_redis_args_begin(args, BIDE_REDIS_SMEMBERS);
    bide_redis_keys_one(args, exporter->admin->settings->name_space, "queues");
    bide_code code = bide_redis_admin_call(exporter->admin, "listing the queues", &queues, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < queues->elements; i++)
        code = export_queue(exporter, queues->element[i]->str, error);
    freeReplyObject(queues);
    return code;
}

/* ---- dead letters, the oldest first ---- */

/* *ret_left: how many of those read stay where they are, for now. */
static bide_code read_letter(
    struct exporter *exporter, const char *token, redisReply *text, size_t *left, bide_error *error)
{
    struct bide_redis_wire *wire = &exporter->wire;
    const char *queue = exporter->queue;
    bide_redis_wire_init(wire);
    bide_redis_wire_read(wire, text->str, text->len);
    struct bide_slice name = wire->parts.queue;
    if (queue && (name.size != strlen(queue) || memcmp(name.bytes, queue, name.size) != 0)) {
        ++*left;
        return BIDE_OK;
    }
    struct bide_message *message = bide_message_from_parts(&wire->parts);
    if (!message)
        return no_memory(error);
    message->attempt = (int)wire->parts.attempt;
    memcpy(exporter->sources[exporter->batch.n], token, strlen(token) + 1);
    bide_export_batch_add_dead(&exporter->batch, message, wire->reason, wire->died_ms);
    return BIDE_OK;
}

static bide_code read_letters(
    struct exporter *exporter, const redisReply *tokens, size_t *left, bide_error *error)
{
    struct bide_redis_args *args = &exporter->admin->args;
    redisReply *texts = NULL;
    bide_redis_args_begin(args, BIDE_REDIS_HMGET);
    bide_redis_keys_one(args, exporter->admin->settings->name_space, "dead:held");
    for (size_t i = 0; i < tokens->elements; i++)
        bide_redis_args_add(args, tokens->element[i]->str, tokens->element[i]->len);
    bide_code code = bide_redis_admin_call(exporter->admin, "reading dead letters", &texts, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < tokens->elements && i < texts->elements; i++) {
        const char *token = tokens->element[i]->str;
        if (texts->element[i]->type == REDIS_REPLY_STRING && strlen(token) < SOURCE_TEXT)
            code = read_letter(exporter, token, texts->element[i], left, error);
        else
            ++*left;
    }
    freeReplyObject(texts);
    return code;
}

/* A page of dead letters behind the first `skip`; *ret_more: there was one. */
static bide_code take_letters(
    struct exporter *exporter, size_t skip, size_t *left, bool *ret_more, bide_error *error)
{
    enum { PAGE = 100 };
    struct bide_redis_args *args = &exporter->admin->args;
    redisReply *tokens = NULL;
    bide_redis_args_begin(args, BIDE_REDIS_ZRANGE);
    bide_redis_keys_one(args, exporter->admin->settings->name_space, "dead");
    bide_redis_args_int(args, (int64_t)skip);
    bide_redis_args_int(args, (int64_t)skip + PAGE - 1);
    bide_code code = bide_redis_admin_call(exporter->admin, "listing dead letters", &tokens, error);
    if (code != BIDE_OK)
        return code;
    *ret_more = tokens->elements > 0;
    if (*ret_more)
        code = read_letters(exporter, tokens, left, error);
    freeReplyObject(tokens);
    return code;
}

/* Those of one queue in one script: it keeps count of them. */
static bide_code drop_run(struct exporter *exporter, size_t *at, bide_error *error)
{
    struct bide_redis_args *args = &exporter->admin->args;
    const struct bide_export *items = exporter->batch.items;
    const char *queue = items[*at].message->queue;
    int64_t n = 0;
    bide_redis_link_script(exporter->admin->link, args, BIDE_REDIS_DROP, BIDE_REDIS_DEAD_KEYS);
    bide_redis_keys_dead(args, exporter->admin->settings->name_space);
    bide_redis_args_text(args, queue);
    for (; *at < exporter->batch.n && items[*at].carried && strcmp(items[*at].message->queue, queue) == 0;
         ++*at)
        bide_redis_args_text(args, exporter->sources[*at]);
    exporter->carried = true;
    return bide_redis_admin_number(exporter->admin, "deleting what was carried away", &n, error);
}

static bide_code drop_carried(struct exporter *exporter, size_t *left, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < exporter->batch.n;) {
        if (exporter->batch.items[i].carried) {
            code = drop_run(exporter, &i, error);
        } else {
            ++*left;
            i++;
        }
    }
    return code;
}

static bide_code export_letters(struct exporter *exporter, bide_error *error)
{
    size_t left = 0;
    bide_error later;
    bide_code code = BIDE_OK;
    for (bool more = true; code == BIDE_OK && more;) {
        code = take_letters(exporter, left, &left, &more, error);
        if (code == BIDE_OK && exporter->batch.n > 0) {
            code = exporter->visit(exporter->user, exporter->batch.items, exporter->batch.n, error);
            bide_code dropped = drop_carried(exporter, &left, code == BIDE_OK ? error : &later);
            code = code == BIDE_OK ? dropped : code;
        }
        bide_export_batch_clear(&exporter->batch);
    }
    return code;
}

/* ---- rounds ---- */

static bide_code count_others(struct exporter *exporter, int64_t *ret_n, bide_error *error)
{
    struct bide_redis_args *args = &exporter->admin->args;
    const char *name_space = exporter->admin->settings->name_space;
    int64_t n_workers = 0, n_lost = 0;
    bide_redis_args_begin(args, BIDE_REDIS_HLEN);
    bide_redis_keys_one(args, name_space, "workers");
    bide_code code = bide_redis_admin_number(exporter->admin, "counting the workers", &n_workers, error);
    if (code != BIDE_OK)
        return code;
    bide_redis_args_begin(args, BIDE_REDIS_SCARD);
    bide_redis_keys_one(args, name_space, "lost");
    code = bide_redis_admin_number(exporter->admin, "counting the workers", &n_lost, error);
    *ret_n = n_workers - 1 + n_lost;
    return code;
}

static bide_code run_rounds(struct exporter *exporter, bide_error *error)
{
    const struct bide_clock *clock = exporter->admin->settings->clock;
    int64_t found_ms = bide_mono_ms(clock), n_others = 0;
    for (;;) {
        exporter->carried = false;
        bide_code code = count_others(exporter, &n_others, error); /* before looking */
        if (code == BIDE_OK)
            code = export_waiting(exporter, error);
        if (code == BIDE_OK)
            code = export_letters(exporter, error);
        if (code != BIDE_OK)
            return code;
        if (exporter->carried)
            found_ms = bide_mono_ms(clock);
        else if (n_others <= 0 || bide_mono_ms(clock) > found_ms + COME_BACK_MS)
            return BIDE_OK;
        else
            poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

bide_code bide_redis_admin_export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct exporter exporter = {.admin = admin, .queue = queue, .visit = visit, .user = user};
    struct bide_redis_keeper *keeper = NULL;
    struct bide_redis_links links = {0};
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code == BIDE_OK)
        code = bide_redis_keeper_create(admin->settings, &keeper, error);
    if (code == BIDE_OK && bide_redis_keeper_take(keeper, &links)) {
        memcpy(exporter.worker, links.worker, sizeof exporter.worker);
        code = run_rounds(&exporter, error);
    }
    bide_redis_keeper_destroy(keeper);
    bide_redis_link_destroy(links.work);
    bide_redis_link_destroy(links.wake);
    return code;
}

/* ---- the other way: dead letters from elsewhere ---- */

static void add_letter(
    struct bide_redis_args *args, const struct bide_dead_letter *letter, struct bide_buffer *text)
{
    const struct bide_message *message = letter->message;
    bide_buffer_clear(text);
    bide_redis_wire_write(text, message, letter);
    bide_buffer_add(text, message->body, message->body_size);
    args->bytes.failed |= text->failed;
    bide_redis_args_text(args, message->queue);
    bide_redis_args_text(args, bide_address_valid(message->queue) ? "1" : "0");
    bide_redis_args_int(args, letter->died_ms);
    bide_redis_args_add(args, text->bytes, text->size);
}

static bide_code add_some(struct bide_redis_admin *admin, const struct bide_dead_letter *letters, size_t n,
    struct bide_buffer *text, bide_error *error)
{
    struct bide_redis_args *args = &admin->args;
    const char *name_space = admin->settings->name_space;
    bide_redis_link_script(admin->link, args, BIDE_REDIS_BURY, BIDE_REDIS_DEAD_KEYS + 2);
    bide_redis_keys_one(args, name_space, "seq");
    bide_redis_keys_dead(args, name_space);
    bide_redis_keys_one(args, name_space, "queues");
    bide_redis_link_mark(admin->link, args);
    for (size_t i = 0; i < n; i++)
        add_letter(args, &letters[i], text);
    return bide_redis_admin_tell(admin, "storing dead letters", error);
}

bide_code bide_redis_admin_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *letters, size_t n, bide_error *error)
{
    enum { AT_ONCE = 50 };
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_code code = bide_redis_admin_connect(admin, error);
    for (size_t i = 0; code == BIDE_OK && i < n; i += AT_ONCE)
        code = add_some(admin, letters + i, n - i < AT_ONCE ? n - i : AT_ONCE, &text, error);
    bide_buffer_release(&text);
    return code;
}
