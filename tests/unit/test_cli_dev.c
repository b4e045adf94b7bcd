/* `bide dev`: which changes start a program again, the configuration it writes, and where it keeps it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/dev/draft.h"
#include "cli/dev/watch.h"
#include "config_folder.h"
#include "unit.h"

/* ---- watching ---- */

static const char *const command[] = {"./build/tasks", "main", "data.bin", NULL};

static void open_watch(struct bide_dev_watch *watch, const char *const *words)
{
    bide_dev_watch_open(watch, words);
    assert_true(watch->fd >= 0);
    assert_int_equal(watch->failure, 0);
}

#define assert_change(watch, name)                                                                           \
    do {                                                                                                     \
        assert_true(bide_dev_watch_read(watch));                                                             \
        assert_string_equal((watch)->changed, name);                                                         \
    } while (0)
#define assert_no_change(watch) assert_false(bide_dev_watch_read(watch))

static void make_folders(void)
{
    static const char *const folders[] = {"shop", ".git", "node_modules", "venv", "build"};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        assert_int_equal(mkdir(folders[i], 0700), 0);
    write_file("venv/pyvenv.cfg", "");
}

static void test_sources_are_seen(void **state)
{
    struct bide_dev_watch watch;
    (void)state;
    make_folders();
    write_file("tasks.py", "1");
    open_watch(&watch, command);
    assert_no_change(&watch);
    write_file("tasks.py", "2"); /* in place */
    assert_change(&watch, "tasks.py");
    write_file("shop/.tasks.py.swp", "3"); /* as editors do */
    assert_int_equal(rename("shop/.tasks.py.swp", "shop/picture.ts"), 0);
    assert_change(&watch, "picture.ts");
    assert_int_equal(unlink("shop/picture.ts"), 0);
    assert_change(&watch, "picture.ts");
    write_file(".env", "A=1");
    assert_change(&watch, ".env");
    assert_no_change(&watch);
    close(watch.fd);
}

static void test_the_rest_is_not(void **state)
{
    static const char *const paths[] = {"journal.ndjson", "shop.db", "out.log", "picture", ".tasks.py.swp",
        "#tasks.py#", "tasks.py~", ".git/hook.py", "node_modules/index.js", "venv/site.py", "data.bin"};
    struct bide_dev_watch watch;
    (void)state;
    make_folders();
    write_file("data.bin", "");
    open_watch(&watch, command);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        write_file(paths[i], "x");
        if (bide_dev_watch_read(&watch))
            fail_msg("%s", paths[i]);
    }
    close(watch.fd);
}

static void test_executables_of_the_command(void **state)
{
    struct bide_dev_watch watch;
    (void)state;
    make_folders();
    open_watch(&watch, command);
    write_file("build/tasks", "1"); /* no executable yet */
    assert_no_change(&watch);
    assert_int_equal(chmod("build/tasks", 0700), 0);
    write_file("build/tasks", "2");
    assert_change(&watch, "tasks");
    close(watch.fd);
}

/* A program in another folder than the working directory. */
static void test_elsewhere(void **state)
{
    static const char *const words[] = {"python3", "../there/tasks.py", NULL};
    struct bide_dev_watch watch;
    (void)state;
    assert_int_equal(mkdir("here", 0700) | mkdir("there", 0700), 0);
    write_file("there/tasks.py", "1");
    assert_int_equal(chdir("here"), 0);
    open_watch(&watch, words);
    write_file("../there/tasks.py", "2");
    assert_change(&watch, "tasks.py");
    close(watch.fd);
}

static void test_new_folders(void **state)
{
    struct bide_dev_watch watch;
    (void)state;
    open_watch(&watch, command);
    assert_int_equal(mkdir("scratch", 0700), 0); /* as a handler might */
    assert_no_change(&watch);
    write_file("scratch/late.py", "1");
    assert_change(&watch, "late.py");
    assert_int_equal(mkdir("package", 0700) | mkdir("package/inner", 0700), 0);
    write_file("package/inner/early.rb", "1"); /* before anybody looked */
    assert_change(&watch, "early.rb");
    write_file("package/inner/early.rb", "2");
    assert_change(&watch, "early.rb");
    assert_int_equal(rename("package", "renamed"), 0);
    bide_dev_watch_read(&watch);
    write_file("renamed/inner/early.rb", "3");
    assert_change(&watch, "early.rb");
    close(watch.fd);
}

/* ---- the configuration ---- */

static void test_draft_is_read_back(void **state)
{
    static const char *const words[] = {
        "./a \"b\" \\ c", "${HOME} $${X} $", "line\nand\ttab", "\xC3\xA4", NULL};
    struct bide_home home = {.lock = -1};
    struct bide_draft draft;
    struct bide_config *config;
    bide_error error = {0};
    (void)state;
    setenv("SHOP_TOKEN", "a\"b\\${HOME}", 1);
    setenv("BIDE_BROKER", "sqlite:mine.db", 1);
    assert_non_null(getcwd(home.dir, sizeof home.dir));
    snprintf(home.path, sizeof home.path, "%.100s", home.dir);
    snprintf(home.config, sizeof home.config, "%s/bide.conf", home.path);
    bide_draft_init(&draft, &home, words);
    json_t *types = json_pack("[s, s, i]", "thumb", "mail", 7);
    assert_ok(bide_draft_write(&draft, types, &error), &error);
    json_decref(types);
    assert_ok(bide_config_load(home.config, &config, &error), &error);
    assert_ok(bide_config_complete(config, &error), &error);
    const struct bide_program_config *program = config->programs;
    for (size_t i = 0; i < COUNT_OF(words) - 1; i++)
        assert_string_equal(program->run[i], words[i]);
    assert_string_equal(program->dir, home.dir);
    assert_int_equal(config->n_handlers, 2);
    assert_string_equal(config->handlers[1].type, "mail");
    bool token = false, broker = false;
    for (char **entry = program->env; *entry; entry++) {
        token |= strcmp(*entry, "SHOP_TOKEN=a\"b\\${HOME}") == 0;
        broker |= strncmp(*entry, "BIDE_BROKER=", strlen("BIDE_BROKER=")) == 0;
    }
    assert_true(token);
    assert_false(broker);
    bide_config_destroy(config);
}

/* ---- its home ---- */

static void test_one_home_a_folder(void **state)
{
    struct bide_home home, other;
    char path[BIDE_HOME_PATH + 8];
    bide_error error = {0};
    (void)state;
    assert_false(bide_home_find(path));
    assert_ok(bide_home_open(&home, &error), &error);
    assert_false(bide_home_find(path)); /* no configuration yet */
    write_file(home.config, "");
    assert_true(bide_home_find(path));
    assert_string_equal(path, home.config);
    assert_int_equal(bide_home_open(&other, &error), BIDE_E_USAGE);
    assert_true(bide_home_find(path)); /* the refused one did no harm */
    close(home.lock);                  /* as if it were killed */
    assert_false(bide_home_find(path));
    snprintf(path, sizeof path, "%s/bide.db", home.path);
    write_file(path, "");
    assert_ok(bide_home_open(&home, &error), &error);
    assert_int_not_equal(access(path, F_OK), 0); /* of the one before */
    write_file(path, "");
    bide_home_remove(&home);
    assert_int_not_equal(access(home.path, F_OK), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

static const struct CMUnitTest tests[] = {
    CASE(test_sources_are_seen),
    CASE(test_the_rest_is_not),
    CASE(test_executables_of_the_command),
    CASE(test_elsewhere),
    CASE(test_new_folders),
    CASE(test_draft_is_read_back),
    CASE(test_one_home_a_folder),
};

UNIT_MAIN(tests)
