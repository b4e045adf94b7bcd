/* A dead letter with whatever a producer put into it, as `bide dead show` and the console show it: no control
 * character comes out, and JSON is JSON. The input's lines are the letter's fields. */
#include "fuzz/fuzz.h"

#include <jansson.h>

#include "broker/report.h"
#include "cli/commands/dead.h"
#include "fuzz/unseen.h"

enum { FIELDS = 11 };

/* Cuts off the next field; 0x1F ends one, so that it may hold newlines. */
static char *next_field(char **rest)
{
    char *field = *rest, *end = strchr(field, 0x1F);
    *rest = end ? end + 1 : field + strlen(field);
    if (end)
        *end = '\0';
    return field;
}

static void check_text(const struct bide_dead_letter *letter)
{
    struct bide_buffer shown;
    bide_buffer_init(&shown);
    bide_cli_dead_text(&shown, letter);
    HOLDS(!shown.failed && !has_unseen(shown.bytes, shown.size, true));
    bide_buffer_release(&shown);
}

static void check_json(const struct bide_dead_letter *letter, bool whole)
{
    struct bide_buffer json;
    bide_buffer_init(&json);
    bide_buffer_char(&json, '{');
    (whole ? bide_report_dead_whole : bide_report_dead)(&json, letter);
    bide_buffer_char(&json, '}');
    HOLDS(!json.failed && !has_unseen(json.bytes, json.size, true) && !strchr(json.bytes, '\n'));
    json_error_t why;
    json_t *value = json_loadb(json.bytes, json.size, JSON_ALLOW_NUL, &why);
    HOLDS(value || strstr(why.text, "maximum parsing depth") || strstr(why.text, "too big") ||
          strstr(why.text, "real number overflow"));
    json_decref(value);
    bide_buffer_release(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *input = text_of_input(bytes, size), *rest = input, *fields[FIELDS];
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = next_field(&rest);
    struct bide_header headers[] = {{fields[5], fields[6]}};
    struct bide_message message = {.id = fields[0],
        .type = fields[1],
        .queue = fields[2],
        .content_type = fields[3],
        .error = fields[4],
        .headers = headers,
        .n_headers = 1,
        .failures = fields[7],
        .unique = fields[9],
        .generation = fields[10],
        .body = fields[8],
        .body_size = strlen(fields[8]),
        .attempt = (int)size,
        .due_ms = (int64_t)size << 40};
    const struct bide_dead_letter letter = {
        .message = &message, .reason = BIDE_REASON_REJECTED, .died_ms = 1};
    check_text(&letter);
    check_json(&letter, false);
    check_json(&letter, true);
    free(input);
    return 0;
}
