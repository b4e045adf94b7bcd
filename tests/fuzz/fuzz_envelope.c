/* Lines of `bide send --lines`: what is taken keeps the rules, and what is shown of it reads as the same. */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "base/json.h"
#include "base/names.h"
#include "base/utf8.h"
#include "message/envelope.h"

static void check_rules(const struct bide_message *message)
{
    HOLDS(bide_name_valid(message->type));
    HOLDS(!*message->queue || bide_queue_name_valid(message->queue));
    HOLDS(strlen(message->id) <= BIDE_ID_MAX && strlen(message->content_type) <= 255);
    HOLDS(message->n_headers <= BIDE_HEADERS_MAX);
    for (size_t i = 0; i < message->n_headers; i++)
        HOLDS(strncmp(message->headers[i].name, "bide-", 5) != 0);
    HOLDS(message->delay_ms >= -1 && message->delay_ms <= BIDE_DELAY_MAX_MS);
    HOLDS(message->expires_after_ms >= 0 && message->expires_after_ms <= BIDE_DELAY_MAX_MS);
    HOLDS(message->due_ms >= 0 && ((const char *)message->body)[message->body_size] == '\0');
}

static bool same_content(const struct bide_message *a, const struct bide_message *b)
{
    if (a->body_size != b->body_size || memcmp(a->body, b->body, a->body_size) != 0 ||
        a->n_headers != b->n_headers || strcmp(a->content_type, b->content_type) != 0)
        return false;
    for (size_t i = 0; i < a->n_headers; i++) {
        const char *value = bide_message_header(b, a->headers[i].name);
        if (!value || strcmp(value, a->headers[i].value) != 0)
            return false;
    }
    return true;
}

/* {"type":…, and what bide_envelope_add_content writes} is a line again. */
static void check_there_and_back(const struct bide_message *message)
{
    struct bide_buffer line;
    struct bide_message *back = NULL;
    bide_error error;
    bide_buffer_init(&line);
    bide_buffer_text(&line, "{\"type\":");
    bide_json_quote(&line, message->type, strlen(message->type));
    bide_buffer_char(&line, ',');
    bide_envelope_add_content(&line, message);
    bide_buffer_char(&line, '}');
    HOLDS(!line.failed && bide_utf8_valid(line.bytes, line.size) && !memchr(line.bytes, '\n', line.size));
    if (bide_envelope_parse(line.bytes, line.size, &back, &error) != BIDE_OK)
        fprintf(stderr, "%s\n%s\n", error.text, line.bytes);
    HOLDS(back && same_content(message, back));
    bide_message_destroy(back);
    bide_buffer_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct bide_message *message = NULL;
    bide_error error = {.text = ""};
    bide_code code = bide_envelope_parse((const char *)bytes, size, &message, &error);
    HOLDS(code == BIDE_OK ? message != NULL : code == BIDE_E_DATA && !message && error.text[0]);
    if (code != BIDE_OK)
        return 0;
    check_rules(message);
    check_there_and_back(message);
    HOLDS(bide_message_stamp(message, "default", bide_clock_system(), &error) == BIDE_OK ||
          error.code == BIDE_E_DATA);
    bide_message_destroy(message);
    return 0;
}
