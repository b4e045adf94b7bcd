/* What shows foreign text to people lets no control character out, in lines, errors, logs and JSON; JSON
 * stays JSON, and says the same. */
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"
#include "base/visible.h"
#include "bide/error.h"
#include "bide/log.h"
#include "fuzz/unseen.h"

static void check_lines(const char *text, size_t size, bool lines)
{
    struct bide_buffer shown;
    bide_buffer_init(&shown);
    bide_visible_add(&shown, text, size, lines);
    HOLDS(!has_unseen(shown.bytes, shown.size, lines) && bide_utf8_valid(shown.bytes, shown.size));
    HOLDS(lines || !memchr(shown.bytes, '\n', shown.size));
    bide_buffer_release(&shown);
}

static void check_error(const char *text)
{
    bide_error error;
    bide_fail(&error, BIDE_E_DATA, "%s", text);
    HOLDS(!has_unseen(error.text, strlen(error.text), false) && !strchr(error.text, '\n'));
    bide_fail_within(&error, "%s", text);
    HOLDS(!has_unseen(error.text, strlen(error.text), false) && !strchr(error.text, '\n'));
}

static void check_json(const char *text, size_t size)
{
    struct bide_buffer json;
    bide_buffer_init(&json);
    bide_json_quote(&json, text, size);
    HOLDS(!has_unseen(json.bytes, json.size, false));
    json_t *value = json_loadb(json.bytes, json.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    HOLDS(value);
    if (bide_utf8_valid(text, size))
        HOLDS(json_string_length(value) == size && memcmp(json_string_value(value), text, size) == 0);
    json_decref(value);
    bide_buffer_release(&json);
}

/* A body that is JSON stands in a letter as it came. */
static void check_body(const char *text, size_t size)
{
    bool zero = memchr(text, 0, size); /* never JSON, but jansson leaves it out after a number */
    json_t *before = zero ? NULL : json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct bide_buffer json;
    bide_buffer_init(&json);
    bide_buffer_text(&json, "before\n");
    bide_buffer_add(&json, text, size);
    bide_visible_json(&json, 7);
    HOLDS(!has_unseen(json.bytes, json.size, true));
    if (before) {
        json_t *after = json_loadb(json.bytes + 7, json.size - 7, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        HOLDS(after && json_equal(before, after));
        json_decref(after);
    }
    json_decref(before);
    bide_buffer_release(&json);
}

/* The program's own sink, to a file: lines of JSON. */
static void check_log(const char *text)
{
    static int file = -1;
    char line[32 * 1024];
    int terminal = dup(STDERR_FILENO);
    if (file < 0)
        file = memfd_create("log", MFD_CLOEXEC);
    HOLDS(file >= 0 && terminal >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
    dup2(file, STDERR_FILENO);
    bide_log(BIDE_LOG_ERROR, text, BIDE_STR("field", text));
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    ssize_t size = pread(file, line, sizeof line, 0);
    HOLDS(size > 0 && !has_unseen(line, (size_t)size, false) &&
          memchr(line, '\n', (size_t)size) == line + size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    check_lines(text, size, false);
    check_lines(text, size, true);
    check_error(text);
    check_json(text, size);
    check_body(text, size);
    if (size < 4096)
        check_log(text);
    free(text);
    return 0;
}
