#include "dispatch/program/protocol.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "message/envelope.h"
#include "message/message.h"

enum { CONCURRENCY_MAX = 100000 };

/* ---- writing ---- */

void bide_program_say_greeting(struct bide_buffer *to, const char *program, int concurrency, size_t max_line)
{
    bide_buffer_text(to, "{\"bide\":1");
    bide_json_text(to, "program", program);
    bide_json_int(to, "concurrency", concurrency);
    bide_json_int(to, "max_line", (int64_t)max_line);
    bide_buffer_text(to, "}\n");
}

void bide_program_say_run(struct bide_buffer *to, uint64_t run, size_t batch,
    const struct bide_message *message, int attempts, int64_t timeout_ms)
{
    bide_buffer_format(to, "{\"run\":%" PRIu64, run);
    if (batch > 0)
        bide_json_int(to, "batch", (int64_t)batch);
    bide_json_text(to, "id", message->id);
    bide_json_text(to, "type", message->type);
    bide_json_text(to, "queue", message->queue);
    bide_json_int(to, "attempt", message->attempt);
    bide_json_int(to, "attempts", attempts);
    bide_json_int(to, "due_ms", message->due_ms);
    bide_json_int(to, "sent_ms", message->sent_ms);
    if (timeout_ms > 0)
        bide_json_int(to, "timeout_ms", timeout_ms);
    bide_json_name(to, NULL);
    bide_envelope_add_content(to, message);
    bide_buffer_text(to, "}\n");
}

void bide_program_say_cancel(struct bide_buffer *to, uint64_t run)
{
    bide_buffer_format(to, "{\"cancel\":%" PRIu64 "}\n", run);
}

void bide_program_say_leave(struct bide_buffer *to)
{
    bide_buffer_text(to, "{\"leave\":true}\n");
}

/* ---- reading ---- */

static void nonsense(struct bide_program_said *said, const char *what)
{
    said->kind = BIDE_SAID_NONSENSE;
    said->text = what;
}

static void read_hello(struct bide_program_said *said, json_t *value)
{
    const json_t *concurrency = json_object_get(said->root, "concurrency");
    json_int_t most = concurrency ? json_integer_value(concurrency) : 1;
    said->kind = BIDE_SAID_HELLO;
    said->types = json_object_get(said->root, "types");
    said->batch_types = json_object_get(said->root, "batch");
    const char *sdk = json_string_value(json_object_get(said->root, "sdk"));
    said->text = sdk ? sdk : "";
    if (json_integer_value(value) != 1)
        nonsense(said, "it speaks another version of the protocol than 1");
    else if (!json_is_array(said->types))
        nonsense(said, "its first line has no \"types\": [\"…\"]");
    else if (said->batch_types && !json_is_array(said->batch_types))
        nonsense(said, "its \"batch\" is no list of types");
    else if (most < 1 || most > CONCURRENCY_MAX)
        nonsense(said, "its \"concurrency\" is no number from 1 to 100000");
    said->concurrency = (int)most;
}

static void read_done(struct bide_program_said *said, json_t *value)
{
    static const char *const words[] = {[BIDE_ANSWER_COMMIT] = "commit", [BIDE_ANSWER_ABORT] = "abort"};
    const json_t *answer = json_object_get(value, "transaction");
    const char *word = json_string_value(answer);
    said->kind = BIDE_SAID_DONE;
    for (size_t i = BIDE_ANSWER_COMMIT; word && i <= BIDE_ANSWER_ABORT; i++)
        if (strcmp(word, words[i]) == 0)
            said->answer = (enum bide_answer)i;
    if (!json_is_object(value))
        nonsense(said, "\"done\" is no object");
    else if (answer && !said->answer)
        nonsense(said, "\"transaction\" is \"commit\" or \"abort\"");
}

static void read_failure(struct bide_program_said *said, json_t *value, enum bide_program_kind kind)
{
    const json_t *after = json_object_get(said->root, "after_ms");
    said->kind = kind;
    said->text = json_string_value(value);
    said->trace = json_string_value(json_object_get(said->root, "trace"));
    said->after_ms = after ? json_integer_value(after) : BIDE_BY_POLICY;
    if (!said->text)
        nonsense(said, "\"retry\" and \"dead\" say why in a string");
    else if (after && (!json_is_integer(after) || said->after_ms < 0))
        nonsense(said, "\"after_ms\" is no number of milliseconds");
}

static void read_retry(struct bide_program_said *said, json_t *value)
{
    const json_t *limit = json_object_get(said->root, "limit");
    read_failure(said, value, BIDE_SAID_RETRY);
    said->limit = json_string_value(limit);
    if (limit && !said->limit)
        nonsense(said, "\"limit\" names a limit in a string");
}

static void read_dead(struct bide_program_said *said, json_t *value)
{
    read_failure(said, value, BIDE_SAID_DEAD);
}

static void read_send(struct bide_program_said *said, json_t *value)
{
    said->kind = BIDE_SAID_SEND;
    said->send = value;
    if (!json_is_object(value))
        nonsense(said, "\"send\" is no object");
}

static void read_log(struct bide_program_said *said, json_t *value)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *level = json_string_value(value);
    said->kind = BIDE_SAID_LOG;
    said->text = json_string_value(json_object_get(said->root, "text"));
    said->fields = json_object_get(said->root, "fields");
    said->level = BIDE_LOG_INFO;
    for (size_t i = 0; level && i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(level, levels[i]) == 0)
            said->level = (bide_log_level)i;
    if (!level || !said->text)
        nonsense(said, "a log line has \"log\":\"info\" and \"text\":\"…\"");
}

static void read_progress(struct bide_program_said *said, json_t *value)
{
    (void)value;
    said->kind = BIDE_SAID_PROGRESS;
}

/* The first of these keys in a line says what the line is. `in_run`: it must name a run. */
static const struct {
    const char *key;
    bool in_run;
    void (*read)(struct bide_program_said *said, json_t *value);
} forms[] = {
    {"bide", false, read_hello},
    {"done", true, read_done},
    {"retry", true, read_retry},
    {"dead", true, read_dead},
    {"send", true, read_send},
    {"log", false, read_log},
    {"progress", true, read_progress},
};

static void read_form(struct bide_program_said *said)
{
    const json_t *run = json_object_get(said->root, "run");
    json_int_t number = json_integer_value(run);
    if (run && (!json_is_integer(run) || number < 1)) {
        nonsense(said, "its \"run\" is no number that bide gave");
        return;
    }
    said->run = (uint64_t)number;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        json_t *value = json_object_get(said->root, forms[i].key);
        if (!value)
            continue;
        if (forms[i].in_run && !run)
            nonsense(said, "it names no \"run\"");
        else
            forms[i].read(said, value);
        return;
    }
}

void bide_program_read(struct bide_program_said *ret_said, const char *line, size_t size)
{
    *ret_said = (struct bide_program_said){.kind = BIDE_SAID_OTHER, .after_ms = BIDE_BY_POLICY};
    ret_said->root = json_loadb(line, size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(ret_said->root))
        nonsense(ret_said, "it is no JSON object");
    else
        read_form(ret_said);
}

void bide_program_said_release(struct bide_program_said *said)
{
    json_decref(said->root);
}
