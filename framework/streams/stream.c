#include "streams/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

/* ---- ids ---- */

void bide_stream_id_generate(char to[BIDE_STREAM_ID_TEXT], const struct bide_clock *clock)
{
    memcpy(to, BIDE_STREAM_PREFIX, sizeof BIDE_STREAM_PREFIX - 1);
    bide_id_generate(to + sizeof BIDE_STREAM_PREFIX - 1, clock);
}

/* Of the first BIDE_STREAM_ID_SIZE bytes. */
static bool begins_with_id(const char *text)
{
    static const char digits[] = "0123456789abcdef-";
    const size_t prefix = sizeof BIDE_STREAM_PREFIX - 1;
    return strncmp(text, BIDE_STREAM_PREFIX, prefix) == 0 &&
           strspn(text + prefix, digits) == BIDE_STREAM_ID_SIZE - prefix;
}

bool bide_stream_id_valid(const char *id)
{
    return begins_with_id(id) && id[BIDE_STREAM_ID_SIZE] == '\0';
}

static bool read_member(const char *text, int64_t *ret_member)
{
    char *end;
    if (*text < '1' || *text > '9' || strlen(text) > 10)
        return false;
    long long number = strtoll(text, &end, 10);
    *ret_member = number - 1;
    return *end == '\0' && number <= BIDE_STORE_MEMBERS_MAX;
}

enum bide_stream_role bide_stream_role(const char *id, char stream[BIDE_STREAM_ID_TEXT], int64_t *ret_member)
{
    static const char deadline[] = "deadline@";
    enum bide_stream_role role = BIDE_STREAM_NONE;
    if (!begins_with_id(id) || id[BIDE_STREAM_ID_SIZE] != ':')
        return BIDE_STREAM_NONE;
    const char *what = id + BIDE_STREAM_ID_SIZE + 1;
    *ret_member = BIDE_STORE_NO_MEMBER;
    if (strncmp(what, deadline, sizeof deadline - 1) == 0)
        role = BIDE_STREAM_DEADLINE;
    else if (read_member(what, ret_member))
        role = BIDE_STREAM_MEMBER;
    memcpy(stream, id, BIDE_STREAM_ID_SIZE);
    stream[BIDE_STREAM_ID_SIZE] = '\0';
    return role;
}

int bide_stream_sub_size(const char *queue)
{
    return (int)strcspn(queue, "@");
}

void bide_stream_message_id(
    const char *stream, const char *what, const char *queue, char to[BIDE_STREAM_MESSAGE_ID])
{
    snprintf(to, BIDE_STREAM_MESSAGE_ID, "%s:%s@%.*s", stream, what, bide_stream_sub_size(queue), queue);
}

/* ---- what is known of a stream ---- */

void bide_stream_info_write(const struct bide_stream_info *info, struct bide_buffer *to)
{
    bide_buffer_char(to, '{');
    bide_json_text(to, "target", info->target);
    bide_json_text(to, "name", info->name);
    if (info->on_end)
        bide_json_text(to, "on_end", info->on_end);
    bide_json_open(to, "queues", '[');
    for (size_t i = 0; i < info->n_queues; i++)
        bide_json_text(to, NULL, info->queues[i]);
    bide_buffer_char(to, ']');
    bide_json_int(to, "sent_ms", info->sent_ms);
    bide_json_int(to, "deadline_ms", info->deadline_ms);
    bide_buffer_char(to, '}');
}

static const char *text_of(const json_t *root, const char *key)
{
    return json_string_value(json_object_get(root, key));
}

static bool read_queues(const json_t *array, struct bide_stream_info *info)
{
    size_t n = json_array_size(array);
    for (size_t i = 0; i < n && i < BIDE_STREAM_QUEUES_MAX; i++)
        if (!(info->queues[info->n_queues++] = json_string_value(json_array_get(array, i))))
            return false;
    return n > 0 && n <= BIDE_STREAM_QUEUES_MAX;
}

bide_code bide_stream_info_read(
    const char *id, struct bide_slice text, struct bide_stream_info *ret_info, bide_error *error)
{
    json_t *root = json_loadb(text.bytes ? text.bytes : "", text.size, 0, NULL);
    struct bide_stream_info info = {.target = text_of(root, "target"),
        .name = text_of(root, "name"),
        .on_end = text_of(root, "on_end"),
        .sent_ms = json_integer_value(json_object_get(root, "sent_ms")),
        .deadline_ms = json_integer_value(json_object_get(root, "deadline_ms")),
        .root = root};
    if (!info.target || !info.name || !read_queues(json_object_get(root, "queues"), &info)) {
        json_decref(root);
        return bide_fail(error, BIDE_E_DATA, "what the store has of stream '%.60s' cannot be read", id);
    }
    snprintf(info.id, sizeof info.id, "%s", id);
    *ret_info = info;
    return BIDE_OK;
}

void bide_stream_info_clear(struct bide_stream_info *info)
{
    json_decref(info->root);
    *info = (struct bide_stream_info){0};
}

bool bide_stream_has_queue(const struct bide_stream_info *info, const char *queue)
{
    for (size_t i = 0; i < info->n_queues; i++)
        if (strcmp(info->queues[i], queue) == 0)
            return true;
    return false;
}

/* ---- arriving ---- */

void bide_stream_names(const char *stream, const char *queue, struct bide_stream_names *ret_names)
{
    static const char *const prefixes[] = {
        [BIDE_STREAM_DONE] = "", [BIDE_STREAM_DEAD] = "dead/", [BIDE_STREAM_DROPPED] = "dropped/"};
    snprintf(ret_names->scope, sizeof ret_names->scope, "stream/%.*s", (int)BIDE_STREAM_ID_SIZE, stream);
    for (size_t i = 0; i < BIDE_STREAM_N_HOW; i++)
        snprintf(
            ret_names->sets[i], sizeof ret_names->sets[i], "%s%.*s", prefixes[i], (int)BIDE_NAME_MAX, queue);
    snprintf(ret_names->end, sizeof ret_names->end, "end/%.*s", (int)BIDE_NAME_MAX, queue);
}

static struct bide_store_operation arrival(
    const struct bide_stream_names *names, enum bide_stream_how set, int64_t member)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_ARRIVE,
        .scope = names->scope,
        .key = names->sets[set],
        .arrive = {.member = member}};
}

/* Whose it is stands in front: who applies it again at another time finds that. */
void bide_stream_write_end(struct bide_stream_names *names, enum bide_stream_ending end, int64_t member,
    int64_t now_ms, struct bide_store_operation *ret_operation)
{
    int size = snprintf(names->mark, sizeof names->mark, "%" PRId64 " %" PRId64, member, now_ms);
    *ret_operation = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = names->scope,
        .key = names->end,
        .turn = {.from = 1 << BIDE_STREAM_OPEN, .to = end, .data = {names->mark, (size_t)size}}};
}

/* The set that the member adds to beside that of all comes first, so that what is complete counts it. A
 * member that has ended before adds to none: it is counted as it ended first. */
void bide_stream_arrive(struct bide_stream_names *names, int64_t member, enum bide_stream_how how,
    int64_t now_ms, struct bide_store_operation operations[BIDE_STREAM_OPERATIONS])
{
    size_t n = 0;
    if (how != BIDE_STREAM_DONE) {
        operations[n] = arrival(names, how, member);
        operations[n++].arrive.unless = names->sets[BIDE_STREAM_DONE];
    }
    operations[n] = arrival(names, BIDE_STREAM_DONE, member);
    operations[n++].stop = true;
    for (enum bide_stream_how other = BIDE_STREAM_DEAD; other < BIDE_STREAM_N_HOW; other++)
        if (other != how)
            operations[n++] = arrival(names, other, BIDE_STORE_NO_MEMBER);
    bide_stream_write_end(names, BIDE_STREAM_COMPLETE, member, now_ms, &operations[n]);
}

void bide_stream_look(
    struct bide_stream_names *names, struct bide_store_operation operations[BIDE_STREAM_OPERATIONS])
{
    for (size_t set = 0; set < BIDE_STREAM_N_HOW; set++)
        operations[set] = arrival(names, set, BIDE_STORE_NO_MEMBER);
    operations[BIDE_STREAM_N_HOW] =
        (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = names->scope, .key = names->end};
}

bool bide_stream_reached_end(const struct bide_store_operation *operation)
{
    const struct bide_store_answer *answer = &operation->answer;
    const char *mine = operation->turn.data.bytes;
    size_t whose = strcspn(mine, " ") + 1;
    return !answer->skipped && (answer->ok || (answer->state == operation->turn.to && answer->size >= whose &&
                                                  memcmp(answer->data, mine, whose) == 0));
}

static void read_end(const struct bide_store_operation *operation, struct bide_stream_counts *counts)
{
    const struct bide_store_answer *answer = &operation->answer;
    char mark[48] = "";
    if (answer->data && answer->size < sizeof mark)
        memcpy(mark, answer->data, answer->size);
    counts->end = answer->state;
    counts->ended_ms = strtoll(mark + strcspn(mark, " "), NULL, 10);
}

void bide_stream_read(const struct bide_stream_names *names,
    const struct bide_store_operation operations[BIDE_STREAM_OPERATIONS],
    struct bide_stream_counts *ret_counts)
{
    int64_t *const counted[] = {[BIDE_STREAM_DONE] = &ret_counts->ended,
        [BIDE_STREAM_DEAD] = &ret_counts->dead,
        [BIDE_STREAM_DROPPED] = &ret_counts->dropped};
    *ret_counts = (struct bide_stream_counts){0};
    for (size_t i = 0; i < BIDE_STREAM_OPERATIONS; i++) {
        const struct bide_store_operation *operation = &operations[i];
        for (size_t set = 0; set < BIDE_STREAM_N_HOW; set++)
            if (operation->key == names->sets[set])
                *counted[set] = operation->answer.count;
        if (operation->key == names->sets[BIDE_STREAM_DONE])
            ret_counts->total = operation->answer.total;
        if (operation->kind == BIDE_STORE_GET)
            read_end(operation, ret_counts);
    }
}

/* ---- end messages ---- */

void bide_stream_report_counts(struct bide_buffer *to, const struct bide_stream_counts *counts)
{
    bide_json_count(
        to, "total", counts->total > 0 || counts->end == BIDE_STREAM_COMPLETE ? counts->total : -1);
    bide_json_int(to, "done", counts->ended - counts->dead - counts->dropped);
    bide_json_int(to, "dead", counts->dead);
    bide_json_int(to, "dropped", counts->dropped);
}

static bide_code set_body(const struct bide_stream_info *info, const char *queue, const char *word,
    const struct bide_stream_counts *counts, bide_message *message, bide_error *error)
{
    struct bide_buffer body;
    bide_buffer_init(&body);
    bide_buffer_char(&body, '{');
    bide_json_text(&body, "stream", info->id);
    bide_json_text(&body, "name", info->name);
    bide_json_text(&body, "queue", queue);
    bide_json_text(&body, "state", word);
    bide_stream_report_counts(&body, counts);
    bide_buffer_char(&body, '}');
    bide_code code = body.failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory")
                                 : bide_message_set_body(message, body.bytes, body.size, error);
    bide_buffer_release(&body);
    return code;
}

bide_code bide_stream_end_message(const struct bide_stream_info *info, const char *queue, const char *word,
    const struct bide_stream_counts *counts, const struct bide_clock *clock, bide_message **ret_message,
    bide_error *error)
{
    char id[BIDE_STREAM_MESSAGE_ID];
    bide_message *message;
    bide_code code = bide_message_create(info->on_end, &message, error);
    if (code != BIDE_OK)
        return code;
    bide_stream_message_id(info->id, "end", queue, id);
    code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_content_type(message, "application/json", error);
    if (code == BIDE_OK)
        code = set_body(info, queue, word, counts, message, error);
    if (code == BIDE_OK)
        code = bide_message_stamp(message, queue, clock, error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}
