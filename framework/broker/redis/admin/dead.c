#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"
#include "broker/redis/wire.h"

enum { PAGE = 100, BATCH = 64, TOKEN_TEXT = 48, FIRST_PIECE = 4, PIECE_BYTES = 1024 * 1024 };

/* ---- walking ---- */

/* Newest first. New dead letters have later times and old ones may go: the place is a time, and how many of
 * that very time have been seen. */
struct walk {
    struct bide_redis_admin *admin;
    const struct bide_dead_filter *filter;
    char at[32];  /* score */
    int64_t seen; /* of that score */
    size_t matched;
    size_t largest; /* letter so far */
};

/* One that matches; false ends the walk. The wire's parts are those of the message. */
typedef bool found(void *user, const char *token, const struct bide_redis_wire *wire);

static const char *text_of(struct bide_slice slice)
{
    return slice.bytes ? slice.bytes : "";
}

static bool matches(const struct bide_dead_filter *filter, const struct bide_redis_wire *wire)
{
    const struct bide_message message = {
        .id = text_of(wire->parts.id),
        .type = text_of(wire->parts.type),
        .queue = text_of(wire->parts.queue),
        .error = text_of(wire->parts.error),
    };
    return bide_dead_matches(filter, &(struct bide_dead_letter){&message, wire->reason, wire->died_ms});
}

static bide_code ask_page(struct walk *walk, redisReply **ret_tokens, bide_error *error)
{
    struct bide_redis_args *args = &walk->admin->args;
    bide_redis_args_begin(args, BIDE_REDIS_ZREVRANGEBYSCORE);
    bide_redis_keys_one(args, walk->admin->settings->name_space, "dead");
    bide_redis_args_texts(args, (const char *[]){walk->at, "-inf", "WITHSCORES", "LIMIT", NULL});
    bide_redis_args_int(args, walk->seen);
    bide_redis_args_int(args, PAGE);
    return bide_redis_admin_call(walk->admin, "listing dead letters", ret_tokens, error);
}

/* How many letters are read at once; at first it is not known how large they are. */
static size_t piece(const struct walk *walk)
{
    if (walk->largest == 0)
        return FIRST_PIECE;
    size_t fits = PIECE_BYTES / walk->largest;
    return fits < 1 ? 1 : fits < PAGE ? fits : PAGE;
}

/* Of the tokens (each followed by its score) from the first-th on. */
static bide_code ask_texts(struct walk *walk, const redisReply *tokens, size_t first, size_t n,
    redisReply **ret_texts, bide_error *error)
{
    struct bide_redis_admin *admin = walk->admin;
    bide_redis_args_begin(&admin->args, BIDE_REDIS_HMGET);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, "dead:held");
    for (size_t i = first; i < first + n; i++)
        bide_redis_args_add(&admin->args, tokens->element[2 * i]->str, tokens->element[2 * i]->len);
    return bide_redis_admin_call(admin, "reading dead letters", ret_texts, error);
}

/* Returns false when the walk is over. */
static bool show_piece(struct walk *walk, const redisReply *tokens, size_t first, const redisReply *texts,
    found *visit, void *user)
{
    struct bide_redis_wire wire;
    for (size_t i = 0; i < texts->elements; i++) {
        const char *token = tokens->element[2 * (first + i)]->str;
        const char *score = tokens->element[2 * (first + i) + 1]->str;
        walk->seen = strcmp(walk->at, score) == 0 ? walk->seen + 1 : 1;
        snprintf(walk->at, sizeof walk->at, "%s", score);
        redisReply *text = texts->element[i];
        if (text->type != REDIS_REPLY_STRING)
            continue;
        if (text->len > walk->largest)
            walk->largest = text->len;
        bide_redis_wire_init(&wire);
        bide_redis_wire_read(&wire, text->str, text->len);
        if (!matches(walk->filter, &wire))
            continue;
        if (!visit(user, token, &wire))
            return false;
        if (++walk->matched == walk->filter->limit)
            return false;
    }
    return true;
}

static bide_code walk_page(
    struct walk *walk, const redisReply *tokens, found *visit, void *user, bool *ret_more, bide_error *error)
{
    size_t n = tokens->elements / 2;
    bool more = true;
    for (size_t first = 0, wanted; first < n && more; first += wanted) {
        redisReply *texts;
        wanted = piece(walk) < n - first ? piece(walk) : n - first;
        bide_code code = ask_texts(walk, tokens, first, wanted, &texts, error);
        if (code != BIDE_OK)
            return code;
        more = texts->elements == wanted && show_piece(walk, tokens, first, texts, visit, user);
        freeReplyObject(texts);
    }
    *ret_more = more && n == PAGE;
    return BIDE_OK;
}

static bide_code walk_dead(struct bide_redis_admin *admin, const struct bide_dead_filter *filter,
    found *visit, void *user, bide_error *error)
{
    static const struct bide_dead_filter everything = {0};
    struct walk walk = {.admin = admin, .filter = filter ? filter : &everything, .at = "+inf"};
    bool more = true;
    bide_code code = bide_redis_admin_connect(admin, error);
    while (code == BIDE_OK && more) {
        redisReply *tokens;
        code = ask_page(&walk, &tokens, error);
        if (code != BIDE_OK)
            return code;
        code = walk_page(&walk, tokens, visit, user, &more, error);
        freeReplyObject(tokens);
    }
    return code;
}

/* ---- listing ---- */

struct listing {
    bide_dead_visit *visit;
    void *user;
    bool no_memory;
};

static bool show(void *user, const char *token, const struct bide_redis_wire *wire)
{
    struct listing *listing = user;
    (void)token;
    struct bide_dead_letter letter = {.reason = wire->reason, .died_ms = wire->died_ms};
    struct bide_message *message = bide_message_from_parts(&wire->parts);
    if (!message) {
        listing->no_memory = true;
        return false;
    }
    message->attempt = (int)wire->parts.attempt;
    letter.message = message;
    bool more = listing->visit(listing->user, &letter);
    bide_message_destroy(message);
    return more;
}

bide_code bide_redis_admin_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error)
{
    struct listing listing = {.visit = visit, .user = user};
    bide_code code = walk_dead((struct bide_redis_admin *)base, filter, show, &listing, error);
    return code == BIDE_OK && listing.no_memory ? bide_fail(error, BIDE_E_NOMEM, "out of memory") : code;
}

/* ---- working on many: first what there is, then batch after batch ---- */

struct mark {
    char token[TOKEN_TEXT];
    char queue[BIDE_NAME_MAX + 1];
    bool no_queue;  /* the letter's own queue name is not one */
    int64_t due_ms; /* of a replay; 0: now */
};

struct marks {
    struct mark *items;
    size_t n, capacity;
    bool no_memory;
};

static bool mark(void *user, const char *token, const struct bide_redis_wire *wire)
{
    struct marks *marks = user;
    if (marks->n == marks->capacity) {
        size_t capacity = marks->capacity ? 2 * marks->capacity : 256;
        struct mark *items = bide_realloc(marks->items, capacity * sizeof *items);
        if (!items) {
            marks->no_memory = true;
            return false;
        }
        marks->items = items;
        marks->capacity = capacity;
    }
    struct mark *one = &marks->items[marks->n++];
    snprintf(one->token, sizeof one->token, "%s", token);
    snprintf(one->queue, sizeof one->queue, "%s", text_of(wire->parts.queue));
    one->no_queue = !bide_address_valid(one->queue);
    return true;
}

static void swap(struct mark *one, struct mark *other)
{
    struct mark kept = *one;
    *one = *other;
    *other = kept;
}

/* The oldest come first. */
static void set_order(
    struct bide_redis_admin *admin, const struct bide_dead_spread *spread, struct marks *marks)
{
    int64_t now_ms = bide_wall_ms(admin->settings->clock);
    for (size_t i = 0; i < marks->n / 2; i++)
        swap(&marks->items[i], &marks->items[marks->n - 1 - i]);
    for (size_t i = 0; i < marks->n; i++) {
        int64_t due_ms = bide_dead_due_ms(spread, i, now_ms);
        marks->items[i].due_ms = due_ms > now_ms ? due_ms : 0;
    }
}

/* One batch of letters of one queue; *ret_n: how many there still were. */
typedef bide_code work_batch(
    struct bide_redis_admin *admin, const struct mark *marks, size_t n, int64_t *ret_n, bide_error *error);

static size_t batch_of(const struct marks *marks, size_t from)
{
    size_t n = 1;
    while (n < BATCH && from + n < marks->n &&
           strcmp(marks->items[from].queue, marks->items[from + n].queue) == 0)
        n++;
    return n;
}

static bide_code work_on(struct bide_admin *base, const struct bide_dead_filter *filter, work_batch *work,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct marks marks = {0};
    uint64_t done = 0;
    bide_code code = walk_dead(admin, filter, mark, &marks, error);
    if (code == BIDE_OK && marks.no_memory)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    set_order(admin, &filter->spread, &marks);
    for (size_t i = 0; code == BIDE_OK && i < marks.n;) {
        int64_t moved = 0;
        size_t n = batch_of(&marks, i);
        code = work(admin, &marks.items[i], n, &moved, error);
        i += n;
        done += code == BIDE_OK ? (uint64_t)moved : 0;
        if (code == BIDE_OK && progress && !progress(user, done, marks.n))
            break;
    }
    bide_free(marks.items);
    if (code == BIDE_OK)
        *ret_n = done;
    return code;
}

static bide_code drop_batch(
    struct bide_redis_admin *admin, const struct mark *marks, size_t n, int64_t *ret_n, bide_error *error)
{
    struct bide_redis_args *args = &admin->args;
    bide_redis_link_script(admin->link, args, BIDE_REDIS_DROP, BIDE_REDIS_DEAD_KEYS);
    bide_redis_keys_dead(args, admin->settings->name_space);
    bide_redis_args_text(args, marks[0].queue);
    for (size_t i = 0; i < n; i++)
        bide_redis_args_text(args, marks[i].token);
    return bide_redis_admin_number(admin, "dropping dead letters", ret_n, error);
}

/* The new lines of each. */
static void add_new_lines(struct bide_redis_admin *admin, const struct mark *mark, redisReply *text)
{
    struct bide_redis_wire wire;
    struct bide_message again;
    struct bide_buffer lines;
    bide_buffer_init(&lines);
    bide_redis_wire_init(&wire);
    bide_redis_wire_read(&wire, text->str, text->len);
    wire.parts.body = (struct bide_slice){0};
    int64_t due_ms = mark->due_ms ? mark->due_ms : bide_wall_ms(admin->settings->clock);
    struct bide_message *message = bide_message_from_parts(&wire.parts);
    if (message) {
        bide_message_replay(message, due_ms, &again);
        bide_redis_wire_write(&lines, &again, NULL);
    }
    admin->args.bytes.failed |= !message || lines.failed;
    bide_redis_args_text(&admin->args, mark->token);
    if (mark->due_ms)
        bide_redis_args_int(&admin->args, mark->due_ms);
    else
        bide_redis_args_text(&admin->args, "");
    bide_redis_args_add(&admin->args, lines.bytes, lines.size);
    bide_message_destroy(message);
    bide_buffer_release(&lines);
}

static bide_code retry_batch(
    struct bide_redis_admin *admin, const struct mark *marks, size_t n, int64_t *ret_n, bide_error *error)
{
    struct bide_redis_args *args = &admin->args;
    const char *name_space = admin->settings->name_space;
    const char *queue = marks[0].no_queue ? "default" : marks[0].queue;
    redisReply *texts = NULL;
    bide_redis_args_begin(args, BIDE_REDIS_HMGET);
    bide_redis_keys_one(args, name_space, "dead:held");
    for (size_t i = 0; i < n; i++)
        bide_redis_args_text(args, marks[i].token);
    bide_code code = bide_redis_admin_call(admin, "reading dead letters", &texts, error);
    if (code != BIDE_OK)
        return code;
    bide_redis_link_script(
        admin->link, args, BIDE_REDIS_REPLAY, BIDE_REDIS_QUEUE_KEYS + BIDE_REDIS_DEAD_KEYS + 2);
    bide_redis_keys_queue(args, name_space, queue);
    bide_redis_keys_dead(args, name_space);
    bide_redis_keys_one(args, name_space, "seq");
    bide_redis_keys_one(args, name_space, "queues");
    bide_redis_args_text(args, marks[0].queue);
    bide_redis_keys_wake(args, name_space);
    bide_redis_link_mark(admin->link, args);
    for (size_t i = 0; i < n && i < texts->elements; i++)
        if (texts->element[i]->type == REDIS_REPLY_STRING)
            add_new_lines(admin, &marks[i], texts->element[i]);
    freeReplyObject(texts);
    BIDE_KILL_POINT("replay/redis-chosen");
    code = bide_redis_admin_number(admin, "replaying dead letters", ret_n, error);
    BIDE_KILL_POINT("replay/redis-moved");
    return code;
}

bide_code bide_redis_admin_dead_retry(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return work_on(admin, filter, retry_batch, progress, user, ret_n, error);
}

bide_code bide_redis_admin_dead_drop(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    return work_on(admin, filter, drop_batch, progress, user, ret_n, error);
}
