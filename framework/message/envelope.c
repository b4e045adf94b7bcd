#include "message/envelope.h"

#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/suggest.h"
#include "base/units.h"
#include "base/utf8.h"
#include "message/jsontext.h"

enum { SHORT_LINE = 1024, LONG_BODY = 32 };

/* An object on its way to a message. */
struct envelope {
    const char *text; /* the whole, valid JSON */
    size_t size;
    const struct bide_slice *plain_body; /* within text; NULL: as jansson read it */
    struct bide_message *message;
    bide_error *error;
};

typedef bide_code apply(const struct envelope *envelope, const json_t *value);

static bide_code nomem(bide_error *error)
{
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* The text of a value that must be a string without NUL. */
static bide_code text_of(const json_t *value, const char **ret_text, bide_error *error)
{
    if (!json_is_string(value))
        return bide_fail(error, BIDE_E_DATA, "must be a string");
    const char *text = json_string_value(value);
    if (strlen(text) != json_string_length(value))
        return bide_fail(error, BIDE_E_DATA, "must not hold a zero character");
    *ret_text = text;
    return BIDE_OK;
}

static bide_code apply_text(const struct envelope *envelope, const json_t *value,
    bide_code (*set)(bide_message *message, const char *text, bide_error *error))
{
    const char *text;
    bide_code code = text_of(value, &text, envelope->error);
    return code == BIDE_OK ? set(envelope->message, text, envelope->error) : code;
}

/* Sets a time from its text. A bad unit is bad data here, not bad usage. */
static bide_code apply_time(const struct envelope *envelope, const json_t *value,
    bide_code (*parse)(const char *text, int64_t *ret_ms, bide_error *error),
    bide_code (*set)(bide_message *message, int64_t ms, bide_error *error))
{
    const char *text;
    int64_t ms;
    bide_code code = text_of(value, &text, envelope->error);
    if (code != BIDE_OK)
        return code;
    if (parse(text, &ms, envelope->error) != BIDE_OK) {
        if (envelope->error)
            envelope->error->code = BIDE_E_DATA;
        return BIDE_E_DATA;
    }
    return set(envelope->message, ms, envelope->error);
}

static bide_code apply_delay(const struct envelope *envelope, const json_t *value)
{
    return apply_time(envelope, value, bide_parse_duration, bide_message_set_delay_ms);
}

/* An instant before 1970 is past like any other. */
static bide_code set_due(bide_message *message, int64_t due_ms, bide_error *error)
{
    return bide_message_set_due_ms(message, due_ms < 0 ? 1 : due_ms, error);
}

static bide_code apply_at(const struct envelope *envelope, const json_t *value)
{
    return apply_time(envelope, value, bide_parse_instant, set_due);
}

static bide_code apply_expires(const struct envelope *envelope, const json_t *value)
{
    return apply_time(envelope, value, bide_parse_duration, bide_message_set_expires_after_ms);
}

static bide_code apply_unique_for(const struct envelope *envelope, const json_t *value)
{
    return apply_time(envelope, value, bide_parse_duration, bide_message_set_unique_for_ms);
}

static bide_code apply_max_wait(const struct envelope *envelope, const json_t *value)
{
    return apply_time(envelope, value, bide_parse_duration, bide_message_set_max_wait_ms);
}

static bide_code apply_on_conflict(const struct envelope *envelope, const json_t *value)
{
    return apply_text(envelope, value, bide_message_set_on_conflict_named);
}

static bide_code apply_topic(const struct envelope *envelope, const json_t *value)
{
    return apply_text(envelope, value, bide_message_set_topic);
}

static bide_code apply_headers(const struct envelope *envelope, const json_t *value)
{
    const char *name, *text;
    json_t *header;
    if (!json_is_object(value))
        return bide_fail(envelope->error, BIDE_E_DATA, "must be an object of strings");
    /* jansson's iterators take a pointer to a value they do not change */
    json_object_foreach((json_t *)(uintptr_t)value, name, header)
    {
        bide_code code = text_of(header, &text, envelope->error);
        if (code == BIDE_E_DATA)
            bide_fail_within(envelope->error, "'%.100s'", name);
        if (code == BIDE_OK)
            code = bide_message_set_header(envelope->message, name, text, envelope->error);
        if (code != BIDE_OK)
            return code;
    }
    return BIDE_OK;
}

static int add_dumped(const char *bytes, size_t size, void *user)
{
    bide_buffer_add(user, bytes, size);
    return 0;
}

static bide_code apply_json_body(const struct envelope *envelope, const json_t *value)
{
    struct bide_slice body;
    struct bide_buffer compact;
    bide_buffer_init(&compact);
    if (bide_json_member(envelope->text, envelope->size, "body", &body)) {
        bide_json_add_compact(&compact, body.bytes, body.size);
    } else { /* the key is written with escapes */
        compact.failed = json_dump_callback(value, add_dumped, &compact, JSON_COMPACT | JSON_ENCODE_ANY) != 0;
    }
    bide_code code = compact.failed ? nomem(envelope->error)
                                    : bide_message_set_body(
                                          envelope->message, compact.bytes, compact.size, envelope->error);
    bide_buffer_release(&compact);
    if (code == BIDE_OK && !*bide_message_content_type(envelope->message))
        code = bide_message_set_content_type(envelope->message, "application/json", envelope->error);
    return code;
}

static bide_code apply_body(const struct envelope *envelope, const json_t *value)
{
    if (envelope->plain_body)
        return bide_message_set_body(
            envelope->message, envelope->plain_body->bytes, envelope->plain_body->size, envelope->error);
    if (!json_is_string(value))
        return apply_json_body(envelope, value);
    return bide_message_set_body(
        envelope->message, json_string_value(value), json_string_length(value), envelope->error);
}

static bide_code apply_body_base64(const struct envelope *envelope, const json_t *value)
{
    const char *text;
    struct bide_buffer body;
    bide_code code = text_of(value, &text, envelope->error);
    if (code != BIDE_OK)
        return code;
    bide_buffer_init(&body);
    if (!bide_base64_decode(&body, text, strlen(text)))
        code = bide_fail(envelope->error, BIDE_E_DATA, "is not base64 (RFC 4648, with padding)");
    else if (body.failed)
        code = nomem(envelope->error);
    else
        code = bide_message_set_body(envelope->message, body.bytes, body.size, envelope->error);
    bide_buffer_release(&body);
    return code;
}

/* One row a key that needs more than a setter, in the order they are applied; `not_with`: the key that says
 * the same in another way. The texts of message/fields.h come before them: the body asks for the content
 * type.
 */
static const struct {
    const char *name;
    apply *apply;
    const char *not_with;
} keys[] = {
    {"body", apply_body, "body_base64"},
    {"body_base64", apply_body_base64, NULL},
    {"topic", apply_topic, "queue"},
    {"delay", apply_delay, "at"},
    {"at", apply_at, NULL},
    {"headers", apply_headers, NULL},
    {"expires", apply_expires, NULL},
    {"unique_for", apply_unique_for, NULL},
    {"on_conflict", apply_on_conflict, NULL},
    {"max_wait", apply_max_wait, NULL},
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

/* The keys there are, NULL-terminated. */
static void list_keys(const char *known[N_KEYS + BIDE_N_FIELDS + 1])
{
    size_t n = 0;
    known[n++] = "type";
    for (size_t i = 0; i < BIDE_N_FIELDS; i++)
        if (bide_fields[i].set)
            known[n++] = bide_fields[i].name;
    for (size_t i = 0; i < N_KEYS; i++)
        known[n++] = keys[i].name;
    known[n] = NULL;
}

/* Refuses the first key that no row knows. */
static bide_code refuse_unknown(const json_t *object, bide_error *error)
{
    const char *known[N_KEYS + BIDE_N_FIELDS + 1], *name;
    char hint[BIDE_SUGGEST_TEXT];
    json_t *value;
    list_keys(known);
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return bide_fail(
                error, BIDE_E_DATA, "unknown key '%.100s'%s", name, bide_suggest(name, known, hint));
    }
    return BIDE_OK;
}

static bide_code within_key(bide_code code, const char *key, bide_error *error)
{
    if (code == BIDE_E_DATA)
        bide_fail_within(error, "'%s'", key);
    return code;
}

typedef bide_code setter(bide_message *message, const char *text, bide_error *error);

static inline bide_code apply_field(
    const struct envelope *envelope, const json_t *object, const char *name, setter *set, size_t *seen)
{
    const json_t *value = set ? json_object_get(object, name) : NULL;
    if (!value)
        return BIDE_OK;
    ++*seen;
    return within_key(apply_text(envelope, value, set), name, envelope->error);
}

static bide_code apply_fields(const struct envelope *envelope, const json_t *object, size_t *seen)
{
    bide_code code = BIDE_OK;
#define APPLY(member, part, header, line, set)                                                               \
    if (code == BIDE_OK)                                                                                     \
        code = apply_field(envelope, object, #member, set, seen);
    BIDE_FIELDS(BIDE_FIELD_NONE, APPLY)
    return code;
}

static bide_code apply_keys(const struct envelope *envelope, const json_t *object)
{
    size_t seen = 1; /* type */
    bide_code code = apply_fields(envelope, object, &seen);
    for (size_t i = 0; code == BIDE_OK && i < N_KEYS; i++) {
        const json_t *value = json_object_get(object, keys[i].name);
        if (!value)
            continue;
        seen++;
        if (keys[i].not_with && json_object_get(object, keys[i].not_with))
            return bide_fail(
                envelope->error, BIDE_E_DATA, "both '%s' and '%s': give one", keys[i].name, keys[i].not_with);
        code = within_key(keys[i].apply(envelope, value), keys[i].name, envelope->error);
    }
    if (code == BIDE_OK)
        code = bide_message_check_unique(envelope->message, envelope->error);
    if (code != BIDE_OK)
        return code;
    return seen == json_object_size(object) ? BIDE_OK : refuse_unknown(object, envelope->error);
}

static bide_code begin(const json_t *object, struct bide_message **ret_message, bide_error *error)
{
    const char *type;
    const json_t *value = json_object_get(object, "type");
    if (!value) {
        bide_code code = refuse_unknown(object, error); /* perhaps it is only misspelt */
        return code != BIDE_OK ? code : bide_fail(error, BIDE_E_DATA, "'type' is missing");
    }
    bide_code code = text_of(value, &type, error);
    if (code == BIDE_OK)
        code = bide_message_create(type, ret_message, error);
    return within_key(code, "type", error);
}

static bide_code build(struct envelope *envelope, const json_t *object, struct bide_message **ret_message)
{
    bide_code code = begin(object, &envelope->message, envelope->error);
    if (code == BIDE_OK)
        code = apply_keys(envelope, object);
    if (code == BIDE_OK)
        *ret_message = envelope->message;
    else
        bide_message_destroy(envelope->message);
    return code;
}

static json_t *load(const char *text, size_t size, bide_error *error)
{
    json_error_t why;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    const char *nul = memchr(text, 0, size);
    if (nul) { /* jansson leaves it out after a number */
        bide_fail(error, BIDE_E_DATA, "not valid JSON: a zero byte (byte %td)", nul - text);
        return NULL;
    }
    json_t *object = json_loadb(text, size, flags, &why);
    /* Integers beyond 64 bits are fine in a body, which is taken as it is written. */
    if (!object && json_error_code(&why) == json_error_numeric_overflow)
        object = json_loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, &why);
    if (!object && !*why.text) /* how jansson mostly says that memory has run out */
        nomem(error);
    else if (!object)
        bide_fail(error, BIDE_E_DATA, "not valid JSON: %s (byte %d)", why.text, why.position);
    return object;
}

/* Most of a line is its body, and jansson reads character by character. A long one that needs no decoding is
 * left out of what jansson sees: an empty string stands in its place, so that what is valid stays valid, and
 * what is not, not. Where jansson finds a mistake, it is shown the whole, for its words. */
static json_t *load_around_body(const char *text, size_t size, struct bide_slice *ret_body)
{
    struct bide_slice body;
    char line[SHORT_LINE];
    if (!bide_json_member(text, size, "body", &body) || body.size < LONG_BODY + 2 ||
        size - body.size > sizeof line - 2 || !bide_json_plain_string(body.bytes, body.size))
        return NULL;
    size_t before = (size_t)(body.bytes - text) + 1, after = size - before - (body.size - 2);
    memcpy(line, text, before); /* with the quote */
    memcpy(line + before, text + size - after, after);
    *ret_body = (struct bide_slice){body.bytes + 1, body.size - 2};
    if (memchr(line, 0, before + after))
        return NULL;
    return json_loadb(line, before + after, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

bide_code bide_envelope_parse(
    const char *text, size_t size, struct bide_message **ret_message, bide_error *error)
{
    bide_error local = {0};
    struct bide_slice body;
    struct envelope envelope = {.text = text, .size = size, .error = &local};
    json_t *object = load_around_body(text, size, &body);
    if (object)
        envelope.plain_body = &body;
    else
        object = load(text, size, &local);
    bide_code code = local.code;
    if (object && !json_is_object(object))
        code = bide_fail(&local, BIDE_E_DATA, "a line must be a JSON object: {\"type\": …}");
    else if (object)
        code = build(&envelope, object, ret_message);
    json_decref(object);
    return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", local.text);
}

/* The content type is always there, the others where they were given. */
static void add_given(struct bide_buffer *to, const struct bide_message *message)
{
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        const struct bide_field *field = &bide_fields[i];
        if (field->part != BIDE_PART_GIVEN || field->kind != BIDE_KIND_TEXT)
            continue;
        const char *text = bide_field_text(message, field);
        if (!*text && i != BIDE_FIELD_content_type)
            continue;
        bide_buffer_format(to, "\"%s\":", field->name);
        bide_json_quote(to, text, strlen(text));
        bide_buffer_char(to, ',');
    }
}

void bide_envelope_add_content(struct bide_buffer *to, const struct bide_message *message)
{
    add_given(to, message);
    bide_buffer_text(to, "\"headers\":{");
    for (size_t i = 0; i < message->n_headers; i++) {
        bide_buffer_text(to, i ? "," : "");
        bide_json_quote(to, message->headers[i].name, strlen(message->headers[i].name));
        bide_buffer_char(to, ':');
        bide_json_quote(to, message->headers[i].value, strlen(message->headers[i].value));
    }
    bide_buffer_text(to, "},");
    if (bide_utf8_valid(message->body, message->body_size)) {
        bide_buffer_text(to, "\"body\":");
        bide_json_quote(to, message->body, message->body_size);
    } else {
        bide_buffer_text(to, "\"body_base64\":\"");
        bide_base64_encode(to, message->body, message->body_size);
        bide_buffer_char(to, '"');
    }
}
