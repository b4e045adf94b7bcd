#include "journal_line.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct journal {
    int fd;
    char path[PATH_MAX];
};

/* An id of BIDE_ID_MAX bytes, type and queue of BIDE_NAME_MAX, each byte as \u00XX, and the numbers. */
enum { LINE_SIZE = (BIDE_ID_MAX + 2 * BIDE_NAME_MAX) * 6 + 512 };

struct line {
    size_t size;
    char bytes[LINE_SIZE];
};

static void put(struct line *line, const char *bytes, size_t size)
{
    if (size > sizeof line->bytes - line->size)
        return;
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_int(struct line *line, const char *key, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    put_text(line, key);
    put(line, at, (size_t)(digits + sizeof digits - at));
}

/* Needs no escape in JSON. */
static bool plain(const char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text == 0x7F || *text == '"' || *text == '\\')
            return false;
    return true;
}

/* What is not UTF-8 is shown with '?' for each byte outside ASCII. */
static json_t *forced_string(const char *text)
{
    char ascii[BIDE_ID_MAX + 1];
    size_t size = strnlen(text, BIDE_ID_MAX);
    for (size_t i = 0; i < size; i++)
        ascii[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    return json_stringn(ascii, size);
}

static void put_escaped(struct line *line, const char *text)
{
    json_t *string = json_string(text);
    if (!string)
        string = forced_string(text);
    size_t room = sizeof line->bytes - line->size;
    size_t size = json_dumpb(string, line->bytes + line->size, room, JSON_ENCODE_ANY);
    if (size > 0 && size <= room)
        line->size += size;
    else
        put_text(line, "null");
    json_decref(string);
}

static void put_string(struct line *line, const char *key, const char *text)
{
    put_text(line, key);
    if (!plain(text) || strlen(text) > BIDE_ID_MAX) {
        put_escaped(line, text);
        return;
    }
    put_text(line, "\"");
    put_text(line, text);
    put_text(line, "\"");
}

static void format(
    struct line *line, const bide_message *message, const bide_context *context, const char *outcome)
{
    int64_t due_ms = bide_message_due_ms(message), sent_ms = bide_message_sent_ms(message);
    int64_t started_us = bide_started_us(context);
    size_t body_bytes;
    bide_message_body(message, &body_bytes);
    line->size = 0;
    put_string(line, "{\"id\":", bide_message_id(message));
    put_string(line, ",\"type\":", bide_message_type(message));
    put_string(line, ",\"queue\":", bide_message_queue(message));
    put_int(line, ",\"attempt\":", bide_message_attempt(message));
    put_int(line, ",\"due_ms\":", due_ms);
    put_int(line, ",\"sent_ms\":", sent_ms);
    put_int(line, ",\"started_us\":", started_us);
    put_int(line, ",\"lateness_us\":", started_us - (due_ms > sent_ms ? due_ms : sent_ms) * 1000);
    put_int(line, ",\"worker_pid\":", getpid());
    put_string(line, ",\"outcome\":", outcome);
    put_int(line, ",\"body_bytes\":", (int64_t)body_bytes);
    put_text(line, "}\n");
}

bide_code journal_write(struct journal *journal, const bide_message *message, const bide_context *context,
    const char *outcome, bide_error *error)
{
    struct line line;
    format(&line, message, context, outcome);
    for (size_t done = 0; done < line.size;) { /* one round, but for a full disk */
        ssize_t written = write(journal->fd, line.bytes + done, line.size - done);
        if (written < 0 && errno != EINTR)
            return bide_fail(error, BIDE_E_DATA, "cannot write to %s: %s", journal->path, strerror(errno));
        if (written > 0)
            done += (size_t)written;
    }
    return BIDE_OK;
}

static bide_code set_path(struct journal *journal, const bide_settings *settings, bide_error *error)
{
    const char *path = bide_settings_string(settings, "path");
    int size = path[0] == '/' ? snprintf(journal->path, sizeof journal->path, "%s", path)
                              : snprintf(journal->path, sizeof journal->path, "%s/%s",
                                    bide_settings_dir(settings), path);
    if (size < 0 || (size_t)size >= sizeof journal->path)
        return bide_fail(error, BIDE_E_CONFIG, "setting 'path' is too long: %.80s…", path);
    return BIDE_OK;
}

bide_code journal_open(const bide_settings *settings, struct journal **ret_journal, bide_error *error)
{
    struct journal *journal = malloc(sizeof *journal);
    if (!journal)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = set_path(journal, settings, error);
    if (code == BIDE_OK) {
        journal->fd = open(journal->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (journal->fd < 0)
            code = bide_fail(error, BIDE_E_CONFIG, "cannot open %s for appending: %s (setting 'path')",
                journal->path, strerror(errno));
    }
    if (code != BIDE_OK) {
        free(journal);
        return code;
    }
    *ret_journal = journal;
    return BIDE_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal);
}
