#include "support/broker_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum { TIMEOUT_MS = 20000, COUNTS_MS = 60000, MAX_BODY = 1 << 20, BATCH = 1000, CASE_LIMIT_S = 400 };

static void options_init(struct fixture *fixture)
{
    fixture->options = (struct bide_broker_options){
        .url = &fixture->url,
        .name_space = fixture->name_space,
        .base_dir = ".",
        .queues = fixture->queues,
        .n_queues = FIXTURE_QUEUES,
        .client_name = "bide contract suite",
        .timeout_ms = TIMEOUT_MS,
        .max_body = MAX_BODY,
        .clock = bide_clock_system(),
    };
}

bide_code fixture_adopt(struct fixture *fixture, const struct broker_settings *settings,
    const char *name_space, const char *const *queues, bide_error *error)
{
    *fixture = (struct fixture){.settings = settings};
    snprintf(fixture->name_space, sizeof fixture->name_space, "%s", name_space);
    for (size_t i = 0; i < FIXTURE_QUEUES; i++) {
        snprintf(fixture->names[i], sizeof fixture->names[i], "%s", queues[i]);
        fixture->queues[i] = fixture->names[i];
    }
    bide_code code = bide_url_parse(settings->url, &fixture->url, error);
    if (code == BIDE_OK)
        code = bide_adapter_find(&fixture->url, &fixture->adapter, error);
    if (code == BIDE_OK)
        options_init(fixture);
    return code;
}

/* The names of a case: a namespace of its own, or else queues of its own in a shared one. */
static bide_code begin(
    struct fixture *fixture, const struct broker_settings *settings, unsigned serial, bide_error *error)
{
    char name_space[48], alpha[48] = "alpha", beta[48] = "beta";
    int pid = (int)getpid();
    if (settings->share_namespace) {
        snprintf(name_space, sizeof name_space, "contract-%d", pid);
        snprintf(alpha, sizeof alpha, "alpha-%u", serial);
        snprintf(beta, sizeof beta, "beta-%u", serial);
    } else {
        snprintf(name_space, sizeof name_space, "contract-%d-%u", pid, serial);
    }
    const char *queues[] = {alpha, beta};
    bide_code code = fixture_adopt(fixture, settings, name_space, queues, error);
    fixture->serial = serial;
    return code;
}

int fixture_setup(void **state)
{
    static unsigned serial;
    struct fixture *fixture = bide_calloc(1, sizeof *fixture);
    bide_error error;
    if (!fixture)
        return -1;
    if (begin(fixture, *state, ++serial, &error) != BIDE_OK) {
        print_error("%s\n", error.text);
        bide_url_clear(&fixture->url);
        bide_free(fixture);
        return -1;
    }
    alarm(CASE_LIMIT_S); /* a call that never returns ends the program, which says in which case */
    *state = fixture;
    return 0;
}

void fixture_clear(struct fixture *fixture)
{
    for (size_t i = 0; i < FIXTURE_CHILDREN; i++)
        child_kill(&fixture->children[i]);
    for (size_t i = 0; i < FIXTURE_HANDS; i++)
        hand_close(&fixture->hands[i]);
    bide_sender_destroy(fixture->sender);
    bide_admin_destroy(fixture->admin);
    bide_url_clear(&fixture->url);
}

int fixture_teardown(void **state)
{
    alarm(0);
    fixture_clear(*state);
    bide_free(*state);
    return 0;
}

struct bide_sender *fixture_sender(struct fixture *fixture)
{
    bide_error error;
    if (!fixture->sender)
        assert_ok(fixture->adapter->open_sender(&fixture->options, &fixture->sender, &error), &error);
    return fixture->sender;
}

struct bide_admin *fixture_admin(struct fixture *fixture)
{
    bide_error error;
    if (!fixture->admin)
        assert_ok(fixture->adapter->open_admin(&fixture->options, &fixture->admin, &error), &error);
    return fixture->admin;
}

/* ---- messages ---- */

const char *fixture_id(const struct fixture *fixture, size_t i, char to[FIXTURE_ID])
{
    snprintf(to, FIXTURE_ID, "m%u-%06zu", fixture->serial, i);
    return to;
}

size_t fixture_index(const struct fixture *fixture, const char *id)
{
    unsigned serial;
    size_t index;
    if (sscanf(id, "m%u-%zu", &serial, &index) != 2 || serial != fixture->serial)
        return SIZE_MAX;
    return index;
}

struct bide_message *fixture_message(const struct fixture *fixture, size_t i, int64_t delay_ms)
{
    struct bide_message *message;
    bide_error error;
    char id[FIXTURE_ID];
    assert_ok(bide_message_create("job", &message, &error), &error);
    assert_ok(bide_message_set_id(message, fixture_id(fixture, i, id), &error), &error);
    assert_ok(bide_message_set_queue(message, fixture->queues[0], &error), &error);
    assert_ok(bide_message_set_body(message, id, strlen(id), &error), &error);
    assert_ok(bide_message_set_delay_ms(message, delay_ms, &error), &error);
    return message;
}

void fixture_send(struct fixture *fixture, struct bide_message *message)
{
    fixture_send_many(fixture, &message, 1);
}

void fixture_send_many(struct fixture *fixture, struct bide_message **messages, size_t n)
{
    bide_error error;
    enum bide_sent *results = bide_calloc(n + 1, sizeof *results);
    assert_non_null(results);
    for (size_t i = 0; i < n; i++)
        assert_ok(bide_message_stamp(messages[i], fixture->queues[0], bide_clock_system(), &error), &error);
    assert_ok(bide_sender_send(fixture_sender(fixture), messages, n, results, &error), &error);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(results[i], BIDE_SENT_OK);
        bide_message_destroy(messages[i]);
    }
    bide_free(results);
}

void fixture_fill(struct fixture *fixture, size_t queue, size_t first, size_t n, int64_t delay_ms)
{
    struct bide_message *batch[BATCH];
    bide_error error;
    for (size_t done = 0; done < n;) {
        size_t size = n - done < BATCH ? n - done : BATCH;
        for (size_t i = 0; i < size; i++) {
            batch[i] = fixture_message(fixture, first + done + i, delay_ms);
            assert_ok(bide_message_set_queue(batch[i], fixture->queues[queue], &error), &error);
        }
        fixture_send_many(fixture, batch, size);
        done += size;
    }
}

/* ---- looking ---- */

struct bide_queue_stats fixture_stats(struct fixture *fixture, size_t queue)
{
    struct bide_queue_stats found = {.name = ""};
    struct bide_broker_stats stats;
    bide_error error;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->stats(admin, &stats, &error), &error);
    for (size_t i = 0; i < stats.n_queues; i++)
        if (strcmp(stats.queues[i].name, fixture->queues[queue]) == 0)
            found = stats.queues[i];
    bide_broker_stats_clear(&stats);
    return found;
}

int64_t fixture_delayed_total(struct fixture *fixture)
{
    struct bide_broker_stats stats;
    bide_error error;
    struct bide_admin *admin = fixture_admin(fixture);
    assert_ok(admin->ops->stats(admin, &stats, &error), &error);
    int64_t total = stats.delayed_total;
    bide_broker_stats_clear(&stats);
    return total;
}

bool fixture_counts_all(const struct fixture *fixture)
{
    return strcmp(fixture->adapter->name, "rabbitmq") != 0;
}

static bool counts_match(
    const struct fixture *fixture, const struct bide_queue_stats *have, const struct bide_queue_stats *want)
{
    if (have->ready != want->ready || have->dead != want->dead)
        return false;
    return !fixture_counts_all(fixture) ||
           (have->delayed == want->delayed && have->in_flight == want->in_flight);
}

void fixture_expect_counts(
    struct fixture *fixture, size_t queue, int64_t ready, int64_t delayed, int64_t in_flight, int64_t dead)
{
    struct bide_queue_stats want = {.ready = ready, .delayed = delayed, .in_flight = in_flight, .dead = dead};
    struct deadline deadline = deadline_in_ms(COUNTS_MS);
    struct bide_queue_stats have = fixture_stats(fixture, queue);
    while (!counts_match(fixture, &have, &want) && !deadline_passed(&deadline)) {
        deadline_nap(&deadline);
        have = fixture_stats(fixture, queue);
    }
    if (!counts_match(fixture, &have, &want))
        fail_msg(
            "queue '%s' has ready %lld delayed %lld in flight %lld dead %lld, wanted %lld %lld %lld %lld",
            fixture->queues[queue], (long long)have.ready, (long long)have.delayed, (long long)have.in_flight,
            (long long)have.dead, (long long)ready, (long long)delayed, (long long)in_flight,
            (long long)dead);
}
