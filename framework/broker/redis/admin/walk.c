#include "broker/redis/admin/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "broker/redis/entry.h"
#include "broker/redis/keeper.h"
#include "broker/redis/keys.h"

enum { PAGE = 250, PAGE_BYTES = 1024 * 1024, SOURCE_TEXT = 48, NAMES_MAX = 10000 };

/* Where a walk is. In a cursor the parts stand behind each other with a '|' between, the queue last. */
struct place {
    char stage;                          /* 'e': streams, 'c': claimed by workers, 'd': delayed */
    char due[32];                        /* c, d: '' at the beginning */
    char source[SOURCE_TEXT];            /* '' at the beginning */
    char worker[BIDE_REDIS_WORKER_TEXT]; /* c */
    char queue[BIDE_NAME_MAX + 1];
};

struct names {
    char **items; /* sorted */
    size_t n;
};

struct walking {
    struct bide_redis_walk *walk;
    struct place at;
    struct names queues, workers;
    struct bide_redis_wire wire;
    int64_t now_ms;
    bool stopped;
};

static bide_code no_memory(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* ---- cursors ---- */

static void write_cursor(const struct place *at, char cursor[BIDE_CURSOR_SIZE])
{
    if (at->stage == 'e')
        snprintf(cursor, BIDE_CURSOR_SIZE, "e|%s|%s", at->source, at->queue);
    else if (at->stage == 'd')
        snprintf(cursor, BIDE_CURSOR_SIZE, "d|%s|%s|%s", at->due, at->source, at->queue);
    else
        snprintf(cursor, BIDE_CURSOR_SIZE, "c|%s|%s|%s|%s", at->due, at->source, at->worker, at->queue);
}

/* Takes the part up to the next '|', or to the end. */
static bool take_part(const char **text, char *to, size_t size)
{
    size_t length = strcspn(*text, "|");
    if (length == 0 || length >= size)
        return false;
    memcpy(to, *text, length);
    to[length] = '\0';
    *text += length + (*(*text + length) == '|');
    return true;
}

static bool is_of(const char *text, const char *allowed)
{
    return text[strspn(text, allowed)] == '\0';
}

static bool read_cursor(const char *cursor, struct place *at)
{
    *at = (struct place){.stage = 'e'};
    if (!*cursor)
        return true;
    const char *text = cursor + 1;
    at->stage = *cursor;
    if (!strchr("ecd", at->stage) || *text++ != '|')
        return false;
    if (at->stage != 'e' && (!take_part(&text, at->due, sizeof at->due) || !is_of(at->due, "0123456789.e+")))
        return false;
    if (!take_part(&text, at->source, sizeof at->source) ||
        !is_of(at->source, at->stage == 'e' ? "0123456789-" : "0123456789.abcdefABCDEF"))
        return false;
    if (at->stage == 'c' && !take_part(&text, at->worker, sizeof at->worker))
        return false;
    return take_part(&text, at->queue, sizeof at->queue) && bide_queue_name_valid(at->queue) && !*text;
}

/* ---- names ---- */

static void release_names(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        bide_free(names->items[i]);
    bide_free(names->items);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(struct names *names, const char *name)
{
    char **grown = bide_realloc(names->items, (names->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    names->items = grown;
    names->items[names->n] = bide_strdup(name);
    return names->items[names->n] && ++names->n;
}

static bide_code ask_names(struct walking *walking, enum bide_redis_command_name command, const char *key,
    struct names *names, bide_error *error)
{
    struct bide_redis_admin *admin = walking->walk->admin;
    redisReply *reply = NULL;
    bide_redis_args_begin(&admin->args, command);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, key);
    bide_code code = bide_redis_admin_call(admin, "listing", &reply, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < reply->elements && names->n < NAMES_MAX; i++)
        if (reply->element[i]->str && *reply->element[i]->str && !add_name(names, reply->element[i]->str))
            code = no_memory(error);
    freeReplyObject(reply);
    if (names->n)
        qsort(names->items, names->n, sizeof *names->items, by_text);
    return code;
}

static bide_code ask_all_names(struct walking *walking, bide_error *error)
{
    const char *only = walking->walk->selection->queue;
    bide_code code = BIDE_OK;
    if (only)
        code = add_name(&walking->queues, only) ? BIDE_OK : no_memory(error);
    else
        code = ask_names(walking, BIDE_REDIS_SMEMBERS, "queues", &walking->queues, error);
    if (code == BIDE_OK)
        code = ask_names(walking, BIDE_REDIS_HKEYS, "workers", &walking->workers, error);
    if (code == BIDE_OK)
        code = ask_names(walking, BIDE_REDIS_SMEMBERS, "lost", &walking->workers, error);
    walking->walk->has_workers = walking->workers.n > 0;
    return code;
}

/* ---- rows ---- */

static const char *text_of(struct bide_slice slice)
{
    return slice.bytes ? slice.bytes : "";
}

/* The wire was read from `source`. */
static void visit_row(struct walking *walking, struct bide_redis_row *row)
{
    struct bide_redis_walk *walk = walking->walk;
    bide_redis_wire_complete(row->wire, row->queue, row->source, walking->now_ms);
    const struct bide_message message = {
        .id = text_of(row->wire->parts.id),
        .type = text_of(row->wire->parts.type),
        .queue = row->queue,
    };
    snprintf(walking->at.source, sizeof walking->at.source, "%s", row->source);
    if ((walk->selection->states & row->state) && bide_selection_has(walk->selection, &message, &row->id))
        walking->stopped = !walk->visit(walk->user, row);
}

static bool is_foreign(const redisReply *fields)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (fields->element[i]->str && strcmp(fields->element[i]->str, "m") == 0)
            return false;
    return true;
}

/* [id, fields], who, for how many ms, bytes of the body */
static void visit_entry(struct walking *walking, redisReply *const *four)
{
    struct bide_redis_row row = {.queue = walking->at.queue, .wire = &walking->wire};
    const redisReply *entry = four[0];
    if (!bide_redis_entry_read(&walking->wire, entry, NULL) || !four[1]->str)
        return;
    row.source = entry->element[0]->str;
    row.foreign = entry->element[1]->type == REDIS_REPLY_ARRAY && is_foreign(entry->element[1]);
    row.worker = four[1]->str;
    row.state = *row.worker ? BIDE_STATE_RUNNING : BIDE_STATE_READY;
    row.since_ms = *row.worker ? walking->now_ms - four[2]->integer : 0;
    row.body_size = (size_t)four[3]->integer;
    visit_row(walking, &row);
}

/* token, due, text, bytes of the body */
static void visit_held(struct walking *walking, redisReply *const *four)
{
    struct bide_redis_row row = {.queue = walking->at.queue, .wire = &walking->wire, .worker = ""};
    if (!bide_redis_held_read(&walking->wire, four[0], four[1], four[2]))
        return;
    row.source = four[0]->str;
    row.body_size = (size_t)four[3]->integer;
    row.state = walking->wire.parts.due_ms <= walking->now_ms ? BIDE_STATE_READY : BIDE_STATE_DELAYED;
    if (walking->at.stage == 'c') {
        row.state = BIDE_STATE_RUNNING;
        row.worker = walking->at.worker;
    }
    snprintf(walking->at.due, sizeof walking->at.due, "%s", four[1]->str);
    visit_row(walking, &row);
}

/* ---- pages ---- */

static void begin(struct walking *walking, enum bide_redis_script script, int n_keys)
{
    struct bide_redis_admin *admin = walking->walk->admin;
    bide_redis_link_script(admin->link, &admin->args, script, n_keys);
}

static void add_key(struct walking *walking, const char *part)
{
    struct bide_redis_admin *admin = walking->walk->admin;
    bide_redis_args_format(
        &admin->args, "{%s}:q:%s:%s", admin->settings->name_space, walking->at.queue, part);
}

static void add_bounds(struct walking *walking)
{
    struct bide_redis_args *args = &walking->walk->admin->args;
    bide_redis_args_int(args, PAGE);
    bide_redis_args_int(args, walking->walk->selection->without_bodies ? 0 : PAGE_BYTES);
}

static void ask_entries(struct walking *walking)
{
    struct bide_redis_args *args = &walking->walk->admin->args;
    begin(walking, BIDE_REDIS_ENTRIES, 1);
    add_key(walking, "ready");
    bide_redis_args_text(args, walking->at.source);
    bide_redis_args_text(args, walking->walk->selection->states & BIDE_STATE_READY ? "0" : "1");
    add_bounds(walking);
}

static void ask_held(struct walking *walking)
{
    struct bide_redis_admin *admin = walking->walk->admin;
    struct bide_redis_args *args = &admin->args;
    const struct place *at = &walking->at;
    unsigned states = walking->walk->selection->states;
    bool all = at->stage == 'c';
    begin(walking, BIDE_REDIS_HELD, 2);
    if (at->stage == 'c')
        bide_redis_keys_claimed(args, admin->settings->name_space, at->queue, at->worker);
    else
        add_key(walking, "delayed");
    add_key(walking, "held");
    if (*at->due)
        bide_redis_args_text(args, at->due);
    else
        bide_redis_args_int(args, all || (states & BIDE_STATE_READY) ? 0 : walking->now_ms + 1);
    bide_redis_args_text(args, at->source);
    if (all || (states & BIDE_STATE_DELAYED))
        bide_redis_args_text(args, "+inf");
    else
        bide_redis_args_int(args, walking->now_ms);
    add_bounds(walking);
}

/* The rows of a page, four elements each, from the first-th on. */
static void visit_rows(struct walking *walking, const redisReply *reply, size_t first)
{
    for (size_t i = first; i + 3 < reply->elements && !walking->stopped; i += 4) {
        redisReply *const *four = reply->element + i;
        if (four[3]->type != REDIS_REPLY_INTEGER)
            continue;
        walking->walk->seen++;
        if (walking->at.stage == 'e')
            visit_entry(walking, four);
        else
            visit_held(walking, four);
    }
}

static bide_code end_page(struct walking *walking, bide_error *error)
{
    struct bide_redis_walk *walk = walking->walk;
    bool more = true;
    if (!walk->page)
        return BIDE_OK;
    bide_code code = walk->page(walk->user, walking->at.queue, walk->seen, &more, error);
    walking->stopped = walking->stopped || !more;
    return code;
}

/* *ret_more: there may be another page behind. */
static bide_code walk_page(struct walking *walking, bool *ret_more, bide_error *error)
{
    bool entries = walking->at.stage == 'e';
    redisReply *reply = NULL;
    walking->now_ms = bide_wall_ms(walking->walk->admin->settings->clock);
    if (entries)
        ask_entries(walking);
    else
        ask_held(walking);
    bide_code code = bide_redis_admin_call(walking->walk->admin, "looking at what waits", &reply, error);
    if (code != BIDE_OK)
        return code;
    bool whole = reply->type == REDIS_REPLY_ARRAY;
    visit_rows(walking, reply, entries ? 1 : 0);
    *ret_more = whole && reply->elements > 0;
    if (entries && whole && reply->elements > 0 && !walking->stopped) {
        const char *last = reply->element[0]->str ? reply->element[0]->str : "";
        *ret_more = *last != '\0';
        snprintf(walking->at.source, sizeof walking->at.source, "%s", last);
    }
    freeReplyObject(reply);
    return end_page(walking, error);
}

static bide_code walk_pages(struct walking *walking, bide_error *error)
{
    bool more = true;
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && more && !walking->stopped)
        code = walk_page(walking, &more, error);
    if (!walking->stopped)
        walking->at.source[0] = walking->at.due[0] = '\0';
    return code;
}

/* Those of one queue that workers took out of `delayed`. */
static bide_code walk_claimed(struct walking *walking, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < walking->workers.n && !walking->stopped; i++) {
        const char *worker = walking->workers.items[i];
        if (strcmp(worker, walking->at.worker) < 0)
            continue; /* done in an earlier walk */
        if (strcmp(worker, walking->at.worker) > 0)
            walking->at.source[0] = walking->at.due[0] = '\0';
        snprintf(walking->at.worker, sizeof walking->at.worker, "%s", worker);
        code = walk_pages(walking, error);
    }
    if (!walking->stopped)
        walking->at.worker[0] = walking->at.source[0] = walking->at.due[0] = '\0';
    return code;
}

static bool is_wanted(char stage, unsigned states)
{
    const unsigned wanted = stage == 'e'   ? BIDE_STATE_READY | BIDE_STATE_RUNNING
                            : stage == 'c' ? BIDE_STATE_RUNNING
                                           : BIDE_STATE_READY | BIDE_STATE_DELAYED;
    return (states & wanted) != 0;
}

static bide_code walk_stage(struct walking *walking, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < walking->queues.n && !walking->stopped; i++) {
        const char *queue = walking->queues.items[i];
        if (strcmp(queue, walking->at.queue) < 0 || strlen(queue) > BIDE_NAME_MAX)
            continue;
        if (strcmp(queue, walking->at.queue) > 0)
            walking->at.worker[0] = walking->at.source[0] = walking->at.due[0] = '\0';
        memcpy(walking->at.queue, queue, strlen(queue) + 1);
        code = walking->at.stage == 'c' ? walk_claimed(walking, error) : walk_pages(walking, error);
    }
    return code;
}

static bide_code walk_stages(struct walking *walking, bide_error *error)
{
    static const char stages[] = "ecd";
    bide_code code = BIDE_OK;
    for (const char *stage = strchr(stages, walking->at.stage); code == BIDE_OK && *stage; stage++) {
        if (*stage != walking->at.stage)
            walking->at = (struct place){.stage = *stage};
        if (is_wanted(*stage, walking->walk->selection->states))
            code = walk_stage(walking, error);
        if (walking->stopped)
            break;
    }
    return code;
}

bide_code bide_redis_walk(struct bide_redis_walk *walk, char cursor[BIDE_CURSOR_SIZE], bide_error *error)
{
    struct walking *walking = bide_calloc(1, sizeof *walking);
    if (!walking)
        return no_memory(error);
    walking->walk = walk;
    bide_code code = BIDE_OK;
    if (!read_cursor(cursor, &walking->at))
        code = bide_fail(error, BIDE_E_DATA, "'%.100s' is no cursor of this broker", cursor);
    if (code == BIDE_OK)
        code = bide_redis_admin_connect(walk->admin, error);
    if (code == BIDE_OK)
        code = ask_all_names(walking, error);
    if (code == BIDE_OK)
        code = walk_stages(walking, error);
    if (code == BIDE_OK && walking->stopped)
        write_cursor(&walking->at, cursor);
    else if (code == BIDE_OK)
        cursor[0] = '\0';
    release_names(&walking->queues);
    release_names(&walking->workers);
    bide_free(walking);
    return code;
}
