/* Broker URLs: every form, every refusal, no password in sight. */
#include "unit/unit.h"

#include <sys/stat.h>

#include "base/buffer.h"
#include "base/url.h"
#include "broker/risk.h"
#include "support/temp_dir.h"

struct row {
    const char *text, *scheme, *user, *password, *hosts, *path, *params,
        *redacted; /* redacted NULL: as text */
};

static const struct row good[] = {
    {"sqlite:bide.db", "sqlite", NULL, NULL, "", "bide.db", "", NULL},
    {"SQLite:a/b.db?synchronous=normal", "sqlite", NULL, NULL, "", "a/b.db", "synchronous=normal", NULL},
    {"sqlite:", "sqlite", NULL, NULL, "", "", "", NULL},
    {"sqlite:?", "sqlite", NULL, NULL, "", "", "", NULL},
    {"sqlite:a%20b", "sqlite", NULL, NULL, "", "a b", "", NULL},
    {"sqlite:////abs.db", "sqlite", NULL, NULL, "", "/abs.db", "", NULL},
    {"amqp://", "amqp", NULL, NULL, "", NULL, "", NULL},
    {"amqp:///", "amqp", NULL, NULL, "", "", "", NULL},
    {"amqp://h", "amqp", NULL, NULL, "h:0", NULL, "", NULL},
    {"amqp://h/", "amqp", NULL, NULL, "h:0", "", "", NULL},
    {"amqp://h/%2f", "amqp", NULL, NULL, "h:0", "/", "", NULL},
    {"amqp://h/a/b", "amqp", NULL, NULL, "h:0", "a/b", "", NULL},
    {"amqp://h?x=1", "amqp", NULL, NULL, "h:0", NULL, "x=1", NULL},
    {"amqp://h?p=/q/r", "amqp", NULL, NULL, "h:0", NULL, "p=/q/r", NULL},
    {"amqp://h:5672/v?a=1&b&c=", "amqp", NULL, NULL, "h:5672", "v", "a=1 b= c=", NULL},
    {"amqp://h/v?a=1&", "amqp", NULL, NULL, "h:0", "v", "a=1", NULL},
    {"amqp://h/v?a=b=c?d", "amqp", NULL, NULL, "h:0", "v", "a=b=c?d", NULL},
    {"amqp://u@h", "amqp", "u", NULL, "h:0", NULL, "", NULL},
    {"amqp://u:@h", "amqp", "u", "", "h:0", NULL, "", "amqp://u:***@h"},
    {"amqp://:s@h", "amqp", "", "s", "h:0", NULL, "", "amqp://:***@h"},
    {"amqp://u:s@", "amqp", "u", "s", "", NULL, "", "amqp://u:***@"},
    {"amqp://u:s@/v", "amqp", "u", "s", "", "v", "", "amqp://u:***@/v"},
    {"amqp://u:s@t@h/v", "amqp", "u", "s@t", "h:0", "v", "", "amqp://u:***@h/v"},
    {"amqp://u:s:t@h", "amqp", "u", "s:t", "h:0", NULL, "", "amqp://u:***@h"},
    {"amqp://%75:%40%3a%2F@h", "amqp", "u", "@:/", "h:0", NULL, "", "amqp://%75:***@h"},
    {"amqps://a,b:1,[::1]:65535/v", "amqps", NULL, NULL, "a:0 b:1 ::1:65535", "v", "", NULL},
    {"redis://[fe80::1%25eth0]/0", "redis", NULL, NULL, "fe80::1%eth0:0", "0", "", NULL},
    {"a+b-c.1://h", "a+b-c.1", NULL, NULL, "h:0", NULL, "", NULL},
};

static void show_hosts(const struct bide_url *url, char *to, size_t size)
{
    *to = '\0';
    for (size_t i = 0, used = 0; i < url->n_hosts; i++)
        used += (size_t)snprintf(
            to + used, size - used, "%s%s:%d", i ? " " : "", url->hosts[i].name, url->hosts[i].port);
}

static void show_params(const struct bide_url *url, char *to, size_t size)
{
    *to = '\0';
    for (size_t i = 0, used = 0; i < url->n_params; i++)
        used += (size_t)snprintf(
            to + used, size - used, "%s%s=%s", i ? " " : "", url->params[i].name, url->params[i].value);
}

static void assert_same(const char *got, const char *wanted)
{
    if (wanted)
        assert_string_equal(got ? got : "(null)", wanted);
    else
        assert_null(got);
}

static void forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        const struct row *row = &good[i];
        struct bide_url url;
        bide_error error;
        char shown[256];
        if (bide_url_parse(row->text, &url, &error) != BIDE_OK)
            fail_msg("%s: %s", row->text, error.text);
        assert_same(url.scheme, row->scheme);
        assert_same(url.user, row->user);
        assert_same(url.password, row->password);
        assert_same(url.path, row->path);
        show_hosts(&url, shown, sizeof shown);
        assert_string_equal(shown, row->hosts);
        show_params(&url, shown, sizeof shown);
        assert_string_equal(shown, row->params);
        if (row->redacted || !strchr(row->text, '?')) /* the values of a query are hidden: see params */
            assert_string_equal(url.redacted, row->redacted ? row->redacted : row->text);
        bide_url_clear(&url);
        bide_url_clear(&url); /* a cleared one is a zeroed one */
    }
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "bide.db", ":x", "//h", "1x:y", "a b:c", "-a:b",
        "amqp://h:", "amqp://h:0", "amqp://h:65536", "amqp://h:-1", "amqp://h:+1", "amqp://h: 1",
        "amqp://h:5672x", "amqp://h:12345678", "amqp://:5672", "amqp://[]", "amqp://[::1", "amqp://[::1]x",
        "amqp://::1:5672", "amqp://a,,b", "amqp://,a", "amqp://a,", "amqp://h/%", "amqp://h/%4",
        "amqp://h/%4x", "amqp://h/%x4", "amqp://h/%00", "amqp://%00@h", "amqp://u:%@h", "amqp://h?%00=1",
        "amqp://h?a=%0", "amqp://h?=1", "amqp://h?&a", "amqp://h?a&&b", "sqlite:%"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct bide_url url = {.n_hosts = 77};
        bide_error error;
        if (bide_url_parse(bad[i], &url, &error) != BIDE_E_CONFIG)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(error.code, BIDE_E_CONFIG);
        assert_int_equal(url.n_hosts, 77);
        assert_non_null(strstr(error.text, "write for example"));
    }
}

/* start, and n times the piece with its number; bide_free it. */
static char *repeated(const char *start, const char *piece, int n)
{
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_buffer_text(&text, start);
    for (int i = 1; i <= n; i++)
        bide_buffer_format(&text, "%s%d", piece, i);
    return bide_buffer_take(&text);
}

static void assert_most(const char *start, const char *piece, int most)
{
    struct bide_url url;
    char *text = repeated(start, piece, most - 1), *more = repeated(start, piece, most);
    assert_int_equal(bide_url_parse(text, &url, NULL), BIDE_OK);
    assert_int_equal(url.n_hosts + url.n_params, most);
    bide_url_clear(&url);
    assert_int_equal(bide_url_parse(more, &url, NULL), BIDE_E_CONFIG);
    bide_free(text);
    bide_free(more);
}

static void bounds(void **state)
{
    (void)state;
    assert_most("amqp://h", ",h", BIDE_URL_HOSTS_MAX);
    assert_most("sqlite:x?p", "&p", BIDE_URL_PARAMS_MAX);
}

static void no_password_in_sight(void **state)
{
    (void)state;
    static const char *const texts[] = {"amqp://u:secret@h/v", "amqp://u:secret@h:bad",
        "amqp://u:se/secret@h", "amqp://u:se?secret@h", "amqp://u:secret@x@h:bad", "amqp:/u:secret@h",
        "amqp:u:secret@h", "u:secret@h", "//u:secret@h", "u:x//secret@h", "amqp:/u:secret//secret@h",
        "amqp://:secret@h:x", "amqp://u:1?secret@h", "amqp://u:secret@h?a=%", "sqlite:secret@x"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct bide_url url;
        bide_error error;
        char *redacted = bide_url_redact(texts[i]);
        if (strstr(redacted, "secret"))
            fail_msg("'%s' is shown as '%s'", texts[i], redacted);
        bide_free(redacted);
        if (bide_url_parse(texts[i], &url, &error) != BIDE_OK) {
            assert_null(strstr(error.text, "secret"));
            continue;
        }
        assert_null(strstr(url.redacted, "secret"));
        bide_url_clear(&url);
    }
}

static void params(void **state)
{
    (void)state;
    static const char *const known[] = {"heartbeat", "timeout", NULL};
    struct bide_url url;
    bide_error error;
    assert_int_equal(bide_url_parse("amqp://u:pw@h?heartbeat=1&timeout=2&heartbeat=3", &url, NULL), BIDE_OK);
    assert_string_equal(bide_url_param(&url, "heartbeat"), "3");
    assert_null(bide_url_param(&url, "heart"));
    assert_int_equal(bide_url_check_params(&url, known, &error), BIDE_OK);
    bide_url_clear(&url);
    assert_int_equal(bide_url_parse("amqp://u:pw@h?heartbaet=1", &url, NULL), BIDE_OK);
    assert_int_equal(bide_url_check_params(&url, known, &error), BIDE_E_CONFIG);
    assert_string_equal(
        error.text, "unknown option 'heartbaet' in amqp://u:***@h?heartbaet=* (did you mean 'heartbeat'?)");
    bide_url_clear(&url);
}

static bool parse_or_nomem(void *user)
{
    struct bide_url url;
    bide_error error;
    bide_code code = bide_url_parse(user, &url, &error);
    if (code == BIDE_OK) {
        bide_url_clear(&url);
        return true;
    }
    assert_int_equal(code, BIDE_E_NOMEM);
    assert_string_equal(error.text, "out of memory");
    return false;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    char text[] = "amqp://u:p@a:1,b/v?x=1&y";
    size_t failures = fail_each_allocation(parse_or_nomem, text);
    assert_int_equal(failures, 11); /* redacted, scheme, user, password, 2 hosts, path, 2 parameters */
}

static void test_risks(void **state)
{
    static const struct {
        const char *url, *risk; /* NULL: none */
    } rows[] = {
        {"amqp://u:p@rabbit.example/", "clear text"},
        {"redis://:p@10.0.0.1:6379/0", "clear text"},
        {"amqp://u:p@localhost,rabbit.example/", "clear text"},
        {"amqp://u:p@localhost/", NULL},
        {"amqp://u:p@127.0.0.1/", NULL},
        {"redis://:p@[::1]:6379/0", NULL},
        {"redis://10.0.0.1", NULL},
        {"amqps://u:p@rabbit.example/", NULL},
        {"amqps://u:p@rabbit.example/?verify=peer", NULL},
        {"amqps://u:p@rabbit.example/?verify=none", "certificate is not checked"},
        {"rediss://:p@10.0.0.1:6379/0", NULL},
        {"sqlite:bide.db", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_url url;
        assert_int_equal(bide_url_parse(rows[i].url, &url, NULL), BIDE_OK);
        const char *risk = bide_broker_risk(&url);
        if (!risk != !rows[i].risk || (risk && !strstr(risk, rows[i].risk)))
            fail_msg("%s: %s", rows[i].url, risk ? risk : "no risk");
        bide_url_clear(&url);
    }
}

static void test_files_of_others(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[TEMP_DIR_PATH];
    bide_error error = {0};
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(temp_dir_write(&dir, "key.pem", "", path), 0);
    assert_ok(bide_broker_check_file("the key ", path, &error), &error);
    assert_ok(bide_broker_check_file("the key ", NULL, &error), &error);
    assert_ok(bide_broker_check_file("the key ", "/nowhere/key.pem", &error), &error);
    assert_int_equal(chmod(path, 0606), 0);
    assert_int_equal(bide_broker_check_file("the key ", path, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "key.pem can be written by everybody"));
    temp_dir_remove(&dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_files_of_others),
    cmocka_unit_test(test_risks),
    cmocka_unit_test(forms),
    cmocka_unit_test(refusals),
    cmocka_unit_test(bounds),
    cmocka_unit_test(no_password_in_sight),
    cmocka_unit_test(params),
    cmocka_unit_test(each_allocation_fails),
};

UNIT_MAIN(tests)
