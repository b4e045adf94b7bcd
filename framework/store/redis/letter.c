#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/redis/keys.h"
#include "store/redis/inside.h"

/* What Redis does at a time stays under 5 ms. */
enum { CHUNK_LETTERS = 100, CHUNK_OPERATIONS = 512, CHUNK_BYTES = 512 * 1024, VALUES = 3 };

static size_t bytes_of(const struct bide_store_letter *letter)
{
    size_t bytes = 0;
    for (size_t i = 0; letter->code == BIDE_OK && i < letter->n; i++)
        if (letter->operations[i].kind == BIDE_STORE_TURN)
            bytes += letter->operations[i].turn.data.size;
    return bytes;
}

size_t bide_store_redis_chunk(const struct bide_store_letter *letters, size_t n)
{
    size_t operations = 0, bytes = 0, i = 0;
    for (; i < n && i < CHUNK_LETTERS; i++) {
        operations += letters[i].n;
        bytes += bytes_of(&letters[i]);
        if (i > 0 && (operations > CHUNK_OPERATIONS || bytes > CHUNK_BYTES))
            break;
    }
    return i;
}

/* ---- writing ---- */

void bide_store_redis_session_keys(struct bide_redis_args *args, const struct bide_redis_store *store)
{
    const char *name_space = store->settings->name_space;
    bide_redis_args_format(args, "{%s}:session:%s", name_space, store->session);
    bide_redis_keys_one(args, name_space, "store:pulse");
    bide_redis_keys_one(args, name_space, "store:judged");
}

/* The keys of a call; operations on a scope that was named a moment ago use its keys. */
enum { RECENT = 4 };
struct keys {
    struct bide_redis_args *args;
    const char *name_space;
    struct {
        const char *name; /* NULL: none */
        size_t place;     /* of its facts; its ends stand behind them */
    } recent[RECENT];
    unsigned next; /* of them, to be overwritten */
    struct bide_buffer text;
};

/* {ns}:kind:name, or, for what is known by scope and key, {ns}:kind:SIZE:scope:name. Returns its place. */
static size_t add_key(struct keys *keys, const char *kind, const char *scope, const char *name)
{
    bide_buffer_clear(&keys->text);
    bide_buffer_format(&keys->text, "{%s}:%s:", keys->name_space, kind);
    if (scope) {
        bide_buffer_format(&keys->text, "%zu:", strlen(scope));
        bide_buffer_text(&keys->text, scope);
        bide_buffer_char(&keys->text, ':');
    }
    bide_buffer_text(&keys->text, name);
    bide_redis_args_add(keys->args, keys->text.bytes, keys->text.size);
    return keys->args->n;
}

static size_t place_of_scope(struct keys *keys, const char *scope)
{
    for (size_t i = 0; i < RECENT; i++)
        if (keys->recent[i].name && strcmp(keys->recent[i].name, scope) == 0)
            return keys->recent[i].place;
    size_t place = add_key(keys, "facts", NULL, scope), at = keys->next++ % RECENT;
    add_key(keys, "ends", NULL, scope);
    keys->recent[at].name = scope;
    keys->recent[at].place = place;
    return place;
}

static const char letters_of_kinds[] = {
    [BIDE_STORE_TURN] = 't',
    [BIDE_STORE_ARRIVE] = 'a',
    [BIDE_STORE_METER] = 'm',
    [BIDE_STORE_ACQUIRE] = 'q',
    [BIDE_STORE_RELEASE] = 'r',
    [BIDE_STORE_GET] = 'g',
    [BIDE_STORE_CLOSE] = 'c',
};

static void write_turn(struct bide_redis_args *to, const struct bide_store_turn *turn)
{
    char from[BIDE_STORE_STATES];
    size_t n = 0;
    for (int state = 0; state < BIDE_STORE_STATES; state++)
        if (turn->from >> state & 1)
            from[n++] = (char)('0' + state);
    bide_redis_args_add(to, from, n);
    bide_redis_args_int(to, turn->to);
    bide_redis_args_add(to, turn->expect.size ? turn->expect.bytes : "", turn->expect.size);
    bide_redis_args_add(to, turn->data.size ? turn->data.bytes : "", turn->data.size);
}

/* What the kind needs, as the script has it. */
static void write_own(struct bide_redis_args *to, const struct bide_store_operation *operation)
{
    switch (operation->kind) {
    case BIDE_STORE_TURN:
        bide_redis_args_text(to, operation->key);
        bide_redis_args_int(to, operation->lasts_ms);
        write_turn(to, &operation->turn);
        break;
    case BIDE_STORE_ARRIVE:
        bide_redis_args_text(to, operation->key);
        bide_redis_args_int(to, operation->lasts_ms);
        bide_redis_args_int(to, operation->arrive.member);
        bide_redis_args_int(to, operation->arrive.total);
        bide_redis_args_text(to, operation->arrive.unless ? operation->arrive.unless : "");
        break;
    case BIDE_STORE_METER:
        bide_redis_args_text(to, operation->key);
        bide_redis_args_int(to, operation->meter.n);
        bide_redis_args_int(to, operation->meter.interval_us);
        bide_redis_args_int(to, operation->meter.within_us);
        break;
    case BIDE_STORE_ACQUIRE:
        bide_redis_args_int(to, operation->lasts_ms);
        bide_redis_args_text(to, operation->acquire.holder ? operation->acquire.holder : "");
        bide_redis_args_int(to, operation->acquire.n);
        break;
    case BIDE_STORE_RELEASE:
        bide_redis_args_text(to, operation->acquire.holder);
        break;
    case BIDE_STORE_GET:
        bide_redis_args_text(to, operation->key);
        break;
    case BIDE_STORE_CLOSE:
        bide_redis_args_int(to, operation->lasts_ms);
        break;
    }
}

static void write_operation(
    struct bide_redis_args *to, struct keys *keys, const struct bide_store_operation *operation)
{
    bool is_permit = operation->kind == BIDE_STORE_ACQUIRE || operation->kind == BIDE_STORE_RELEASE;
    size_t place = is_permit ? add_key(keys, "permits", operation->scope, operation->key)
                             : place_of_scope(keys, operation->scope);
    char kind = letters_of_kinds[operation->kind];
    if (operation->stop)
        kind = (char)(kind - 'a' + 'A');
    bide_redis_args_add(to, &kind, 1);
    bide_redis_args_int(to, (int64_t)place);
    write_own(to, operation);
}

static void write_letters(
    struct bide_redis_store *store, struct keys *keys, const struct bide_store_letter *letters, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; letters[i].code == BIDE_OK && j < letters[i].n; j++) {
            write_operation(&store->operations, keys, &letters[i].operations[j]);
            store->has_session = store->has_session || letters[i].operations[j].kind == BIDE_STORE_ACQUIRE;
        }
        bide_redis_args_text(&store->operations, ".");
    }
}

static void append(struct bide_redis_args *to, const struct bide_redis_args *from)
{
    bide_buffer_add(&to->bytes, from->bytes.bytes, from->bytes.size);
    to->n += from->n;
    to->bytes.failed = to->bytes.failed || from->bytes.failed;
}

void bide_store_redis_write(struct bide_redis_store *store, const struct bide_store_letter *letters, size_t n)
{
    struct bide_redis_args *keys_args = &store->keys, *operations = &store->operations;
    struct keys keys = {.args = keys_args, .name_space = store->settings->name_space};
    bide_buffer_init(&keys.text);
    bide_redis_args_begin_kind(keys_args, BIDE_REDIS_KIND_STORE);
    bide_redis_args_begin_kind(operations, BIDE_REDIS_KIND_STORE);
    bide_store_redis_session_keys(keys_args, store);
    bide_redis_args_text(operations, store->session);
    bide_redis_args_int(operations, BIDE_STORE_REDIS_LEASE_MS);
    bide_redis_args_format(operations, "{%s}:session:", keys.name_space);
    write_letters(store, &keys, letters, n);
    bide_redis_link_script(store->link, &store->args, BIDE_STORE_SCRIPT_APPLY, (int)keys_args->n);
    append(&store->args, keys_args);
    append(&store->args, operations);
    store->args.bytes.failed = store->args.bytes.failed || keys.text.failed;
    bide_buffer_release(&keys.text);
}

/* ---- reading ---- */

static bide_code take_data(struct bide_store_answer *answer, const redisReply *data, bide_error *error)
{
    if (data->len == 0)
        return BIDE_OK;
    char *copy = bide_malloc((size_t)data->len);
    if (!copy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    memcpy(copy, data->str, (size_t)data->len);
    bide_free(answer->data);
    answer->data = copy;
    answer->size = (size_t)data->len;
    return BIDE_OK;
}

/* What the script says to one operation. */
struct said {
    int64_t flags; /* below 0: it was skipped */
    int64_t numbers[VALUES - 1];
    const redisReply *data; /* NULL: none */
};

/* Reads it and moves on behind it. False: it is none. */
static bool read_said(const redisReply *reply, size_t elements, size_t *at, struct said *ret_said)
{
    *ret_said = (struct said){0};
    if (*at >= elements || reply->element[*at]->type != REDIS_REPLY_INTEGER)
        return false;
    int64_t flags = reply->element[(*at)++]->integer;
    size_t n = flags < 0 ? 0 : (size_t)flags >> 3;
    if (n > VALUES || n > elements - *at)
        return false;
    ret_said->flags = flags < 0 ? flags : flags & 7;
    for (size_t i = 0; i < n; i++) {
        const redisReply *value = reply->element[(*at)++];
        if (value->type != (i < VALUES - 1 ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING))
            return false;
        if (i < VALUES - 1)
            ret_said->numbers[i] = value->integer;
        else
            ret_said->data = value;
    }
    return true;
}

static bide_code take_answer(
    struct bide_store_operation *operation, const struct said *said, bide_error *error)
{
    struct bide_store_answer *answer = &operation->answer;
    answer->skipped = said->flags < 0;
    if (answer->skipped)
        return BIDE_OK;
    answer->ok = said->flags & 1;
    answer->changed = said->flags & 2;
    answer->first = said->flags & 4;
    if (operation->kind == BIDE_STORE_TURN || operation->kind == BIDE_STORE_GET) {
        answer->state = (unsigned)said->numbers[0] % BIDE_STORE_STATES;
        answer->lasts_ms = said->numbers[1];
        return said->data ? take_data(answer, said->data, error) : BIDE_OK;
    }
    answer->count = said->numbers[0];
    if (operation->kind == BIDE_STORE_METER && said->data)
        answer->at_us = strtoll(said->data->str, NULL, 10);
    *(operation->kind == BIDE_STORE_METER ? &answer->wait_us : &answer->total) = said->numbers[1];
    return BIDE_OK;
}

bide_code bide_store_redis_read(struct bide_store_letter *letters, size_t n, const redisReply *reply,
    const char *shown, bide_error *error)
{
    size_t elements = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0, at = 0;
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        for (size_t j = 0; code == BIDE_OK && letters[i].code == BIDE_OK && j < letters[i].n; j++) {
            struct said said;
            code = read_said(reply, elements, &at, &said)
                       ? take_answer(&letters[i].operations[j], &said, error)
                       : bide_fail(error, BIDE_E_BROKER, "%s: unexpected answer to letters", shown);
        }
    return code;
}
