/* tests/facts/bare.h: RabbitMQ by rabbitmq-c alone, nothing of bide's: what the broker does, seen directly.
 *
 * A test gets a `struct bare` in *state: a connection with two open channels and a prefix of its own for
 * names. Calls fail the test when the broker refuses, unless they say what they return. One thread. */
#ifndef TESTS_FACTS_BARE_H
#define TESTS_FACTS_BARE_H

#include "broker/rabbitmq/api.h"
#include "support/test.h"

struct bare {
    amqp_connection_state_t amqp;
    int major, minor;  /* of the broker */
    char prefix[32];   /* of this test's names */
    char names[8][64]; /* the last few that bare_name made, by turns */
    unsigned turn;
    char last_error[256]; /* of a channel that the broker closed */
};

enum { BARE_CHANNEL = 1, BARE_OTHER = 2, BARE_ARGUMENTS = 8, BARE_TIMEOUT_MS = 2000 };

/* A table of arguments or headers, filled one by one. */
struct bare_table {
    amqp_table_entry_t entries[BARE_ARGUMENTS];
    int n;
};

/* Of the broker, for all tests: before the first. Its consumer_timeout is BARE_TIMEOUT_MS, and it looks twice
 * a second (channel_tick_interval); `stranger` is the URL of a user without any right, `reader` of one who
 * may read. */
struct bare_urls {
    const char *url, *stranger, *reader;
};
void bare_use(const struct bare_urls *urls);
const struct bare_urls *bare_used(void);
int bare_setup(void **state);
int bare_teardown(void **state); /* deletes nothing: the server is the tests' own */
/* Another connection; logs in with `capabilities` or with none but the library's. */
amqp_connection_state_t bare_connect(const amqp_table_t *capabilities);
/* As another user; channel 2 is open as well. */
amqp_connection_state_t bare_connect_as(const char *url);
/* Is the broker of this version or a newer one? */
bool bare_is_from(const struct bare *bare, int major, int minor);
int64_t bare_now_ms(void);

/* "<prefix>.<end>", valid for the next few calls. */
const char *bare_name(struct bare *bare, const char *end);

void bare_put_text(struct bare_table *table, const char *key, const char *text);
void bare_put_number(struct bare_table *table, const char *key, int64_t number);
/* "quorum" or "classic", expiring after ttl_ms (0: not) to `exchange` with its own key, or to `key`. */
struct bare_table bare_queue(const char *type, int64_t ttl_ms, const char *exchange, const char *key);
/* As a quorum holding queue: at least once, with this overflow. */
struct bare_table bare_holding(int64_t ttl_ms, const char *exchange, const char *key, const char *overflow);

/* 0, or the code with which the broker refused (the channel is open again). */
int bare_try_declare(struct bare *bare, const char *queue, struct bare_table table);
void bare_declare(struct bare *bare, const char *queue, struct bare_table table);
/* A direct exchange; `alternate` may be NULL. */
void bare_exchange(struct bare *bare, const char *exchange, const char *alternate);
void bare_bind(struct bare *bare, const char *queue, const char *exchange, const char *key);
/* As bare_try_declare, but passive. */
int bare_try_look(struct bare *bare, const char *queue);
/* Messages ready there; -1: there is no such queue. */
int64_t bare_depth(struct bare *bare, const char *queue);
/* Waits until that many are ready; how long it took, or -1 when they are not within `ms`. */
int64_t bare_await(struct bare *bare, const char *queue, int64_t depth, int64_t ms);

/* To the default exchange where `exchange` is "". `expiration` and `headers` may be NULL. */
void bare_publish(struct bare *bare, const char *exchange, const char *key, const char *expiration,
    const amqp_table_t *headers);
/* Takes one message without acknowledging it. The tag; 0: there was none. Its properties stay valid until the
 * next call, if asked for. */
uint64_t bare_get(struct bare *bare, const char *queue, amqp_message_t *ret_message);
void bare_requeue(struct bare *bare, uint64_t tag);
/* The next method frame of channel 1 or the connection, its content skipped; 0 after `ms` without one. */
amqp_method_number_t bare_next(struct bare *bare, int64_t ms, amqp_method_t *ret_method);

#endif
