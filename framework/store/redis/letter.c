#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/redis/keys.h"
#include "store/redis/inside.h"

/* What Redis does at a time stays under 5 ms. */
enum { CHUNK_LETTERS = 100, CHUNK_OPERATIONS = 512, CHUNK_BYTES = 512 * 1024, VALUES = 4 };

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

/* The keys of a call; an operation that uses the scope of the one before uses its keys. */
struct keys {
    struct bide_redis_args *args;
    const char *name_space;
    const char *scope; /* of the facts and ends added last */
    size_t scope_place;
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
    if (!keys->scope || strcmp(keys->scope, scope) != 0) {
        keys->scope = scope;
        keys->scope_place = add_key(keys, "facts", NULL, scope);
        add_key(keys, "ends", NULL, scope);
    }
    return keys->scope_place;
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

static void write_own(struct bide_redis_args *to, const struct bide_store_operation *operation)
{
    switch (operation->kind) {
    case BIDE_STORE_TURN:
        write_turn(to, &operation->turn);
        break;
    case BIDE_STORE_ARRIVE:
        bide_redis_args_int(to, operation->arrive.member);
        bide_redis_args_int(to, operation->arrive.total);
        break;
    case BIDE_STORE_METER:
        bide_redis_args_int(to, operation->meter.n);
        bide_redis_args_int(to, operation->meter.interval_us);
        bide_redis_args_int(to, operation->meter.within_us);
        break;
    case BIDE_STORE_ACQUIRE:
        bide_redis_args_text(to, operation->acquire.holder ? operation->acquire.holder : "");
        bide_redis_args_int(to, operation->acquire.n);
        break;
    case BIDE_STORE_RELEASE:
        bide_redis_args_text(to, operation->acquire.holder);
        break;
    case BIDE_STORE_GET:
    case BIDE_STORE_CLOSE:
        break;
    }
}

static void write_operation(
    struct bide_redis_args *to, struct keys *keys, const struct bide_store_operation *operation)
{
    bool is_permit = operation->kind == BIDE_STORE_ACQUIRE || operation->kind == BIDE_STORE_RELEASE;
    size_t place = is_permit ? add_key(keys, "permits", operation->scope, operation->key)
                             : place_of_scope(keys, operation->scope);
    bide_redis_args_add(to, &letters_of_kinds[operation->kind], 1);
    bide_redis_args_text(to, operation->stop ? "1" : "");
    bide_redis_args_int(to, (int64_t)place);
    bide_redis_args_text(to, operation->key ? operation->key : "");
    bide_redis_args_int(to, operation->lasts_ms);
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

static bool are_values(const redisReply *reply, size_t at)
{
    for (size_t i = at; i < at + VALUES - 1; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    int type = reply->element[at + VALUES - 1]->type;
    return type == REDIS_REPLY_NIL || type == REDIS_REPLY_STRING;
}

static bide_code take_data(struct bide_store_answer *answer, const redisReply *data, bide_error *error)
{
    if (data->type != REDIS_REPLY_STRING || data->len == 0)
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

static bide_code take_answer(
    struct bide_store_operation *operation, redisReply *const *values, bide_error *error)
{
    struct bide_store_answer *answer = &operation->answer;
    int64_t flags = values[0]->integer, first = values[1]->integer, second = values[2]->integer;
    answer->skipped = flags < 0;
    if (answer->skipped)
        return BIDE_OK;
    answer->ok = flags & 1;
    answer->changed = flags & 2;
    answer->first = flags & 4;
    if (operation->kind == BIDE_STORE_TURN || operation->kind == BIDE_STORE_GET) {
        answer->state = (unsigned)first % BIDE_STORE_STATES;
        answer->lasts_ms = second;
        return take_data(answer, values[3], error);
    }
    answer->count = first;
    if (operation->kind == BIDE_STORE_METER && values[3]->type == REDIS_REPLY_STRING)
        answer->at_us = strtoll(values[3]->str, NULL, 10);
    *(operation->kind == BIDE_STORE_METER ? &answer->wait_us : &answer->total) = second;
    return BIDE_OK;
}

bide_code bide_store_redis_read(struct bide_store_letter *letters, size_t n, const redisReply *reply,
    const char *shown, bide_error *error)
{
    size_t elements = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0, at = 0;
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        for (size_t j = 0; code == BIDE_OK && letters[i].code == BIDE_OK && j < letters[i].n;
             j++, at += VALUES)
            code = at + VALUES <= elements && are_values(reply, at)
                       ? take_answer(&letters[i].operations[j], &reply->element[at], error)
                       : bide_fail(error, BIDE_E_BROKER, "%s: unexpected answer to letters", shown);
    return code;
}
