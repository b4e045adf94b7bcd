/* What a worker says after a reload of files from which nothing carries any more. */
#include "bide/log.h"
#include "bide/outbox_sqlite.h"
#include "bide/producer.h"
#include "cli/commands/worker.h"
#include "config_folder.h"
#include "unit.h"

struct heard {
    int n;
    char text[100], relay[32];
    int64_t waiting;
};

static void hear(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    struct heard *heard = user;
    if (strcmp(fields[0].name, "relay") != 0) /* what the adapter says of a file that is not there */
        return;
    assert_int_equal(level, BIDE_LOG_WARN);
    heard->n++;
    snprintf(heard->text, sizeof heard->text, "%s", text);
    snprintf(heard->relay, sizeof heard->relay, "%s", fields[0].str);
    heard->waiting = fields[2].integer;
}

static struct heard warn_of(const char *before, const char *after)
{
    struct heard heard = {0};
    struct bide_config *old = load(before), *new = load(after);
    bide_log_set_level(BIDE_LOG_WARN);
    bide_log_set_sink(hear, &heard);
    bide_cli_warn_of_left_messages(old, new);
    bide_log_set_sink(NULL, NULL);
    bide_config_destroy(old);
    bide_config_destroy(new);
    return heard;
}

static void assert_heard(struct heard heard, const char *relay, int64_t waiting, const char *says)
{
    assert_int_equal(heard.n, 1);
    assert_string_equal(heard.relay, relay);
    assert_int_equal(heard.waiting, waiting);
    assert_non_null(strstr(heard.text, says));
}

static void fill_spool(int n)
{
    const bide_spool spool = {.url = "sqlite:out.db", .mode = BIDE_SPOOL_ALWAYS};
    bide_producer *producer;
    bide_error error;
    assert_ok(bide_producer_open_with_spool("sqlite:bide.db", NULL, NULL, &spool, &producer, &error), &error);
    while (n-- > 0) {
        bide_message *message;
        assert_ok(bide_message_create("t", &message, &error), &error);
        assert_ok(bide_producer_send(producer, message, &error), &error);
        bide_message_destroy(message);
    }
    bide_producer_close(producer);
}

static void fill_outbox(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open("shop.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                         BIDE_OUTBOX_SQLITE_TABLE "; INSERT INTO bide_outbox(type) VALUES ('t');"
                                                  "INSERT INTO bide_outbox(type, queue) VALUES ('t', 'q')",
                         NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
}

#define BROKER "broker = \"redis://127.0.0.1:1\"; "
#define SPOOL(file) "spool: { url = \"sqlite:" file "\"; }; "
#define OUTBOX(more)                                                                                         \
    "relays = ( { name = \"shop\"; from = \"outbox+sqlite:shop.db\"; to = \"redis://127.0.0.1:1\"; " more    \
    "} );"

static void test_a_spool(void **state)
{
    (void)state;
    assert_int_equal(warn_of(BROKER SPOOL("out.db"), BROKER).n, 0); /* there is no file */
    fill_spool(2);
    assert_int_equal(warn_of(BROKER SPOOL("out.db"), BROKER SPOOL("out.db")).n, 0);
    assert_int_equal(warn_of(BROKER, BROKER SPOOL("out.db")).n, 0);
    assert_heard(warn_of(BROKER SPOOL("out.db"), BROKER), "spool", 2, "nothing carries");
    assert_heard(warn_of(BROKER SPOOL("out.db"), BROKER SPOOL("other.db")), "spool", 2, "nothing carries");
    assert_heard(warn_of(BROKER SPOOL("out.db"), "broker = \"redis://127.0.0.1:2\"; " SPOOL("out.db")),
        "spool", 2, "another broker");
    assert_int_equal(warn_of("broker = \"redis://a:old@127.0.0.1:1\"; " SPOOL("out.db"),
                         "broker = \"redis://a:new@127.0.0.1:1?timeout=5\"; " SPOOL("out.db"))
                         .n,
        0); /* the same one, with a new password */
    assert_int_equal(warn_of(BROKER SPOOL("out.db"), BROKER SPOOL("out.db?synchronous=normal")).n, 0);
    write_file("out.db", "no database, which is more than a page of nothing");
    assert_heard(warn_of(BROKER SPOOL("out.db"), BROKER), "spool", 0, "is not known");
}

static void test_an_outbox(void **state)
{
    (void)state;
    fill_outbox();
    assert_int_equal(warn_of(BROKER OUTBOX(""), BROKER OUTBOX("")).n, 0);
    assert_int_equal(warn_of(BROKER OUTBOX("queue = \"q\"; "), BROKER OUTBOX("")).n, 0);
    assert_heard(warn_of(BROKER OUTBOX(""), BROKER), "shop", 2, "nothing carries");
    assert_heard(warn_of(BROKER OUTBOX(""), BROKER OUTBOX("queue = \"q\"; ")), "shop", 2, "nothing carries");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_spool, enter_folder, leave_folder),
    cmocka_unit_test_setup_teardown(test_an_outbox, enter_folder, leave_folder),
};

UNIT_MAIN(tests)
