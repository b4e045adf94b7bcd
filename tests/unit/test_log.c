/* Log lines as they leave the process: JSON into a pipe, text onto a terminal. */
#include "support/temp_dir.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <jansson.h>

#include "base/bug.h"
#include "bide/log.h"

/* Standard error replaced by a file or a terminal, for the time of a test. */
struct capture {
    int kept, own, reader;
};

static void capture_begin(struct capture *capture, int own, int reader)
{
    assert_true(own >= 0 && reader >= 0);
    *capture = (struct capture){.kept = dup(STDERR_FILENO), .own = own, .reader = reader};
    dup2(own, STDERR_FILENO);
}

static void capture_end(struct capture *capture)
{
    dup2(capture->kept, STDERR_FILENO);
    close(capture->kept);
    close(capture->own);
    close(capture->reader);
}

static void capture_file(struct capture *capture)
{
    struct temp_dir dir;
    char path[TEMP_DIR_PATH];
    assert_int_equal(temp_dir_create(&dir) | temp_dir_write(&dir, "log", "", path), 0);
    capture_begin(capture, open(path, O_WRONLY | O_APPEND), open(path, O_RDONLY));
    temp_dir_remove(&dir);
}

static void capture_terminal(struct capture *capture)
{
    int reader = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(reader >= 0 && grantpt(reader) == 0 && unlockpt(reader) == 0);
    int own = open(ptsname(reader), O_RDWR | O_NOCTTY);
    struct termios raw;
    assert_int_equal(tcgetattr(own, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(own, TCSANOW, &raw), 0);
    capture_begin(capture, own, reader);
}

static char *read_line(struct capture *capture, char *to, size_t size)
{
    ssize_t got = read(capture->reader, to, size - 1);
    assert_true(got > 0);
    to[got] = '\0';
    assert_ptr_equal(strchr(to, '\n'), to + got - 1); /* one line, whole */
    return to;
}

static void json_line(void **state)
{
    (void)state;
    struct capture capture;
    char line[1000];
    json_error_t error;
    capture_file(&capture);
    errno = ENOSPC;
    bide_log(BIDE_LOG_WARN, "message parked", BIDE_STR("id", "a\n\"b\""), BIDE_INT("attempt", 3),
        BIDE_STR("gone", NULL), BIDE_NUM("rate", 0.5), BIDE_NUM("never", NAN));
    assert_int_equal(errno, ENOSPC);
    json_t *root = json_loads(read_line(&capture, line, sizeof line), JSON_REJECT_DUPLICATES, &error);
    capture_end(&capture);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(root, "message")), "message parked");
    assert_string_equal(json_string_value(json_object_get(root, "id")), "a\n\"b\"");
    assert_int_equal(json_integer_value(json_object_get(root, "attempt")), 3);
    assert_true(json_is_null(json_object_get(root, "gone")));
    assert_true(json_real_value(json_object_get(root, "rate")) == 0.5);
    assert_true(json_is_null(json_object_get(root, "never")));
    assert_int_equal(
        strlen(json_string_value(json_object_get(root, "time"))), strlen("2026-12-24T18:00:00.250Z"));
    json_decref(root);
}

static void json_line_whatever_the_fields_hold(void **state)
{
    (void)state;
    struct capture capture;
    uint64_t random = 7;
    capture_file(&capture);
    for (int i = 0; i < 3000; i++) {
        char text[3][30], line[4000];
        json_error_t error;
        for (size_t t = 0; t < COUNT_OF(text); t++) {
            size_t size = next_random(&random) % sizeof text[0];
            for (size_t j = 0; j < size; j++)
                text[t][j] = (char)(next_random(&random) >> (next_random(&random) % 8));
            text[t][size] = '\0';
        }
        double number;
        uint64_t bits = next_random(&random);
        memcpy(&number, &bits, sizeof number);
        const bide_log_field fields[] = {
            BIDE_STR(text[0], text[1]), BIDE_NUM("n", number), BIDE_INT("i", bits), {0}};
        bide_log_write((bide_log_level)(bits % 7), text[2], fields); /* also levels there are not */
        json_t *root = json_loads(read_line(&capture, line, sizeof line), JSON_ALLOW_NUL, &error);
        if (!json_is_object(root)) {
            capture_end(&capture);
            fail_msg("%s: %s", error.text, line);
        }
        json_decref(root);
    }
    capture_end(&capture);
}

static void text_line_on_a_terminal(void **state)
{
    (void)state;
    struct capture capture;
    char line[1000];
    capture_terminal(&capture);
    bide_log(BIDE_LOG_INFO, "took\nover", BIDE_STR("a", "x\r12:00:00 error forged\033[2J\x7F"),
        BIDE_STR("b\r", NULL),
        BIDE_STR("c", "\x9B"
                      "1m \xC2\x9B"
                      "1m \xC2\xA0\xC3\xA4"),
        BIDE_INT("d", -1), BIDE_NUM("e", 2.5));
    read_line(&capture, line, sizeof line);
    capture_end(&capture);
    assert_string_equal(line + strlen("18:00:00.000"),
        " info  took?over  a=x?12:00:00 error forged?[2J?  b?=-  c=?1m ?1m \xC2\xA0\xC3\xA4  d=-1  e=2.5\n");
}

/* Each with a margin: none can pass for a line of the log. */
static void several_lines_on_a_terminal(void **state)
{
    (void)state;
    struct capture capture;
    char text[1000];
    capture_terminal(&capture);
    bide_log(BIDE_LOG_WARN, "failed", BIDE_STR("error", "one\n12:00:00.000 error forged\n\n\033[2J"),
        BIDE_INT("n", 1));
    ssize_t got = read(capture.reader, text, sizeof text - 1);
    capture_end(&capture);
    assert_true(got > 0);
    text[got] = '\0';
    assert_string_equal(text + strlen("18:00:00.000"),
        " warn  failed  n=1\n    error=\n    | one\n    | 12:00:00.000 error forged\n    | \n    | ?[2J\n");
}

static void levels(void **state)
{
    (void)state;
    bide_log_level level = BIDE_LOG_ERROR;
    assert_false(bide_log_level_parse("loud", &level));
    assert_int_equal(level, BIDE_LOG_ERROR);
    for (int i = BIDE_LOG_DEBUG; i <= BIDE_LOG_OFF; i++) {
        assert_true(bide_log_level_parse(bide_log_level_name((bide_log_level)i), &level));
        assert_int_equal(level, i);
        bide_log_set_level(level);
        for (int j = BIDE_LOG_DEBUG; j <= BIDE_LOG_OFF; j++)
            assert_int_equal(bide_log_enabled((bide_log_level)j), j >= i && j != BIDE_LOG_OFF);
    }
    bide_log_set_level(BIDE_LOG_INFO);
}

struct heard {
    int lines;
    bide_log_level level;
    const char *text;
};

static void remember(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    struct heard *heard = user;
    (void)fields;
    *heard = (struct heard){heard->lines + 1, level, text};
}

static int evaluated;

static const char *costly(void)
{
    evaluated++;
    return "";
}

static void own_sink(void **state)
{
    (void)state;
    struct heard heard = {0};
    bide_log_set_sink(remember, &heard);
    bide_log(BIDE_LOG_ERROR, "no fields");
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.level, BIDE_LOG_ERROR);
    assert_string_equal(heard.text, "no fields");
    bide_log(BIDE_LOG_DEBUG, "not heard", BIDE_STR("x", costly()));
    assert_int_equal(heard.lines, 1);
    assert_int_equal(evaluated, 0);
    bide_log_set_sink(NULL, NULL);
}

static bool log_once(void *user)
{
    struct capture *capture = user;
    char line[2000];
    char value[600];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    off_t before = lseek(capture->own, 0, SEEK_END);
    bide_log(BIDE_LOG_ERROR, "memory is short", BIDE_STR("value", value));
    if (lseek(capture->own, 0, SEEK_END) == before)
        return false; /* a line is lost, never cut */
    read_line(capture, line, sizeof line);
    return true;
}

static void without_memory_a_line_is_lost(void **state)
{
    (void)state;
    struct capture capture;
    capture_file(&capture);
    size_t failures = fail_each_allocation(log_once, &capture);
    capture_end(&capture);
    assert_true(failures > 2);
}

enum { LINES = 500, THREADS = 4 };

static void *log_many(void *user)
{
    for (int i = 0; i < LINES; i++)
        bide_log(BIDE_LOG_INFO, "one of many", BIDE_STR("thread", user), BIDE_INT("n", i));
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    struct capture capture;
    pthread_t threads[THREADS];
    char names[THREADS][2] = {"a", "b", "c", "d"};
    int next[THREADS] = {0}, wrong = 0, lines = 0;
    char line[300];
    capture_file(&capture);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    FILE *file = fdopen(dup(capture.reader), "r");
    for (; fgets(line, sizeof line, file); lines++) {
        json_t *root = json_loads(line, 0, NULL);
        const char *name = json_string_value(json_object_get(root, "thread"));
        wrong += !name || json_integer_value(json_object_get(root, "n")) != next[name[0] - 'a']++;
        json_decref(root);
    }
    fclose(file);
    capture_end(&capture);
    assert_int_equal(wrong, 0);
    assert_int_equal(lines, LINES * THREADS);
}

static void fill(int fd)
{
    static const char page[4096];
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, page, sizeof page) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

/* Where it did wait, the test would never end. */
static void nobody_waits_for_a_reader_that_hangs(void **state)
{
    (void)state;
    int ends[2];
    char line[300];
    struct capture capture;
    assert_int_equal(pipe(ends), 0);
    capture_begin(&capture, ends[1], ends[0]);
    fill(ends[1]);
    for (int i = 0; i < LINES; i++)
        bide_log(BIDE_LOG_INFO, "a line");
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (read(ends[0], line, sizeof line) > 0)
        ;
    bide_log(BIDE_LOG_INFO, "another line");
    FILE *file = fdopen(dup(ends[0]), "r");
    json_t *root = fgets(line, sizeof line, file) ? json_loads(line, 0, NULL) : NULL;
    bool goes_on = fgets(line, sizeof line, file) && strstr(line, "another line");
    fclose(file);
    capture_end(&capture);
    assert_int_equal(json_integer_value(json_object_get(root, "lines")), LINES);
    assert_true(goes_on);
    json_decref(root);
}

/* Of a process of its own: what it was about to do is not done. */
static void a_bug_ends_the_process(void **state)
{
    (void)state;
    struct capture capture;
    char line[512] = "";
    int status;
    capture_file(&capture);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 0); /* no core file */
        signal(SIGABRT, SIG_DFL);
        BIDE_BUG(child != 0);
        BIDE_BUG(child == 0);
        _exit(0);
    }
    pid_t ended = waitpid(child, &status, 0);
    ssize_t size = read(capture.reader, line, sizeof line - 1);
    capture_end(&capture);
    assert_true(child > 0 && ended == child && size > 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(line, "\"condition\":\"child == 0\",\"function\":\"a_bug_ends_the_process\""));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(json_line),
    cmocka_unit_test(json_line_whatever_the_fields_hold),
    cmocka_unit_test(text_line_on_a_terminal),
    cmocka_unit_test(several_lines_on_a_terminal),
    cmocka_unit_test(levels),
    cmocka_unit_test(own_sink),
    cmocka_unit_test(without_memory_a_line_is_lost),
    cmocka_unit_test(threads_do_not_mix_lines),
    cmocka_unit_test(nobody_waits_for_a_reader_that_hangs),
    cmocka_unit_test(a_bug_ends_the_process),
};

UNIT_MAIN(tests)
