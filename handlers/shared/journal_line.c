#include "journal_line.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal {
    pthread_mutex_t lock; /* held while writing: a line of another thread must not follow half a line */
    int fd;
    bool torn;          /* half a line may stand at the file's end */
    int64_t checked_us; /* when the path was last compared with the open file */
    char path[PATH_MAX];
};

enum { CHECK_US = 100 * 1000 };

/* An id of BIDE_ID_MAX bytes, type and queue of BIDE_NAME_MAX, each byte as \u00XX, and the numbers. */
enum { LINE_SIZE = (BIDE_ID_MAX + 2 * BIDE_NAME_MAX) * 6 + 512 };

struct line {
    size_t size;
    char bytes[LINE_SIZE]; /* the first one is a newline, for the case that the file ends in half a line */
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
    put_text(line, "\n");
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

/* The last byte tells whether somebody (of whichever process) could not end its line. */
static bool ends_in_half_a_line(const char *path)
{
    struct stat status;
    char last = '\n';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return true; /* better an empty line too many */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        pread(fd, &last, 1, status.st_size - 1) != 1)
        last = '\0';
    close(fd);
    return last != '\n';
}

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

/* After rotation the path is another file's, or nobody's. Where that cannot be opened, the old one goes on.
 */
static void follow_path(struct journal *journal, int64_t now_us)
{
    struct stat named, open_one;
    if (now_us - journal->checked_us < CHECK_US && now_us >= journal->checked_us)
        return;
    journal->checked_us = now_us;
    if (fstat(journal->fd, &open_one) == 0 && stat(journal->path, &named) == 0 &&
        named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino)
        return;
    int fd = open_path(journal->path);
    if (fd < 0)
        return;
    close(journal->fd);
    journal->fd = fd;
    journal->torn = ends_in_half_a_line(journal->path);
}

/* A part of a line is written where the disk is full. The whole line is then tried again behind a newline:
 * its rest could come behind the line of another process. */
static bide_code write_line(struct journal *journal, const struct line *line, bide_error *error)
{
    for (;;) {
        if (journal->torn)
            journal->torn = ends_in_half_a_line(journal->path);
        size_t skip = journal->torn ? 0 : 1, size = line->size - skip;
        ssize_t written = write(journal->fd, line->bytes + skip, size);
        if (written == (ssize_t)size) {
            journal->torn = false;
            return BIDE_OK;
        }
        if (written < 0 && errno == EINTR)
            continue;
        journal->torn = true;
        if (written < 0)
            return bide_fail(error, BIDE_E_DATA, "cannot write to %s: %s", journal->path, strerror(errno));
    }
}

bide_code journal_write(struct journal *journal, const bide_message *message, const bide_context *context,
    const char *outcome, bide_error *error)
{
    struct line line;
    format(&line, message, context, outcome);
    pthread_mutex_lock(&journal->lock);
    follow_path(journal, bide_started_us(context));
    bide_code code = write_line(journal, &line, error);
    pthread_mutex_unlock(&journal->lock);
    return code;
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
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = set_path(journal, settings, error);
    if (code == BIDE_OK) {
        journal->fd = open_path(journal->path);
        if (journal->fd < 0)
            code = bide_fail(error, BIDE_E_CONFIG, "cannot open %s for appending: %s (setting 'path')",
                journal->path, strerror(errno));
    }
    if (code != BIDE_OK) {
        free(journal);
        return code;
    }
    pthread_mutex_init(&journal->lock, NULL);
    journal->torn = true; /* to be looked at by the first line */
    *ret_journal = journal;
    return BIDE_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}
