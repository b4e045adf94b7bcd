#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract_store/cases.h"

/* A process that is killed just before and just after its batch is committed (base/killpoint.h): nothing of
 * the batch is there, or all; and whoever applies it again finds it as asked. */

static const struct point {
    const char *scheme, *name;
    bool applied; /* the batch is there after it */
} points[] = {
    {"sqlite", "store/sqlite-applied", false},
    {"sqlite", "store/sqlite-committed", true},
    {"redis", "store/redis-built", false},
    {"redis", "store/redis-answered", true},
};

enum { LETTERS = 250, OPERATIONS = 3 };

struct batch {
    struct bide_store_operation operations[LETTERS][OPERATIONS];
    struct bide_store_letter letters[LETTERS];
    char keys[LETTERS][8];
};

static struct batch *make_batch(void)
{
    static struct batch batch;
    for (int i = 0; i < LETTERS; i++) {
        snprintf(batch.keys[i], sizeof batch.keys[i], "k%d", i);
        batch.operations[i][0] = turn(batch.keys[i], 1, 1, "token");
        batch.operations[i][1] = arrive("set", i, LETTERS);
        batch.operations[i][2] = acquire("permit", batch.keys[i], LETTERS);
        batch.letters[i] = (struct bide_store_letter){.operations = batch.operations[i], .n = OPERATIONS};
    }
    return &batch;
}

static bide_code apply_batch(struct bide_store *store, int number, int out, bide_error *error)
{
    (void)number;
    (void)out;
    return bide_store_apply(store, make_batch()->letters, LETTERS, error);
}

static void kill_at(struct fixture *fixture, const struct point *point)
{
    char file[] = "/tmp/bide-kill-XXXXXX", at[128];
    int fd = mkstemp(file), status = 0;
    assert_true(fd >= 0);
    close(fd);
    unlink(file);
    snprintf(at, sizeof at, "%s:1:%s", point->name, file);
    setenv("BIDE_KILL_AT", at, 1);
    close(fixture_fork(fixture, 0, apply_batch));
    unsetenv("BIDE_KILL_AT");
    assert_int_equal(waitpid(fixture->children[0], &status, 0), fixture->children[0]);
    fixture->children[0] = 0;
    assert_int_equal(unlink(file), 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_point(struct fixture *fixture, const struct point *point)
{
    bide_error error;
    struct batch *batch = make_batch();
    kill_at(fixture, point);
    for (int i = 0; i < LETTERS; i++)
        assert_int_equal(apply(fixture->store, get(batch->keys[i]))->ok, point->applied);
    assert_int_equal(
        apply(fixture->store, arrive("set", BIDE_STORE_NO_MEMBER, 0))->count, point->applied ? LETTERS : 0);
    assert_ok(bide_store_apply(fixture->store, batch->letters, LETTERS, &error), &error);
    for (int i = 0; i < LETTERS; i++) {
        assert_true(batch->operations[i][0].answer.ok && batch->operations[i][2].answer.ok);
        assert_int_equal(batch->operations[i][0].answer.changed, !point->applied);
    }
    assert_true(batch->operations[LETTERS - 1][1].answer.ok);
    assert_int_equal(apply(fixture->store, acquire("permit", NULL, 0))->count, LETTERS);
}

static void killed_at_each_point(void **state)
{
#ifdef BIDE_KILL_POINTS
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (strncmp(fixture->url.scheme, points[i].scheme, strlen(points[i].scheme)) != 0)
            continue;
        check_point(fixture, &points[i]);
        apply(fixture->store, close_scope(0));
    }
#else
    (void)state;
    (void)check_point;
    (void)points;
    print_message("this build has no kill points\n");
    skip();
#endif
}

static const struct CMUnitTest cases[] = {CASE("kill/at-each-point", killed_at_each_point)};
CASE_GROUP(kill_cases, cases);
