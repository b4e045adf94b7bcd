/* config/compare: each kind of difference is named, and nothing that may be secret is shown. */
#include "config/compare.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "support/temp_dir.h"
#include "support/test.h"

#define HANDLER "handlers = ({ type = \"a\"; plugin = \"p\"; "

static void write_down(
    void *user, enum bide_change change, const char *option, const char *before, const char *after)
{
    static const char signs[] = {[BIDE_CHANGED] = '~', [BIDE_ADDED] = '+', [BIDE_REMOVED] = '-'};
    bide_buffer_format(user, "%c%s", signs[change], option);
    if (before)
        bide_buffer_format(user, " %s > %s", before, after);
    bide_buffer_text(user, "\n");
}

static struct bide_config *load(const char *path, const char *text)
{
    struct bide_config *config = NULL;
    bide_error error = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_ok(bide_config_load(path, &config, &error), &error);
    return config;
}

static void check(const char *before, const char *after, const char *wanted, int n)
{
    struct temp_dir dir;
    struct bide_buffer found;
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(chdir(dir.path), 0);
    struct bide_config *old = load("old.conf", before), *new = load("new.conf", after);
    bide_buffer_init(&found);
    assert_int_equal(bide_config_compare(old, new, write_down, &found), n);
    assert_string_equal(found.bytes, wanted);
    bide_buffer_release(&found);
    bide_config_destroy(old);
    bide_config_destroy(new);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(temp_dir_remove(&dir), 0);
}

static void test_nothing(void **state)
{
    (void)state;
    check("", "worker: { threads = 8; drain = \"30s\"; };", "", 0);
    check(HANDLER "settings: { x = [\"1\"]; }; });", HANDLER "settings: { x = [\"1\"]; }; });", "", 0);
}

static void test_values(void **state)
{
    (void)state;
    check("", "worker: { threads = 2; drain = \"1500ms\"; max_body = \"2MiB\"; order = \"strict\"; };",
        "~worker.threads 8 > 2\n~worker.order weighted > strict\n~worker.drain 30s > 1.5s\n"
        "~worker.max_body 1MiB > 2MiB\n",
        4);
    check(HANDLER "});",
        HANDLER "retry: { backoff = [\"1s\", \"2m\"]; jitter = 0.5; }; limits: { no_new_privs = true; }; "
                "isolation = \"process\"; });",
        "~handlers[a].isolation thread > process\n~handlers[a].limits.no_new_privs false > true\n"
        "~handlers[a].retry.backoff exponential > 1s, 2m\n~handlers[a].retry.jitter 0.2 > 0.5\n",
        4);
}

static void test_no_secrets(void **state)
{
    (void)state;
    check("broker = \"redis://u:secret@h\";", "broker = \"redis://u:other@h\";", "~broker\n", 1);
    check(HANDLER "settings: { key = \"secret\"; n = 1; f = 1.5; l = [\"a\", \"b\"]; gone = true; }; });",
        HANDLER "settings: { key = \"other\"; n = 2; f = 1.25; l = [\"a\", \"c\"]; more = true; }; });",
        "~handlers[a].settings.key\n~handlers[a].settings.n\n~handlers[a].settings.f\n"
        "~handlers[a].settings.l\n-handlers[a].settings.gone\n+handlers[a].settings.more\n",
        6);
}

static void test_rows(void **state)
{
    (void)state;
    check("queues = ({ name = \"x\"; }, { name = \"y\"; weight = 2; }, { name = \"z\"; });",
        "queues = ({ name = \"y\"; weight = 3; }, { name = \"x\"; }, { name = \"w\"; });",
        "-queues[z]\n~queues[y].weight 2 > 3\n+queues[w]\n~queues\n", 4);
    check(HANDLER "});", HANDLER "}, { type = \"b\"; plugin = \"p\"; queue = \"q\"; });",
        "+queues[q]\n+handlers[b]\n", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_no_secrets),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
