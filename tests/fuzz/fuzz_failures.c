/* The record of failures, as anybody may have written it: what is read is in bounds, one more can always be
 * added, and what is written again is JSON and short enough to travel. */
#include "fuzz/fuzz.h"

#include <jansson.h>

#include "base/alloc.h"
#include "message/failures.h"

static void check_read(const char *text)
{
    struct bide_failures failures;
    bide_failures_read(&failures, text);
    HOLDS(failures.n <= BIDE_FAILURES_MAX);
    for (size_t i = 0; i < failures.n; i++)
        HOLDS(failures.items[i].attempt >= 0 && failures.items[i].error);
    bide_failures_release(&failures);
}

static void check_written(const char *text)
{
    struct bide_buffer json;
    bide_buffer_init(&json);
    bide_failures_write(&json, text);
    json_t *value = json_loadb(json.bytes, json.size, 0, NULL);
    HOLDS(json_is_array(value) && json_array_size(value) <= BIDE_FAILURES_MAX);
    json_decref(value);
    bide_buffer_release(&json);
}

static void check_added(const char *text)
{
    const struct bide_failure failure = {.attempt = 7, .at_ms = 1, .error = text};
    struct bide_failures after;
    char *longer = bide_failures_add(text, &failure);
    HOLDS(longer && strlen(longer) <= BIDE_FAILURES_TEXT_MAX);
    bide_failures_read(&after, longer);
    HOLDS(after.n >= 1 && after.items[after.n - 1].attempt == 7);
    bide_failures_release(&after);
    bide_free(longer);
}

static void check_headline(const char *text)
{
    size_t size;
    const char *line = bide_failure_headline(text, &size);
    HOLDS(line >= text && line + size <= text + strlen(text) && !memchr(line, '\n', size));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    check_read(text);
    check_written(text);
    check_added(text);
    check_headline(text);
    free(text);
    return 0;
}
