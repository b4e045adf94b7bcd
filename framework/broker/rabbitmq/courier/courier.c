#include "broker/rabbitmq/courier/courier.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/killpoint.h"
#include "base/alloc.h"
#include "bide/log.h"
#include "broker/rabbitmq/courier/parcel.h"
#include "broker/reconnect.h"

enum { REFUSED_PAUSE_US = 50000 };

struct list {
    struct bide_rmq_job *first, **end;
};

struct bide_rmq_courier {
    const struct bide_rmq_settings *settings;
    const struct bide_wakeup *done;
    struct bide_wakeup wakeup; /* jobs in the inbox, or the end */
    pthread_t thread;
    atomic_bool ending;
    atomic_bool has_outbox;
    _Atomic uint32_t generation;
    pthread_mutex_t lock; /* of the two lists */
    _Atomic int *looks;   /* by channel: enum bide_rmq_look */
    struct list inbox, outbox;
    /* the rest is the courier thread's */
    struct bide_rmq_publisher publisher;
    struct bide_reconnect reconnect;
    struct bide_rmq_item *first, **end; /* items to be put in */
    struct list finished;
    int64_t pause_until_us; /* the broker refused something: not before */
    bool must_declare;      /* a queue is missing */
    size_t asking;          /* the channel the question is about */
};

/* ---- lists ---- */

static void list_init(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct list *list, struct bide_rmq_job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static struct bide_rmq_job *list_take(struct list *list)
{
    struct bide_rmq_job *first = list->first;
    list_init(list);
    return first;
}

static void list_destroy(struct list *list)
{
    for (struct bide_rmq_job *job = list_take(list), *next; job; job = next) {
        next = job->next;
        bide_rmq_job_destroy(job);
    }
}

/* ---- the intake's side ---- */

void bide_rmq_courier_hand(struct bide_rmq_courier *courier, struct bide_rmq_job *job)
{
    pthread_mutex_lock(&courier->lock);
    list_add(&courier->inbox, job);
    pthread_mutex_unlock(&courier->lock);
}

void bide_rmq_courier_wake(struct bide_rmq_courier *courier)
{
    bide_wakeup_signal(&courier->wakeup);
}

bool bide_rmq_courier_has(const struct bide_rmq_courier *courier)
{
    return atomic_load(&courier->has_outbox);
}

struct bide_rmq_job *bide_rmq_courier_take(struct bide_rmq_courier *courier)
{
    atomic_store(&courier->has_outbox, false);
    pthread_mutex_lock(&courier->lock);
    struct bide_rmq_job *jobs = list_take(&courier->outbox);
    pthread_mutex_unlock(&courier->lock);
    return jobs;
}

void bide_rmq_courier_set_generation(struct bide_rmq_courier *courier, uint32_t generation)
{
    atomic_store(&courier->generation, generation);
}

void bide_rmq_courier_look(struct bide_rmq_courier *courier, size_t channel)
{
    atomic_store(&courier->looks[channel], BIDE_RMQ_ASKED);
}

enum bide_rmq_look bide_rmq_courier_seen(struct bide_rmq_courier *courier, size_t channel)
{
    int seen = atomic_load(&courier->looks[channel]);
    if (seen != BIDE_RMQ_ASKED)
        atomic_store(&courier->looks[channel], BIDE_RMQ_NOT_ASKED);
    return (enum bide_rmq_look)seen;
}

/* ---- the courier's side ---- */

static int64_t now_us(const struct bide_rmq_courier *courier)
{
    return bide_mono_us(courier->settings->clock);
}

static void add_item(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    item->next = NULL;
    *courier->end = item;
    courier->end = &item->next;
}

static struct bide_rmq_item *take_item(struct bide_rmq_courier *courier)
{
    struct bide_rmq_item *item = courier->first;
    courier->first = item->next;
    if (!courier->first)
        courier->end = &courier->first;
    return item;
}

static void close_item(struct bide_rmq_courier *courier, struct bide_rmq_job *job)
{
    if (--job->n_open == 0)
        list_add(&courier->finished, job);
}

static void on_outcome(void *owner, void *user, enum bide_rmq_outcome outcome)
{
    struct bide_rmq_courier *courier = owner;
    struct bide_rmq_item *item = user;
    if (outcome == BIDE_RMQ_CONFIRMED) {
        BIDE_KILL_POINT("worker/rabbitmq-confirmed");
        close_item(courier, item->job);
        return;
    }
    add_item(courier, item);
    if (outcome == BIDE_RMQ_REFUSED)
        courier->pause_until_us = now_us(courier) + REFUSED_PAUSE_US;
    if (outcome == BIDE_RMQ_RETURNED)
        courier->must_declare = true;
}

static void take_inbox(struct bide_rmq_courier *courier)
{
    pthread_mutex_lock(&courier->lock);
    struct bide_rmq_job *jobs = list_take(&courier->inbox);
    pthread_mutex_unlock(&courier->lock);
    for (; jobs; jobs = jobs->next)
        for (size_t i = 0; i < jobs->n_items; i++)
            add_item(courier, &jobs->items[i]);
}

static void give_up(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    item->job->given_up = true;
    close_item(courier, item->job);
}

static void put_items(struct bide_rmq_courier *courier)
{
    uint32_t generation = atomic_load(&courier->generation);
    while (courier->first && !bide_rmq_publisher_is_full(&courier->publisher)) {
        struct bide_rmq_item *item = take_item(courier);
        bide_error error;
        if (item->job->given_up || item->job->delivery->generation != generation) {
            give_up(courier, item);
            continue;
        }
        if (bide_rmq_parcel_put(&courier->publisher, item, &error) == BIDE_OK) {
            BIDE_KILL_POINT("worker/rabbitmq-published");
            continue;
        }
        bide_log(BIDE_LOG_ERROR, "cannot publish", BIDE_STR("id", item->job->delivery->base.message->id),
            BIDE_STR("error", error.text));
        give_up(courier, item);
    }
}

/* What nobody waits for any more, while there is no connection to publish on. */
static void drop_stale(struct bide_rmq_courier *courier)
{
    uint32_t generation = atomic_load(&courier->generation);
    struct bide_rmq_item *item = courier->first;
    courier->first = NULL;
    courier->end = &courier->first;
    for (struct bide_rmq_item *next; item; item = next) {
        next = item->next;
        if (item->job->delivery->generation != generation)
            give_up(courier, item);
        else
            add_item(courier, item);
    }
}

static void deliver_finished(struct bide_rmq_courier *courier)
{
    struct bide_rmq_job *jobs = list_take(&courier->finished);
    if (!jobs)
        return;
    pthread_mutex_lock(&courier->lock);
    for (struct bide_rmq_job *next; jobs; jobs = next) {
        next = jobs->next;
        list_add(&courier->outbox, jobs);
    }
    pthread_mutex_unlock(&courier->lock);
    bide_wakeup_signal(courier->done);
    atomic_store(&courier->has_outbox, true);
}

static void connect_again(struct bide_rmq_courier *courier)
{
    bide_error error;
    if (!bide_reconnect_is_due(&courier->reconnect, now_us(courier)))
        return;
    if (bide_rmq_publisher_open(&courier->publisher, "courier", true, &error) == BIDE_OK) {
        bide_reconnect_succeeded(&courier->reconnect);
        return;
    }
    if (courier->reconnect.failures == 0)
        bide_log(BIDE_LOG_WARN, "publishing connection cannot be made", BIDE_STR("error", error.text));
    bide_reconnect_failed(&courier->reconnect, now_us(courier));
}

/* Takes the answer to the last question and asks the next. */
static void look(struct bide_rmq_courier *courier)
{
    struct bide_rmq_publisher *publisher = &courier->publisher;
    if (publisher->has_answer)
        atomic_store(
            &courier->looks[courier->asking], publisher->answer == 0 ? BIDE_RMQ_EMPTY : BIDE_RMQ_SOMETHING);
    publisher->has_answer = false;
    if (publisher->is_asking)
        return;
    for (size_t i = 0; i < 2 * courier->settings->n_queues; i++) {
        const struct bide_rmq_queue *queue = &courier->settings->queues[i / 2];
        if (atomic_load(&courier->looks[i]) != BIDE_RMQ_ASKED)
            continue;
        courier->asking = i;
        bide_rmq_publisher_ask(publisher, i % 2 ? queue->landing : queue->work);
        return;
    }
}

static void publish(struct bide_rmq_courier *courier)
{
    bide_error error;
    if (now_us(courier) >= courier->pause_until_us)
        put_items(courier);
    look(courier);
    if (bide_rmq_publisher_serve(&courier->publisher, 0, &error) != BIDE_OK) {
        bide_log(BIDE_LOG_WARN, "publishing connection lost", BIDE_STR("error", error.text));
        bide_reconnect_failed(&courier->reconnect, now_us(courier));
    } else if (courier->must_declare) {
        bide_rmq_publisher_close(&courier->publisher); /* declaring is part of opening */
        bide_reconnect_failed(&courier->reconnect, now_us(courier));
    }
    courier->must_declare = false;
}

static int64_t wait_us(const struct bide_rmq_courier *courier)
{
    int64_t now = now_us(courier);
    if (!bide_rmq_publisher_is_open(&courier->publisher))
        return bide_reconnect_wait_us(&courier->reconnect, now);
    int64_t wait = bide_rmq_link_beat_us(&courier->publisher.link);
    if (courier->first && courier->pause_until_us > now && (wait < 0 || courier->pause_until_us - now < wait))
        wait = courier->pause_until_us - now;
    return wait;
}

static void sleep_until_needed(struct bide_rmq_courier *courier)
{
    const struct bide_rmq_publisher *publisher = &courier->publisher;
    bool is_waiting = bide_rmq_wire_waiting(&publisher->wire) > 0;
    struct pollfd fds[] = {{.fd = courier->wakeup.fd, .events = POLLIN},
        {.fd = publisher->link.fd, .events = is_waiting ? POLLIN | POLLOUT : POLLIN}};
    int64_t wait = wait_us(courier);
    struct timespec timeout = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    ppoll(fds, 2, wait < 0 ? NULL : &timeout, NULL);
    if (fds[0].revents)
        bide_wakeup_drain(&courier->wakeup);
}

static void *run(void *user)
{
    struct bide_rmq_courier *courier = user;
    while (!atomic_load(&courier->ending)) {
        take_inbox(courier);
        if (!bide_rmq_publisher_is_open(&courier->publisher))
            connect_again(courier);
        if (bide_rmq_publisher_is_open(&courier->publisher))
            publish(courier);
        else
            drop_stale(courier);
        deliver_finished(courier);
        sleep_until_needed(courier);
    }
    return NULL;
}

/* ---- its life ---- */

static bide_code start(struct bide_rmq_courier *courier, bide_error *error)
{
    bide_code code = bide_wakeup_init(&courier->wakeup, error);
    if (code == BIDE_OK)
        code = bide_rmq_publisher_open(&courier->publisher, "courier", true, error);
    if (code == BIDE_OK && pthread_create(&courier->thread, NULL, run, courier) != 0)
        code = bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread");
    return code;
}

static void clear(struct bide_rmq_courier *courier)
{
    bide_rmq_publisher_release(&courier->publisher); /* hands back what is in flight */
    for (struct bide_rmq_item *item; courier->first;) {
        item = take_item(courier);
        give_up(courier, item);
    }
    list_destroy(&courier->inbox);
    list_destroy(&courier->outbox);
    list_destroy(&courier->finished);
    bide_wakeup_close(&courier->wakeup);
    bide_free(courier->looks);
    pthread_mutex_destroy(&courier->lock);
    bide_free(courier);
}

bide_code bide_rmq_courier_create(const struct bide_rmq_settings *settings, const struct bide_wakeup *done,
    struct bide_rmq_courier **ret_courier, bide_error *error)
{
    struct bide_rmq_courier *courier = bide_calloc(1, sizeof *courier);
    if (!courier)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    courier->settings = settings;
    courier->done = done;
    courier->wakeup.fd = -1;
    courier->end = &courier->first;
    pthread_mutex_init(&courier->lock, NULL);
    list_init(&courier->inbox);
    list_init(&courier->outbox);
    list_init(&courier->finished);
    bide_rmq_publisher_init(&courier->publisher, settings, on_outcome, courier);
    courier->looks = bide_calloc(2 * settings->n_queues + 1, sizeof *courier->looks);
    bide_code code = courier->looks ? start(courier, error) : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK) {
        clear(courier);
        return code;
    }
    *ret_courier = courier;
    return BIDE_OK;
}

void bide_rmq_courier_destroy(struct bide_rmq_courier *courier)
{
    if (!courier)
        return;
    atomic_store(&courier->ending, true);
    bide_wakeup_signal(&courier->wakeup);
    pthread_join(courier->thread, NULL);
    clear(courier);
}
