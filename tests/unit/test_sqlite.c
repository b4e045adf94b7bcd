/* The SQLite adapter and its file: refused, full, removed. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker/adapters.h"
#include "sqlite_place.h"

/* ---- files that cannot be used ---- */

/* Every way to open a file refuses it, with this code and words in the text. */
static void expect_refusal(const struct bide_broker_options *options, bide_code code, const char *words)
{
    struct bide_sender *sender;
    struct bide_receiver *receiver;
    bide_error error;
    assert_int_equal(bide_sqlite_open_sender(options, &sender, &error), code);
    assert_non_null(strstr(error.text, words));
    assert_int_equal(bide_sqlite_open_receiver(options, &receiver, &error), code);
    assert_non_null(strstr(error.text, words));
}

/* Nobody but the owner and the group may read messages, whatever umask lets others read elsewhere. */
static void test_file_modes(void **state)
{
    (void)state;
    static const struct {
        mode_t umask, wanted;
    } rows[] = {{022, 0640}, {0, 0660}, {077, 0600}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct temp_dir dir;
        struct bide_url url;
        char text[TEMP_DIR_PATH + 32], path[TEMP_DIR_PATH + 32];
        bide_error error = {0};
        assert_int_equal(temp_dir_create(&dir), 0);
        snprintf(text, sizeof text, "sqlite:%s/m.db", dir.path);
        assert_ok(bide_url_parse(text, &url, &error), &error);
        const struct bide_broker_options options = {.url = &url,
            .name_space = "bide",
            .timeout_ms = 1000,
            .clock = bide_clock_system(),
            .max_body = 1000};
        struct bide_sender *sender;
        mode_t before = umask(rows[i].umask);
        assert_ok(bide_sqlite_adapter.open_sender(&options, &sender, &error), &error);
        umask(before);
        static const char *const files[] = {"m.db", "m.db-lock", "m.db-wal", "m.db-shm"};
        for (size_t j = 0; j < COUNT_OF(files); j++) {
            struct stat status;
            snprintf(path, sizeof path, "%s/%s", dir.path, files[j]);
            if (stat(path, &status) == 0)
                assert_int_equal(status.st_mode & 07777, rows[i].wanted);
            else
                assert_true(j >= 2);
        }
        bide_sender_destroy(sender);
        bide_url_clear(&url);
        temp_dir_remove(&dir);
    }
}

static void test_newer_schema(void **state)
{
    struct place *place = *state;
    bide_sender_destroy(open_sender(place));
    meddle(place, "PRAGMA user_version = 99");
    expect_refusal(&place->options, BIDE_E_CONFIG, "schema version 99");
    assert_int_equal(ask(place, "PRAGMA user_version"), 99);
}

static void test_not_a_database(void **state)
{
    struct place *place = *state;
    char path[TEMP_DIR_PATH];
    struct stat status;
    assert_int_equal(
        temp_dir_write(&place->dir, "bide.db", "#!/bin/sh\nexit 0 # and some more text\n", path), 0);
    expect_refusal(&place->options, BIDE_E_CONFIG, "is not a SQLite database");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 38);
}

static void test_database_of_another_program(void **state)
{
    struct place *place = *state;
    meddle(place, "CREATE TABLE invoice(number INTEGER)");
    expect_refusal(&place->options, BIDE_E_CONFIG, "another program's");
    assert_int_equal(ask(place, "SELECT count(*) FROM sqlite_master"), 1);
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *words;
    } rows[] = {
        {"sqlite:", "no file"},
        {"sqlite:some/folder/", "no file"},
        {"sqlite::memory:", "in memory"},
        {"sqlite://host/bide.db", "has no host"},
        {"sqlite:///tmp/bide.db", "has no host"},
        {"sqlite:bide.db?synchronous=off", "full"},
        {"sqlite:bide.db?synchronus=full", "did you mean 'synchronous'"},
        {"sqlite:/no/such/folder/bide.db", "folder must exist"},
    };
    struct place *place = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_url url;
        bide_error error;
        struct bide_broker_options options = place->options;
        options.url = &url;
        assert_ok(bide_url_parse(rows[i].url, &url, &error), &error);
        expect_refusal(&options, BIDE_E_CONFIG, rows[i].words);
        bide_url_clear(&url);
    }
}

static bool count_letter(void *user, const struct bide_dead_letter *letter)
{
    (void)letter;
    ++*(int *)user;
    return true;
}

/* Looking at a database that is not there yet is no failure; at one that cannot be there, it is. */
static void test_looking_at_nothing(void **state)
{
    static const struct {
        const char *url;
        bide_code code;
    } rows[] = {
        {"sqlite:/no/such/folder/bide.db", BIDE_E_BROKER},
        {"sqlite:/dev/null/bide.db", BIDE_E_BROKER},
        {"sqlite:bide-not-yet.db", BIDE_OK},
    };
    struct place *place = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_url url;
        struct bide_admin *admin;
        struct bide_broker_stats stats = {0};
        struct bide_broker_options options = place->options;
        const struct bide_dead_filter all = {0};
        bide_error error;
        uint64_t n = 0;
        int seen = 0;
        assert_ok(bide_url_parse(rows[i].url, &url, &error), &error);
        options.url = &url;
        options.base_dir = place->dir.path;
        assert_ok(bide_sqlite_open_admin(&options, &admin, &error), &error);
        assert_int_equal(admin->ops->stats(admin, &stats, &error), rows[i].code);
        bide_broker_stats_clear(&stats);
        assert_int_equal(admin->ops->dead_each(admin, &all, count_letter, &seen, &error), rows[i].code);
        assert_int_equal(admin->ops->dead_retry(admin, &all, NULL, NULL, &n, &error), rows[i].code);
        assert_int_equal(admin->ops->export_each(admin, NULL, NULL, NULL, &error), rows[i].code);
        if (rows[i].code != BIDE_OK)
            assert_non_null(strstr(error.text, "folder must exist"));
        bide_admin_destroy(admin);
        bide_url_clear(&url);
    }
}

/* As a user who is not root: in a child, because that cannot be undone for files. */
static void test_folder_not_writable(void **state)
{
    struct place *place = *state;
    assert_int_equal(chmod(place->dir.path, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        struct bide_sender *sender;
        bide_error error;
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        bide_code code = bide_sqlite_open_sender(&place->options, &sender, &error);
        _exit(code == BIDE_E_CONFIG && strstr(error.text, place->path) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(place->dir.path, 0755), 0);
    assert_int_equal(status, 0);
}

static void note_finding(void *user, const struct bide_finding *finding)
{
    size_t *counts = user;
    counts[finding->severity]++;
    assert_true(finding->severity != BIDE_FINDING_NOT_CHECKED || finding->remedy != NULL);
}

static void verify(const struct place *place, size_t counts[4])
{
    struct bide_admin *admin;
    bide_error error;
    memset(counts, 0, 4 * sizeof *counts);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->verify(admin, note_finding, counts, &error), &error);
    bide_admin_destroy(admin);
}

static void test_verify(void **state)
{
    struct place *place = *state;
    size_t counts[4];
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR], 0);
    assert_int_not_equal(access(place->path, F_OK), 0); /* made nothing */
    bide_sender_destroy(open_sender(place));
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR] + counts[BIDE_FINDING_WARNING], 0);
    meddle(place, "PRAGMA user_version = 99");
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR], 1);
}

/* ---- no room ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *deliveries[BATCH];
    char id[16];
    int64_t sent = 0;
    bide_error error;
    signal(SIGXFSZ, SIG_IGN);
    send_ok(sender, "first", 0);
    deliveries[0] = take_one(receiver, SOON_MS);
    limit_files(512 * 1024);
    static const size_t sizes[] = {32768, 16}; /* until nothing fits, nor what is smaller */
    for (size_t i = 0; i < 2; i++) {
        bide_code code = BIDE_OK;
        for (; code == BIDE_OK && sent < 100; sent++) {
            snprintf(id, sizeof id, "m%d", (int)sent);
            code = send_one(sender, id, 0, sizes[i], &error);
        }
        assert_int_equal(code, BIDE_E_BROKER);
        if (!strstr(error.text, "no room"))
            fail_msg("%s", error.text);
        sent--;
    }
    assert_true(sent > 0);
    /* A settlement that finds no room is kept. */
    settle(receiver, (struct bide_settlement){.delivery = deliveries[0],
                         .verdict = BIDE_VERDICT_RETRY,
                         .attempt = 2,
                         .due_ms = 0,
                         .error = bide_strdup("later")});
    size_t n;
    assert_ok(receiver->ops->receive(receiver, deliveries, BATCH, &n, &error), &error);
    assert_int_equal(n, 0);
    assert_int_equal(unsettled(receiver), 1);
    limit_files(RLIM_INFINITY);
    flush(receiver);
    n = take(receiver, deliveries, (size_t)sent + 1, SOON_MS);
    assert_int_equal(n, sent + 1); /* all that was confirmed, and the one to be run again */
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), sent + 1);
    forget_all(receiver, deliveries, n);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* ---- the disk fails ---- */

static ssize_t failing_pread(int fd, void *to, size_t size, off_t at)
{
    (void)fd, (void)to, (void)size, (void)at;
    errno = EIO;
    return -1;
}

/* SQLite's own calls of pread; NULL: the system's again. */
static void replace_pread(ssize_t (*replacement)(int fd, void *to, size_t size, off_t at))
{
    static const char *const names[] = {"pread", "pread64"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (size_t i = 0; i < 2; i++)
        (void)vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)replacement);
}

/* A read that failed is no damage: whoever needs it waits for the disk. */
static void test_disk_fails(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *delivery;
    bide_error error;
    size_t n;
    send_ok(sender, "first", 0);
    replace_pread(failing_pread);
    bide_code received = receiver->ops->receive(receiver, &delivery, 1, &n, &error);
    bide_code opened = BIDE_OK;
    struct bide_sender *other = NULL;
    bide_error refusal;
    opened = bide_sqlite_open_sender(&place->options, &other, &refusal);
    replace_pread(NULL);
    assert_ok(received, &error);
    assert_int_equal(n, 0);
    assert_int_equal(opened, BIDE_E_BROKER);
    assert_non_null(strstr(refusal.text, "reading or writing failed"));
    ack(receiver, take_one(receiver, SOON_MS));
    send_ok(sender, "second", 0);
    ack(receiver, take_one(receiver, SOON_MS));
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* ---- the file goes away ---- */

static void test_file_removed(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_receiver_stats stats;
    send_ok(sender, "old", 0);
    struct bide_delivery *old = take_one(receiver, SOON_MS);
    remove_files(place);
    send_ok(sender, "new", 0);
    assert_int_equal(access(place->path, F_OK), 0);
    struct bide_delivery *new = take_one(receiver, SOON_MS);
    assert_string_equal(new->message->id, "new");
    ack(receiver, old);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(stats.settled, 0);
    ack(receiver, new);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.settled, 1);
    assert_true(stats.connected);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* Without anybody sending, the receiver makes it anew by itself. */
static void test_file_removed_while_idle(void **state)
{
    struct place *place = *state;
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *none;
    assert_int_equal(take(receiver, &none, 1, 50), 0);
    remove_files(place);
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (access(place->path, F_OK) != 0 && !deadline_passed(&deadline))
        assert_int_equal(take(receiver, &none, 1, 50), 0);
    assert_int_equal(access(place->path, F_OK), 0);
    bide_receiver_destroy(receiver);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_file_modes),
    CASE(test_newer_schema),
    CASE(test_not_a_database),
    CASE(test_database_of_another_program),
    CASE(test_urls),
    CASE(test_looking_at_nothing),
    CASE(test_folder_not_writable),
    CASE(test_verify),
    CASE(test_full_disk),
    CASE(test_disk_fails),
    CASE(test_file_removed),
    CASE(test_file_removed_while_idle),
};

UNIT_MAIN(tests)
