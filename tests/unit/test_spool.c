/* A sender with a spool: what the broker does not take waits in a file of this host, and is not overtaken. */
#include <signal.h>
#include <sys/wait.h>

#include "unit/spool_stage.h"

/* ---- the broker is there ---- */

static void sends_directly(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    send_ok(sender, 0, 10);
    assert_in_order(0, 10);
    assert_int_equal(spooled("message"), 0);
    bide_sender_destroy(sender);
}

static void the_broker_refuses(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    enum bide_sent results[5];
    bide_error error;
    target.refused = "no";
    assert_int_equal(send_some(sender, 0, 5, "no", results, &error), BIDE_E_DATA);
    assert_string_equal(error.text, "too large for it");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(results[i], i == 2 ? BIDE_SENT_REFUSED : BIDE_SENT_OK);
    assert_int_equal(spooled("message"), 0);
    bide_sender_destroy(sender);
}

/* Told as without a spool; but where it was right before, the broker is not as it was. */
static void a_wrong_password(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    enum bide_sent result;
    bide_error error;
    target.denied = true;
    assert_int_equal(send_some(sender, 0, 1, "x", &result, &error), BIDE_E_CONFIG);
    assert_int_equal(result, BIDE_SENT_UNKNOWN);
    assert_int_equal(spooled("message"), 0);
    target.denied = false;
    send_ok(sender, 1, 1);
    target.away = 1;
    send_ok(sender, 2, 1);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 2);
    go_until_empty(relay);
    bide_relay_destroy(relay);
    target.denied = true;
    send_ok(sender, 3, 1);
    assert_int_equal(spooled("message"), 1);
    bide_sender_destroy(sender);
}

/* ---- it is away ---- */

static void nothing_overtakes(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.away = 1;
    send_ok(sender, 0, 5);
    assert_int_equal(target.n, 0);
    send_ok(sender, 5, 1); /* the broker is back: all the same */
    struct bide_sender *another = open_spool(*state, BIDE_SPOOL_FALLBACK);
    send_ok(another, 6, 1); /* by a program that has just started, too */
    assert_int_equal(target.n, 0);
    assert_int_equal(spooled("message"), 7);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 7);
    go_until_empty(relay);
    send_ok(another, 7, 1);
    send_ok(sender, 8, 1);
    assert_in_order(0, 9);
    assert_int_equal(spooled("message"), 0);
    bide_relay_destroy(relay);
    bide_sender_destroy(another);
    bide_sender_destroy(sender);
}

/* The relay has taken the last one, and the target has it, but has not confirmed it. */
static void the_last_one_under_way(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.away = 1;
    send_ok(sender, 0, 1);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    target.lost_answers = 1;
    go_until(relay, 1);
    send_ok(sender, 1, 1);
    assert_int_equal(spooled("message"), 2);
    go_until_empty(relay);
    assert_int_equal(target.n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(atoi(target.seen[i].id), i > 1);
    bide_relay_destroy(relay);
    bide_sender_destroy(sender);
}

/* What was confirmed is not stored again; of what was not, the broker may have some. */
static void half_of_it(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.halved = 1;
    send_ok(sender, 0, 10);
    assert_in_order(0, 5);
    assert_int_equal(spooled("message"), 5);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 10);
    go_until_empty(relay);
    assert_in_order(0, 10);
    target.lost_answers = 1;
    send_ok(sender, 10, 4);
    assert_int_equal(spooled("message"), 4);
    go_until(relay, 18);
    bide_relay_destroy(relay);
    bide_sender_destroy(sender);
}

/* While the relay carries the last ones, a sender that goes on sending comes back to the broker. */
static void comes_back(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_FALLBACK);
    target.away = 1;
    send_ok(sender, 0, 5);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* its target is a copy: what it carries is seen in the file alone */
        struct bide_relay *relay = make_relay(*state, FILE_URL);
        for (;;)
            go(relay, 10000);
    }
    struct deadline deadline = deadline_in_ms(SOON_MS);
    int next = 5;
    while (target.n == 0 && !deadline_passed(&deadline))
        send_ok(sender, next++, 1);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(target.n, 1);
    assert_int_equal(atoi(target.seen[0].id), next - 1);
    assert_int_equal(spooled("message"), 0);
    bide_sender_destroy(sender);
}

static void always(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_ALWAYS);
    send_ok(sender, 0, 5);
    send_ok(sender, 5, 5);
    assert_int_equal(target.n, 0);
    assert_int_equal(spooled("message"), 10);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 10);
    assert_in_order(0, 10);
    bide_relay_destroy(relay);
    bide_sender_destroy(sender);
}

/* In the spool a topic is a queue: its message goes to the broker, which knows the subscriptions. */
static void topics(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_ALWAYS);
    bide_message *message = make_message("t", "@news", "x", 1);
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    assert_int_equal(bide_sender_send(sender, &message, 1, &result, NULL), BIDE_OK);
    bide_message_destroy(message);
    assert_int_equal(spooled("message"), 1);
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 1);
    assert_string_equal(target.seen[0].queue, "@news");
    assert_int_equal(target.n_queues, 2); /* `default`, `slow` of the configuration: a topic is none */
    bide_relay_destroy(relay);
    assert_int_equal(spooled("dead"), 0);
    bide_sender_destroy(sender);
}

/* It is a dead letter of the spool, and the others go on. */
static void refused_later(void **state)
{
    struct bide_sender *sender = open_spool(*state, BIDE_SPOOL_ALWAYS);
    enum bide_sent results[5];
    assert_int_equal(send_some(sender, 0, 5, "no", results, NULL), BIDE_OK);
    target.refused = "no";
    struct bide_relay *relay = make_relay(*state, FILE_URL);
    go_until(relay, 4);
    go_until_empty(relay);
    bide_relay_destroy(relay);
    assert_int_equal(spooled("dead"), 1);
    bide_sender_destroy(sender);
}

/* ---- looking ---- */

static void what_is_told(void **state)
{
    struct stage *stage = *state;
    struct bide_spool_state told;
    bide_error error = {0};
    struct bide_config *config =
        load("spool: { url = \"sqlite:out.db\"; mode = \"always\"; max = \"2MiB\"; };"
             "broker = \"redis://localhost\";");
    assert_int_equal(config->spool.mode, BIDE_SPOOL_ALWAYS);
    assert_int_equal(config->spool.max_bytes, 2 * MAX_BYTES);
    assert_int_equal(config->n_relays, 1);
    assert_string_equal(config->relays[0].from, "sqlite:out.db");
    assert_string_equal(config->relays[0].to, "redis://localhost");
    if (bide_spool_look(config, &told, &error) != BIDE_OK) /* no file yet */
        fail_msg("%s", error.text);
    assert_true(told.waiting == 0 && told.bytes == 0 && told.room_bytes == -1 && !told.is_carried);
    struct bide_sender *sender = open_spool(stage, BIDE_SPOOL_ALWAYS);
    send_ok(sender, 0, 5);
    assert_int_equal(bide_spool_look(config, &told, &error), BIDE_OK);
    assert_true(told.waiting == 5 && told.bytes > 4096 && told.room_bytes >= 0 && told.refused == 0 &&
                !told.is_carried);
    struct bide_relay *relay = make_relay(stage, FILE_URL);
    go_until(relay, 5);
    go_until_empty(relay);
    assert_int_equal(bide_spool_look(config, &told, &error), BIDE_OK);
    assert_true(told.waiting == 0 && told.is_carried);
    bide_relay_destroy(relay);
    bide_sender_destroy(sender);
    bide_config_destroy(config);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, raise_stage, strike_stage)

static const struct CMUnitTest tests[] = {
    CASE(sends_directly),
    CASE(the_broker_refuses),
    CASE(a_wrong_password),
    CASE(nothing_overtakes),
    CASE(the_last_one_under_way),
    CASE(half_of_it),
    CASE(comes_back),
    CASE(always),
    CASE(topics),
    CASE(refused_later),
    CASE(what_is_told),
};

UNIT_MAIN(tests)
