/* A spool that is full, damaged, locked, or of which somebody pulls the plug: nothing is confirmed that is
 * not stored, and each says so. */
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit/spool_stage.h"

/* ---- the disk, as SQLite sees it: these stand in the place of the C library's ---- */

static struct {
    char unsynced[256]; /* the name of a log that was written and not synced since; "": none */
    size_t syncs;
    bool full;
    int64_t room; /* what is free; 0: enough; -1: this file system does not tell */
} disk;

static void name_of(int fd, char *to, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, to, size - 1);
    to[n > 0 ? n : 0] = '\0';
}

BIDE_API ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    char name[sizeof disk.unsynced];
    name_of(fd, name, sizeof name);
    if (strstr(name, "out.db-wal") && disk.full) {
        errno = ENOSPC;
        return -1;
    }
    if (strstr(name, "out.db-wal"))
        memcpy(disk.unsynced, name, sizeof name);
    return syscall(SYS_pwrite64, fd, bytes, size, at);
}

BIDE_API int fdatasync(int fd)
{
    char name[sizeof disk.unsynced];
    name_of(fd, name, sizeof name);
    if (strcmp(name, disk.unsynced) == 0) {
        disk.unsynced[0] = '\0';
        disk.syncs++;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

BIDE_API int statvfs(const char *path, struct statvfs *ret)
{
    (void)path;
    *ret = (struct statvfs){.f_frsize = 4096};
    if (disk.room >= 0) {
        ret->f_bavail = (fsblkcnt_t)(disk.room ? disk.room : INT64_C(1) << 40) / 4096;
        ret->f_blocks = INT64_C(1) << 30;
    }
    return 0;
}

/* ---- trouble with the spool ---- */

/* What would exceed it is refused, and told; there is room again when messages were carried. */
static void full(void **state)
{
    static const bide_spool small = {.mode = BIDE_SPOOL_ALWAYS, .max_bytes = 300 * 1024};
    char body[1000];
    struct bide_sender *sender = NULL;
    enum bide_sent result = BIDE_SENT_OK;
    bide_error error = {0};
    int n = 0;
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    assert_int_equal(open_with(*state, small, &sender, &error), BIDE_OK);
    while (n < 400 && send_some(sender, n, 1, body, &result, &error) == BIDE_OK)
        n++;
    assert_true(n > 50 && n < 300);
    assert_int_equal(error.code, BIDE_E_BROKER);
    assert_non_null(strstr(error.text, "is full"));
    assert_non_null(strstr(error.text, "spool.max"));
    assert_int_equal(result, BIDE_SENT_UNKNOWN);
    assert_int_equal(spooled("message"), n);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, (size_t)n);
    go_until_empty(relay);
    bide_relay_destroy(relay);
    assert_int_equal(send_some(sender, 0, 1, body, &result, &error), BIDE_OK);
    bide_sender_destroy(sender);
}

/* What is confirmed survives a power cut: its log was synced. */
static void synced_before_the_confirmation(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.away = 1;
    for (int i = 0; i < 20; i++) {
        size_t before = disk.syncs;
        send_ok(sender, i, 1);
        assert_true(disk.syncs > before);
        assert_string_equal(disk.unsynced, "");
    }
    bide_sender_destroy(sender);
}

static void disk_full(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    enum bide_sent result;
    bide_error error;
    target.away = 1;
    disk.full = true;
    bide_code code = send_some(sender, 0, 1, "x", &result, &error);
    disk.full = false;
    assert_int_equal(code, BIDE_E_BROKER);
    assert_non_null(strstr(error.text, "no room left on the disk"));
    assert_int_equal(result, BIDE_SENT_UNKNOWN);
    assert_int_equal(spooled("message"), 0);
    target.away = 1;
    send_ok(sender, 1, 1);
    assert_int_equal(spooled("message"), 1);
    bide_sender_destroy(sender);
}

/* Before it is full: on a full disk a relay could carry nothing, and so nobody would make room. */
static void disk_nearly_full(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_ALWAYS);
    enum bide_sent result;
    bide_error error;
    send_ok(sender, 0, 1);
    disk.room = 6 * MAX_BYTES;
    bide_code code = send_some(sender, 1, 1, "x", &result, &error);
    disk.room = 0;
    assert_int_equal(code, BIDE_E_BROKER);
    assert_non_null(strstr(error.text, "no room left on the disk"));
    assert_int_equal(result, BIDE_SENT_UNKNOWN);
    assert_int_equal(spooled("message"), 1);
    static const int64_t enough[] = {8 * MAX_BYTES, -1};
    for (int i = 0; i < 2; i++) {
        disk.room = enough[i];
        code = send_some(sender, 2 + i, 1, "x", &result, &error);
        disk.room = 0;
        assert_int_equal(code, BIDE_OK);
    }
    bide_sender_destroy(sender);
}

static void assert_told(struct stage *stage, const char *url, const char *what)
{
    struct bide_sender *sender = NULL;
    bide_error error = {0};
    assert_int_equal(open_with(stage, (bide_spool){.url = url}, &sender, &error), BIDE_E_CONFIG);
    if (!strstr(error.text, what))
        fail_msg("%s: %s", url, error.text);
}

/* open_with would put in its own. */
static void no_file_is_named(void **state)
{
    static const bide_spool nowhere = {.url = NULL};
    bide_producer *producer;
    bide_error error;
    (void)state;
    assert_int_equal(
        bide_producer_open_with_spool("redis://localhost", NULL, NULL, &nowhere, &producer, &error),
        BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "sqlite:FILE"));
}

static void files_that_are_none(void **state)
{
    FILE *text = fopen("text", "w");
    assert_non_null(text);
    for (int i = 0; i < 1000; i++)
        fprintf(text, "this is no database\n");
    assert_int_equal(fclose(text), 0);
    assert_told(*state, "sqlite:missing/out.db", "its folder must exist");
    assert_told(*state, "sqlite:text", "is not a SQLite database");
    assert_told(*state, "sqlite:.", "cannot be opened");
    assert_told(*state, "redis://localhost", "cannot be a spool");
    sql(*state, "CREATE TABLE orders(id)");
    assert_told(*state, "sqlite:shop.db", "another program's");
}

/* A damaged spool may hold messages that would be overtaken. */
static void damaged(void **state)
{
    char garbage[8192];
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    enum bide_sent result;
    bide_error error;
    target.away = 1;
    send_ok(sender, 0, 1);
    bide_sender_destroy(sender);
    sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    memset(garbage, 0x5A, sizeof garbage);
    FILE *file = fopen("out.db", "r+");
    assert_non_null(file);
    for (int page = 1; page < 40; page++) {
        assert_int_equal(fseek(file, page * 4096L, SEEK_SET), 0);
        assert_int_equal(fwrite(garbage, 4096, 1, file), 1);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(send_some(sender, 1, 1, "x", &result, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "damaged"));
    assert_int_not_equal(result, BIDE_SENT_OK);
    assert_int_equal(target.n, 0);
    bide_sender_destroy(sender);
}

/* Somebody removed it: the next message makes a new one, which others find. */
static void removed(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.away = 1;
    send_ok(sender, 0, 1);
    assert_int_equal(unlink("out.db") + unlink("out.db-wal") + unlink("out.db-shm"), 0);
    struct bide_sender *another = open_spool(*state, BIDE_SPOOL_ALWAYS);
    send_ok(another, 1, 1);
    send_ok(sender, 3, 1); /* at once: it is in the file that others read, or not confirmed */
    assert_int_equal(spooled("message"), 2);
    const struct timespec longer = {.tv_nsec = 120 * 1000 * 1000}; /* it looks ten times a second */
    nanosleep(&longer, NULL);
    send_ok(sender, 2, 1);
    assert_int_equal(target.n, 0);
    assert_int_equal(spooled("message"), 3);
    bide_sender_destroy(another);
    bide_sender_destroy(sender);
}

static void locked(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    enum bide_sent results[1];
    bide_error error;
    sqlite3 *db;
    bide_sender_destroy(sender);
    struct stage *stage = *state;
    struct bide_url url = {0};
    const struct bide_broker_options broker = {.name_space = "bide",
        .base_dir = stage->config->dir,
        .client_name = "test",
        .timeout_ms = 100,
        .clock = bide_clock_system()};
    const bide_spool spool = {.url = FILE_URL};
    assert_int_equal(bide_spool_open(&spool, &target_adapter, &broker, &url, &sender, &error), BIDE_OK);
    assert_int_equal(sqlite3_open("out.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    send_ok(sender, 0, 1); /* whoever only looks does not wait */
    target.away = 1;
    assert_int_equal(send_some(sender, 1, 1, "x", results, &error), BIDE_E_TIMEOUT);
    assert_non_null(strstr(error.text, "locked"));
    assert_non_null(strstr(error.text, "away"));
    assert_int_equal(results[0], BIDE_SENT_UNKNOWN);
    sqlite3_close(db);
    send_ok(sender, 2, 1);
    bide_sender_destroy(sender);
}

/* ---- no memory ---- */

/* Whatever cannot be allocated: what is confirmed is in the spool or with the broker, and the rest is told.
 */
static void no_memory(void **state)
{
    enum { N = 3 };
    struct alloc_count count = {.fail_at = 1};
    bide_message *messages[N];
    int64_t confirmed = 0;
    size_t whole = 0;
    bide_sender_destroy(open_spool(*state, BIDE_SPOOL_FALLBACK));
    for (int i = 0; i < N; i++)
        messages[i] = make_message((const char *[]){"a", "b", "c"}[i], "default", "x", 1);
    for (bool well = false; !well && count.fail_at <= 1000; count.fail_at++) {
        enum bide_sent results[N] = {BIDE_SENT_UNKNOWN};
        struct bide_sender *sender = NULL;
        target.halved = 1;
        size_t before = target.n;
        count.asked = 0;
        bide_alloc_set_hook(count_allocation, &count);
        bide_code code = open_with(*state, (bide_spool){.mode = count.fail_at % 2}, &sender, NULL);
        if (code == BIDE_OK)
            code = bide_sender_send(sender, messages, N, results, NULL);
        bide_sender_destroy(sender);
        bide_alloc_set_hook(NULL, NULL);
        well = count.asked < count.fail_at;
        size_t sent = 0;
        for (int i = 0; i < N; i++)
            sent += results[i] == BIDE_SENT_OK;
        confirmed += (int64_t)(sent - (target.n - before));
        assert_int_equal(spooled("message"), confirmed);
        assert_true((code == BIDE_OK) == (sent == N));
        whole += code == BIDE_OK;
    }
    assert_true(count.fail_at > 11 && whole > 0);
    for (int i = 0; i < N; i++)
        bide_message_destroy(messages[i]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, raise_stage, strike_stage)

static const struct CMUnitTest tests[] = {
    CASE(full),
    CASE(synced_before_the_confirmation),
    CASE(disk_full),
    CASE(disk_nearly_full),
    CASE(no_file_is_named),
    CASE(files_that_are_none),
    CASE(damaged),
    CASE(removed),
    CASE(locked),
    CASE(no_memory),
};

UNIT_MAIN(tests)
