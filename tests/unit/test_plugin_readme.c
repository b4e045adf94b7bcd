/* The handler of handlers/README.md, built outside the tree as a reader would, and plugins that must be
 * refused. */
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/plugin_run.h"
#include "unit.h"

enum { TEXT_SIZE = 64 * 1024 };

/* The page's first block of C. */
static void read_example(char text[TEXT_SIZE])
{
    FILE *page = fopen(BIDE_SOURCE_DIR "/handlers/README.md", "r");
    assert_non_null(page);
    text[fread(text, 1, TEXT_SIZE - 1, page)] = '\0';
    fclose(page);
    char *start = strstr(text, "```c\n");
    assert_non_null(start);
    start += strlen("```c\n");
    char *end = strstr(start, "```");
    assert_non_null(end);
    *end = '\0';
    memmove(text, start, strlen(start) + 1);
}

/* NAME.c in the folder becomes NAME.so there. */
static void compile(const struct temp_dir *dir, const char *name, const char *source)
{
    char from[TEMP_DIR_PATH], file[64], to[2 * TEMP_DIR_PATH];
    snprintf(file, sizeof file, "%s.c", name);
    assert_int_equal(temp_dir_write(dir, file, source, from), 0);
    snprintf(to, sizeof to, "%s/%s.so", dir->path, name);
    const char *const line[] = {"cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I",
        BIDE_SOURCE_DIR "/framework/include", "-o", to, from, NULL};
    pid_t pid;
    int status;
    assert_int_equal(posix_spawnp(&pid, line[0], NULL, NULL, (char *const *)(uintptr_t)line, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_the_example_works(void **state)
{
    (void)state;
    static char source[TEXT_SIZE];
    struct temp_dir dir;
    struct plugin_run run;
    bide_error error;
    read_example(source);
    assert_int_equal(temp_dir_create(&dir), 0);
    compile(&dir, "shout", source);
    assert_ok(plugin_run_open_from(&run, dir.path, "shout", "30s", "to = \"loud\";", &error), &error);
    plugin_run_body(&run, "hello", 5);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    assert_int_equal(run.n_sends, 1);
    assert_string_equal(run.sent, "loud HELLO");
    static const char large[1001];
    plugin_run_body(&run, large, sizeof large);
    assert_int_equal(plugin_run_handle(&run), BIDE_DEAD);
    assert_string_equal(run.error, "1001 bytes are too many to shout");
    plugin_run_close(&run);
    temp_dir_remove(&dir);
}

#define HANDLE                                                                                               \
    "#include <bide/handler.h>\n"                                                                            \
    "static bide_outcome handle(void *s, const bide_message *m, bide_context *c)\n"                          \
    "{ (void)s; (void)m; (void)c; return BIDE_DONE; }\n"
#define HEAD(major, minor, size)                                                                             \
    "const bide_plugin_descriptor bide_plugin = {.abi_major = " major ", .abi_minor = " minor                \
    ", .size = " size ", .name = \"odd\""

static void test_odd_plugins_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text;
    } rows[] = {
        {HANDLE HEAD("BIDE_ABI_MAJOR + 1", "0", "sizeof bide_plugin") ", .handle = handle};\n",
            "built for ABI 2.0, this bide has 1.1"},
        {HANDLE HEAD("BIDE_ABI_MAJOR", "BIDE_ABI_MINOR + 7", "sizeof bide_plugin") ", .handle = handle};\n",
            "built for ABI 1.8, this bide has 1.1"},
        {HANDLE HEAD("BIDE_ABI_MAJOR", "BIDE_ABI_MINOR", "4") ", .handle = handle};\n", "too small"},
        {HANDLE "const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = \"even\", "
                ".handle = handle};\n",
            "another name"},
        {"#include <bide/handler.h>\n" HEAD("BIDE_ABI_MAJOR", "BIDE_ABI_MINOR", "sizeof bide_plugin") "};\n",
            "no handle function"},
        {"int other = 1;\n", "exports no symbol 'bide_plugin'"},
        {HANDLE "int bide_from_the_future(void);\nint call(void);\nint call(void) { return "
                "bide_from_the_future(); }\n"
                "const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = \"odd\", .handle = "
                "handle};\n",
            "undefined symbol: bide_from_the_future"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct temp_dir dir;
        struct plugin_run run;
        bide_error error;
        assert_int_equal(temp_dir_create(&dir), 0);
        compile(&dir, "odd", rows[i].source);
        assert_int_equal(plugin_run_open_from(&run, dir.path, "odd", "1s", "", &error), BIDE_E_CONFIG);
        print_message("%s\n", error.text);
        assert_non_null(strstr(error.text, rows[i].text));
        assert_non_null(strstr(error.text, "bide.conf:2: plugin 'odd' ("));
        plugin_run_close(&run);
        temp_dir_remove(&dir);
    }
}

static void test_what_is_no_library_is_refused(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct plugin_run run;
    bide_error error;
    char path[TEMP_DIR_PATH];
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(plugin_run_open_from(&run, dir.path, "odd", "1s", "", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "no plugin 'odd': there is no file "));
    plugin_run_close(&run);
    assert_int_equal(temp_dir_write(&dir, "odd.so", "not a library\n", path), 0);
    assert_int_equal(plugin_run_open_from(&run, dir.path, "odd", "1s", "", &error), BIDE_E_CONFIG);
    print_message("%s\n", error.text);
    assert_non_null(strstr(error.text, "odd.so"));
    plugin_run_close(&run);
    temp_dir_remove(&dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_example_works),
    cmocka_unit_test(test_odd_plugins_are_refused),
    cmocka_unit_test(test_what_is_no_library_is_refused),
};

UNIT_MAIN(tests)
