/* tests/support/broker_fixture.h: one contract case's view of a broker: names of its own, a sender, an admin,
 * receivers ("hands", support/hand.h) and child processes, all cleaned up at the end, however the case ended.
 *
 * Thread-safety: the test's thread, except where a comment says otherwise. Functions without a bide_code
 * assert. */
#ifndef TESTS_SUPPORT_BROKER_FIXTURE_H
#define TESTS_SUPPORT_BROKER_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "broker/broker.h"
#include "support/hand.h"
#include "support/test.h"

/* What the program was called with; lives for the whole run. */
struct broker_settings {
    const char *url;
    bool share_namespace; /* one namespace for all cases (RabbitMQ's ladder has 113 queues), fresh queues each
                           */
    const char *program;  /* this program's path, to start children */
};

enum { FIXTURE_QUEUES = 2, FIXTURE_HANDS = 4, FIXTURE_CHILDREN = 4 };

/* A child process of the same program in another role. */
struct child {
    pid_t pid; /* 0: none */
    int in;    /* its standard input */
    int out;   /* its standard output */
};

struct fixture {
    const struct broker_settings *settings;
    const struct bide_adapter *adapter;
    struct bide_url url;
    struct bide_broker_options options; /* for the next open; a case may change them */
    unsigned serial;                    /* of this case within this process */
    char name_space[48];
    char names[FIXTURE_QUEUES][BIDE_NAME_MAX + 1];
    const char *queues[FIXTURE_QUEUES];
    struct bide_sender *sender;
    struct bide_admin *admin;
    struct hand hands[FIXTURE_HANDS];
    struct child children[FIXTURE_CHILDREN];
};

/* cmocka's setup and teardown; the test's initial_state points to the broker_settings. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* For a child: the names are the parent's. No sender, no admin. Returns a failure, asserts nothing. */
bide_code fixture_adopt(struct fixture *fixture, const struct broker_settings *settings,
    const char *name_space, const char *const *queues, bide_error *error);
void fixture_clear(struct fixture *fixture);

/* Opened on first use, with the options of that moment. */
struct bide_sender *fixture_sender(struct fixture *fixture);
struct bide_admin *fixture_admin(struct fixture *fixture);

/* ---- messages ---- */

enum { FIXTURE_ID = 64 };
/* The id of the i-th message of this case: no other case has it. Any thread. */
const char *fixture_id(const struct fixture *fixture, size_t i, char to[FIXTURE_ID]);
/* The i of an id; asserts nothing. SIZE_MAX: not one of ours. Any thread. */
size_t fixture_index(const struct fixture *fixture, const char *id);
/* A message of type "job" for the first queue, due after delay_ms, not yet stamped. */
struct bide_message *fixture_message(const struct fixture *fixture, size_t i, int64_t delay_ms);
/* Stamps, sends, asserts that all were confirmed, and destroys them. */
void fixture_send(struct fixture *fixture, struct bide_message *message);
void fixture_send_many(struct fixture *fixture, struct bide_message **messages, size_t n);
/* n messages, ids first … first + n - 1, sent in one batch to queue number `queue`. */
void fixture_fill(struct fixture *fixture, size_t queue, size_t first, size_t n, int64_t delay_ms);

/* ---- looking ---- */

/* The figures of one of the case's queues. */
struct bide_queue_stats fixture_stats(struct fixture *fixture, size_t queue);
int64_t fixture_delayed_total(struct fixture *fixture);
/* Can this broker tell how many of one queue are delayed or in flight? */
bool fixture_counts_all(const struct fixture *fixture);
/* Waits until a queue holds so many; counts that the broker cannot tell are not compared. */
void fixture_expect_counts(
    struct fixture *fixture, size_t queue, int64_t ready, int64_t delayed, int64_t in_flight, int64_t dead);

/* ---- children ---- */

/* Starts this program as `--child role number`; it finds the case's names on its command line. Skips the case
 * where the broker is of one process. */
struct child *fixture_spawn(struct fixture *fixture, const char *role, size_t number);
/* Reads one line of what the child says and asserts that it is `line`. */
void child_expect(struct child *child, const char *line, int64_t within_ms);
void child_tell(struct child *child, const char *line);
void child_kill(struct child *child); /* SIGKILL, and waits for its end */

#endif
