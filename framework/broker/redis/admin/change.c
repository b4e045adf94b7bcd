/* Finding, cancelling and rescheduling what waits. What a page of the walk found is changed by one script,
 * which looks again whether each message still waits. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "broker/redis/admin/walk.h"
#include "broker/redis/keys.h"

/* ---- finding ---- */

struct finding {
    bide_found_visit *visit;
    void *user;
    bool no_memory;
};

static bool show(void *user, const struct bide_redis_row *row)
{
    struct finding *finding = user;
    struct bide_message *message = bide_message_from_parts(&row->wire->parts);
    if (!message) {
        finding->no_memory = true;
        return false;
    }
    const bide_found found = {
        .message = message,
        .body_size = row->body_size,
        .state = row->state,
        .worker = row->worker,
        .since_ms = row->since_ms,
        .reason = "",
    };
    bool more = finding->visit(finding->user, &found);
    bide_message_destroy(message);
    return more;
}

bide_code bide_redis_admin_find(struct bide_admin *base, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error)
{
    struct finding finding = {.visit = visit, .user = user};
    struct bide_redis_walk walk = {
        .admin = (struct bide_redis_admin *)base, .selection = selection, .visit = show, .user = &finding};
    bide_code code = bide_redis_walk(&walk, cursor, error);
    return code == BIDE_OK && finding.no_memory ? bide_fail(error, BIDE_E_NOMEM, "out of memory") : code;
}

/* ---- changing ---- */

enum { BATCH = 256, SOURCE_TEXT = 48, GENERATION_TEXT = 32 };

/* A message of the present page that is to be changed. */
struct mark {
    char source[SOURCE_TEXT];
    char id[BIDE_ID_MAX + 1], unique[BIDE_UNIQUE_MAX + 1], generation[GENERATION_TEXT];
    size_t place;      /* of its id in the selection */
    size_t lines_size; /* its new lines; 0: they stay */
};

struct changing {
    struct bide_redis_admin *admin;
    const bide_selection *selection;
    const struct bide_change *change;
    bool *reached;            /* of each id of the selection */
    struct bide_buffer lines; /* of the marks, one after another */
    size_t n;
    struct mark marks[BATCH];
};

static void report(struct changing *changing, struct bide_copy copy, size_t place, bide_fate fate)
{
    if (changing->selection->n_ids)
        changing->reached[place] = true;
    changing->change->report(changing->change->user, &copy, fate);
}

/* The lines of a message that gets another expiry, or that another program added as plain fields. */
static void add_lines(struct changing *changing, const struct bide_redis_row *row, struct mark *mark)
{
    struct bide_message_parts parts = row->wire->parts;
    size_t before = changing->lines.size;
    bool expires = parts.expires_ms > 0 && !row->wire->defect;
    mark->lines_size = 0;
    if (changing->change->cancel || (!row->foreign && !expires))
        return;
    parts.body = (struct bide_slice){0};
    parts.expires_ms = bide_changed_expiry_ms(parts.expires_ms, parts.due_ms, changing->change->due_ms);
    parts.due_ms = changing->change->due_ms;
    struct bide_message *message = bide_message_from_parts(&parts);
    if (message)
        bide_redis_wire_write(&changing->lines, message, NULL);
    else
        changing->lines.failed = true;
    bide_message_destroy(message);
    mark->lines_size = changing->lines.size - before;
}

static const char *text_of(struct bide_slice slice)
{
    return slice.bytes ? slice.bytes : "";
}

static bool take(void *user, const struct bide_redis_row *row)
{
    struct changing *changing = user;
    const struct bide_message_parts *parts = &row->wire->parts;
    const struct bide_copy copy = {text_of(parts->id), text_of(parts->unique), text_of(parts->generation)};
    if (row->state == BIDE_STATE_RUNNING) {
        report(changing, copy, row->id, BIDE_FATE_RUNNING);
        return true;
    }
    /* It is due then already; also one that was rescheduled a moment ago, and that the walk meets again. */
    if (!changing->change->cancel && parts->due_ms == changing->change->due_ms) {
        if (changing->selection->n_ids)
            report(changing, copy, row->id, BIDE_FATE_RESCHEDULED);
        return true;
    }
    if (changing->n == BATCH || strlen(row->source) >= SOURCE_TEXT)
        return true; /* neither can be: a page has fewer rows, a source is shorter */
    struct mark *mark = &changing->marks[changing->n++];
    snprintf(mark->source, sizeof mark->source, "%s", row->source);
    snprintf(mark->id, sizeof mark->id, "%s", copy.id);
    snprintf(mark->unique, sizeof mark->unique, "%s", copy.unique);
    snprintf(mark->generation, sizeof mark->generation, "%s", copy.generation);
    mark->place = row->id;
    add_lines(changing, row, mark);
    return true;
}

static void ask_cancel(struct changing *changing, const char *queue)
{
    struct bide_redis_args *args = &changing->admin->args;
    const char *name_space = changing->admin->settings->name_space;
    bide_redis_link_script(changing->admin->link, args, BIDE_REDIS_CANCEL, BIDE_REDIS_QUEUE_KEYS + 1);
    bide_redis_keys_queue(args, name_space, queue);
    bide_redis_keys_one(args, name_space, "cancelled");
    bide_redis_args_text(args, queue);
    for (size_t i = 0; i < changing->n; i++)
        bide_redis_args_text(args, changing->marks[i].source);
}

static void ask_reschedule(struct changing *changing, const char *queue)
{
    struct bide_redis_args *args = &changing->admin->args;
    const struct bide_redis_settings *settings = changing->admin->settings;
    size_t at = 0;
    bide_redis_link_script(changing->admin->link, args, BIDE_REDIS_RESCHEDULE, BIDE_REDIS_QUEUE_KEYS + 1);
    bide_redis_keys_queue(args, settings->name_space, queue);
    bide_redis_keys_one(args, settings->name_space, "seq");
    bide_redis_args_text(args, queue);
    bide_redis_keys_wake(args, settings->name_space);
    bide_redis_link_mark(changing->admin->link, args);
    bide_redis_args_int(args, bide_wall_ms(settings->clock));
    bide_redis_args_int(args, changing->change->due_ms);
    args->bytes.failed |= changing->lines.failed;
    for (size_t i = 0; i < changing->n; i++) {
        size_t size = changing->marks[i].lines_size;
        bide_redis_args_text(args, changing->marks[i].source);
        bide_redis_args_add(args, size ? changing->lines.bytes + at : "", size);
        at += size;
    }
}

/* The scripts' answers: 0 gone, 1 changed, 2 a worker has it. */
static void report_answers(struct changing *changing, const redisReply *reply)
{
    bide_fate done = changing->change->cancel ? BIDE_FATE_CANCELLED : BIDE_FATE_RESCHEDULED;
    for (size_t i = 0; i < changing->n && i < reply->elements; i++) {
        const struct mark *mark = &changing->marks[i];
        if (reply->element[i]->integer > 0)
            report(changing, (struct bide_copy){mark->id, mark->unique, mark->generation}, mark->place,
                reply->element[i]->integer == 1 ? done : BIDE_FATE_RUNNING);
    }
}

static bide_code change_page(void *user, const char *queue, uint64_t seen, bool *ret_more, bide_error *error)
{
    struct changing *changing = user;
    redisReply *reply = NULL;
    bide_code code = BIDE_OK;
    if (changing->n > 0) {
        if (changing->change->cancel)
            ask_cancel(changing, queue);
        else
            ask_reschedule(changing, queue);
        BIDE_KILL_POINT("change/redis-chosen");
        code = bide_redis_admin_call(changing->admin, "changing what waits", &reply, error);
        BIDE_KILL_POINT("change/redis-changed");
    }
    if (code == BIDE_OK && reply)
        report_answers(changing, reply);
    freeReplyObject(reply);
    changing->n = 0;
    bide_buffer_clear(&changing->lines);
    *ret_more = !changing->change->progress || changing->change->progress(changing->change->user, seen, 0);
    return code;
}

static bool reached_all(const struct changing *changing)
{
    for (size_t i = 0; i < changing->selection->n_ids; i++)
        if (!changing->reached[i])
            return false;
    return true;
}

/* A message may have moved from where the walk had not been to where it had: an id that was nowhere is looked
 * for once more. */
static bide_code walk_twice(struct changing *changing, bide_error *error)
{
    bide_selection selection = *changing->selection;
    struct bide_redis_walk walk = {.admin = changing->admin,
        .selection = &selection,
        .visit = take,
        .page = change_page,
        .user = changing};
    char cursor[BIDE_CURSOR_SIZE] = "";
    selection.states = BIDE_STATE_DELAYED | BIDE_STATE_READY | BIDE_STATE_RUNNING;
    selection.without_bodies = true;
    bide_code code = bide_redis_walk(&walk, cursor, error);
    if (code == BIDE_OK && !*cursor && walk.has_workers && !reached_all(changing))
        code = bide_redis_walk(&walk, cursor, error);
    return code;
}

bide_code bide_redis_admin_change(struct bide_admin *base, const bide_selection *selection,
    const struct bide_change *change, bide_error *error)
{
    struct changing *changing = bide_calloc(1, sizeof *changing);
    bool *reached = bide_calloc(selection->n_ids + 1, sizeof *reached);
    bide_code code = BIDE_OK;
    if (changing && reached) {
        changing->admin = (struct bide_redis_admin *)base;
        changing->selection = selection;
        changing->change = change;
        changing->reached = reached;
        bide_buffer_init(&changing->lines);
        code = walk_twice(changing, error);
        bide_buffer_release(&changing->lines);
    } else {
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    bide_free(changing);
    bide_free(reached);
    return code;
}
