#include "limits/limit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/units.h"

/* "GENERATION N WINDOW_MS CONCURRENCY" */
size_t bide_limit_terms_write(const struct bide_limit_terms *terms, char to[BIDE_LIMIT_TERMS_TEXT])
{
    return (size_t)snprintf(to, BIDE_LIMIT_TERMS_TEXT, "%" PRIu32 " %" PRId64 " %" PRId64 " %" PRId64,
        terms->generation, terms->rate.n, terms->rate.window_ms, terms->concurrency);
}

static bool read_numbers(struct bide_slice data, int64_t numbers[4])
{
    char text[BIDE_LIMIT_TERMS_TEXT] = "", *at = text;
    if (data.size >= sizeof text)
        return false;
    memcpy(text, data.bytes, data.size);
    for (size_t i = 0; i < 4; i++) {
        char *end;
        numbers[i] = strtoll(at, &end, 10);
        if (end == at || numbers[i] < 0)
            return false;
        at = end;
    }
    return *at == '\0' && (numbers[1] == 0 || numbers[2] > 0);
}

struct bide_limit_terms bide_limit_terms(const struct bide_shared_limit_config *limit, struct bide_slice data)
{
    struct bide_limit_terms terms = {.rate = limit->rate, .concurrency = limit->concurrency};
    int64_t numbers[4];
    if (data.size == 0)
        return terms;
    if (!read_numbers(data, numbers)) { /* damaged: as configured, and apart from what was before */
        terms.generation = bide_hash_more(BIDE_HASH_BEGIN, data.bytes, data.size);
        return terms;
    }
    terms.generation = (uint32_t)numbers[0];
    if (limit->rate.n && numbers[1])
        terms.rate = (struct bide_rate){numbers[1], numbers[2]};
    if (limit->concurrency && numbers[3])
        terms.concurrency = numbers[3];
    return terms;
}

int64_t bide_limit_interval_us(const struct bide_rate *rate)
{
    if (rate->n == 0)
        return 0;
    return (rate->window_ms * 1000 + BIDE_LIMIT_LATE_US + rate->n - 1) / rate->n;
}

/* ---- keys ---- */

static const char *after(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

/* A token of a JSON pointer (RFC 6901): "~1" is '/', "~0" is '~'. Returns where the next one begins. */
static const char *take_token(const char *pointer, char *to, size_t room)
{
    size_t n = 0;
    for (; *pointer && *pointer != '/'; pointer++) {
        char c = *pointer;
        if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
            c = *++pointer == '0' ? '~' : '/';
        if (n + 1 < room)
            to[n++] = c;
    }
    to[n] = '\0';
    return pointer;
}

static json_t *element(const json_t *array, const char *token)
{
    int64_t index;
    return bide_parse_int(token, 0, INT32_MAX, &index, NULL) == BIDE_OK ? json_array_get(array, (size_t)index)
                                                                        : NULL;
}

static json_t *point(json_t *value, const char *pointer)
{
    char token[BIDE_STORE_USER_KEY_MAX];
    while (value && *pointer == '/') {
        pointer = take_token(pointer + 1, token, sizeof token);
        value = json_is_array(value) ? element(value, token) : json_object_get(value, token);
    }
    return value;
}

static void copy_key(char to[BIDE_LIMIT_KEY_TEXT], const char *text, size_t size)
{
    bool plain = size < BIDE_LIMIT_KEY_TEXT;
    for (size_t i = 0; i < size && plain; i++)
        plain = (unsigned char)text[i] > ' ' && text[i] != 0x7F;
    if (plain)
        memcpy(to, text, size);
    to[plain ? size : 0] = '\0';
    if (!plain)
        snprintf(to, BIDE_LIMIT_KEY_TEXT, "#%08" PRIx32 "%08" PRIx32,
            bide_hash_more(BIDE_HASH_BEGIN, text, size), bide_hash_more(~BIDE_HASH_BEGIN, text, size));
}

/* A string, a number or a boolean; what else there may be, is no key. */
static void key_of_body(const struct bide_message *message, const char *pointer, char to[BIDE_LIMIT_KEY_TEXT])
{
    enum { NUMBER_TEXT = 64 };
    char text[NUMBER_TEXT];
    json_t *body = json_loadb(message->body, message->body_size, JSON_DECODE_ANY, NULL);
    json_t *value = point(body, pointer);
    if (json_is_string(value)) {
        copy_key(to, json_string_value(value), json_string_length(value));
    } else if (json_is_number(value) || json_is_boolean(value)) {
        size_t size = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY);
        copy_key(to, text, size < sizeof text ? size : 0);
    }
    json_decref(body);
}

void bide_limit_key(const struct bide_shared_limit_config *limit, const struct bide_message *message,
    char to[BIDE_LIMIT_KEY_TEXT])
{
    const char *key = limit->key ? limit->key : "", *name = after(key, "header:"),
               *pointer = after(key, "json:"), *text = "";
    *to = '\0';
    if (pointer) {
        key_of_body(message, pointer, to);
        return;
    }
    if (name)
        text = bide_message_header(message, name);
    else if (strcmp(key, "type") == 0)
        text = message->type;
    else if (strcmp(key, "queue") == 0)
        text = message->queue;
    if (text && *text)
        copy_key(to, text, strlen(text));
}

void bide_limit_name(const char *name, uint32_t generation, const char *key, char to[BIDE_LIMIT_NAME_TEXT])
{
    snprintf(to, BIDE_LIMIT_NAME_TEXT, BIDE_LIMIT_TICKETS "%s:%" PRIu32 "/%s", name, generation, key);
}

/* Two messages of one id were seldom sent in the same millisecond; if they were, one of them asks twice. */
void bide_limit_ticket(const struct bide_message *message, char to[BIDE_LIMIT_TICKET_TEXT])
{
    uint64_t parts[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t low = BIDE_HASH_BEGIN + i, high = ~low;
        const char *const texts[] = {message->queue, message->type, message->id};
        for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
            low = bide_hash_more(low, texts[j], strlen(texts[j]) + 1);
            high = bide_hash_more(high, texts[j], strlen(texts[j]) + 1);
        }
        low = bide_hash_more(low, &message->sent_ms, sizeof message->sent_ms);
        parts[i] = (uint64_t)high << 32 | low;
    }
    snprintf(to, BIDE_LIMIT_TICKET_TEXT, "%016" PRIx64 "%016" PRIx64, parts[0], parts[1]);
}

/* ---- clocks ---- */

enum { DRIFT_SHARE = 10000 }; /* two clocks drift apart by at most 1 µs in so many */

void bide_limit_clock_saw(struct bide_limit_clock *clock, int64_t at_us, int64_t began_us, int64_t ended_us)
{
    int64_t low_us = at_us - ended_us, high_us = at_us - began_us;
    int64_t drift_us = clock->seen_us ? (ended_us - clock->seen_us) / DRIFT_SHARE + 1 : 0;
    int64_t old_low_us = clock->low_us - drift_us, old_high_us = clock->high_us + drift_us;
    bool fits = clock->seen_us && old_low_us <= high_us && low_us <= old_high_us;
    if (fits) { /* else a clock was set */
        low_us = low_us > old_low_us ? low_us : old_low_us;
        high_us = high_us < old_high_us ? high_us : old_high_us;
    }
    *clock = (struct bide_limit_clock){low_us, high_us, ended_us};
}

struct bide_limit_span bide_limit_span(const struct bide_limit_clock *clock, int64_t permit_us)
{
    return (struct bide_limit_span){
        permit_us - clock->low_us, permit_us - clock->high_us + BIDE_LIMIT_LATE_US};
}
