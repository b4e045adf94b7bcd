/* The example at the top of bide/producer.h: compiled, the same to the letter, and run. */
#include "unit/unit.h"

#include <err.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bide/handler.h>
#include <bide/producer.h>
#include <bide/worker.h>

#include "broker/broker.h"
#include "support/temp_dir.h"

static void run_example(void)
{
#include "unit/example_producer.inc"
}

static FILE *open_source(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", BIDE_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    return file;
}

/* Each line of the compiled example stands, in this order and nothing between, in the header's comment. */
static void producer_example_is_the_headers(void **state)
{
    (void)state;
    static const char margin[] = " *     ";
    FILE *header = open_source("framework/include/bide/producer.h");
    FILE *example = open_source("tests/unit/example_producer.inc");
    char shown[256], compiled[256];
    int lines = 0;
    while (fgets(shown, sizeof shown, header) && strncmp(shown, " *\n", 4) != 0) {
    }
    while (fgets(shown, sizeof shown, header) && strncmp(shown, margin, strlen(margin)) == 0) {
        assert_non_null(fgets(compiled, sizeof compiled, example));
        assert_string_equal(compiled, shown + strlen(margin));
        lines++;
    }
    assert_null(fgets(compiled, sizeof compiled, example));
    assert_true(lines > 10);
    fclose(header);
    fclose(example);
}

static bool has_sqlite(void)
{
    for (const struct bide_adapter *const *row = bide_adapters(); *row; row++)
        if (strcmp((*row)->name, "sqlite") == 0)
            return true;
    return false;
}

/* In a folder of its own; prints the id. */
static void producer_example_sends(void **state)
{
    (void)state;
    if (!has_sqlite())
        skip(); /* built without that adapter */
    struct temp_dir dir;
    int ends[2], status;
    char id[100] = "";
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (chdir(dir.path) != 0)
            _exit(2);
        run_example();
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    ssize_t got = read(ends[0], id, sizeof id - 1);
    close(ends[0]);
    temp_dir_remove(&dir);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(got, 37); /* an UUID and a line feed */
    assert_int_equal(id[14], '7');
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(producer_example_is_the_headers),
    cmocka_unit_test(producer_example_sends),
};

UNIT_MAIN(tests)
