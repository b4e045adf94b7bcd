/* Generated ids: their form, that they ascend, and that none comes twice, across threads and forks. */
#include "unit/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message/message.h"
#include "support/fake_clock.h"

enum { THREADS = 4, PER_THREAD = 250000, FORKED = 1000 };

static int64_t id_ms(const char *id)
{
    char digits[13];
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    digits[12] = '\0';
    return strtoll(digits, NULL, 16);
}

static void form(void **state)
{
    (void)state;
    struct fake_clock fake;
    char id[BIDE_ID_TEXT];
    fake_clock_init(&fake, INT64_C(0x0123456789AB));
    bide_id_generate(id, &fake.clock);
    assert_int_equal(strlen(id), BIDE_ID_TEXT - 1);
    assert_int_equal(fnmatch("01234567-89ab-7[0-7]*-[89ab]*-*", id, 0), 0);
    assert_int_equal(strspn(id, "0123456789abcdef-"), BIDE_ID_TEXT - 1);
}

/* (Of all times here the latest: ids of a thread do not go back.) Within a millisecond, over the room of one,
 * and while the clock goes backwards. */
static void ascend(void **state)
{
    (void)state;
    struct fake_clock fake;
    char last[BIDE_ID_TEXT], id[BIDE_ID_TEXT];
    fake_clock_init(&fake, INT64_C(4000000000000));
    bide_id_generate(last, &fake.clock);
    for (int i = 0; i < 50000; i++) {
        if (i % 9000 == 0)
            fake_clock_jump_ms(&fake, i == 27000 ? -3600000 : 1);
        bide_id_generate(id, &fake.clock);
        if (strcmp(last, id) >= 0)
            fail_msg("%s, then %s", last, id);
        memcpy(last, id, sizeof last);
    }
    assert_true(id_ms(last) - INT64_C(4000000000000) < 60); /* borrowed only as many as needed */
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, BIDE_ID_TEXT);
}

struct share {
    char (*ids)[BIDE_ID_TEXT];
    int descending;
};

static void *generate(void *user)
{
    struct share *share = user;
    for (int i = 0; i < PER_THREAD; i++) {
        bide_id_generate(share->ids[i], bide_clock_system());
        share->descending += i && compare_ids(share->ids[i - 1], share->ids[i]) >= 0;
    }
    return NULL;
}

static size_t count_twins(char (*ids)[BIDE_ID_TEXT], size_t n)
{
    size_t twins = 0;
    qsort(ids, n, sizeof *ids, compare_ids);
    for (size_t i = 1; i < n; i++)
        twins += compare_ids(ids[i - 1], ids[i]) == 0;
    return twins;
}

static void a_million_by_four_threads(void **state)
{
    (void)state;
    char(*ids)[BIDE_ID_TEXT] = malloc((size_t)THREADS * PER_THREAD * sizeof *ids);
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    int descending = 0;
    assert_non_null(ids);
    for (int i = 0; i < THREADS; i++) {
        shares[i] = (struct share){.ids = ids + (size_t)i * PER_THREAD};
        assert_int_equal(pthread_create(&threads[i], NULL, generate, &shares[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        descending += shares[i].descending;
    }
    size_t twins = count_twins(ids, (size_t)THREADS * PER_THREAD);
    free(ids);
    assert_int_equal(descending, 0);
    assert_int_equal(twins, 0);
}

static void generate_some(char (*ids)[BIDE_ID_TEXT], const struct bide_clock *clock)
{
    for (int i = 0; i < FORKED; i++)
        bide_id_generate(ids[i], clock);
}

static void write_all(int fd, const char *bytes, size_t size)
{
    for (ssize_t done; size && (done = write(fd, bytes, size)) > 0; size -= (size_t)done)
        bytes += done;
}

static size_t read_all(int fd, char *bytes, size_t size)
{
    size_t got = 0;
    for (ssize_t more; got < size && (more = read(fd, bytes + got, size - got)) > 0;)
        got += (size_t)more;
    return got;
}

/* What a fork would repeat are the random bytes: the clock stands still, and only they are compared. */
static void parent_and_child_draw_apart(void **state)
{
    (void)state;
    static char ids[2 * FORKED][BIDE_ID_TEXT];
    struct fake_clock fake;
    int ends[2], status;
    fake_clock_init(&fake, INT64_C(3000000000000));
    bide_id_generate(ids[0], &fake.clock); /* so that the pool is half used */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        generate_some(ids, &fake.clock);
        write_all(ends[1], ids[0], FORKED * sizeof ids[0]);
        _exit(0);
    }
    close(ends[1]);
    generate_some(ids + FORKED, &fake.clock);
    assert_int_equal(read_all(ends[0], ids[0], FORKED * sizeof ids[0]), FORKED * sizeof ids[0]);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    for (size_t i = 0; i < 2 * FORKED; i++)
        memset(ids[i], '-', strlen("01234567-89ab-7000-")); /* the tails are left */
    assert_int_equal(count_twins(ids, 2 * FORKED), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(form),
    cmocka_unit_test(parent_and_child_draw_apart),
    cmocka_unit_test(a_million_by_four_threads),
    cmocka_unit_test(ascend),
};

UNIT_MAIN(tests)
