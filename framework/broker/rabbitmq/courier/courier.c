#include "broker/rabbitmq/courier/inside.h"

#include <poll.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"

enum {
    REFUSED_PAUSE_US = 50000,
    ROUND = 8, /* denied items that are tried again in one round; each may cost a connection */
    PATIENCE_US = 5 * 1000 * 1000, /* how long to wait for items in flight before reconnecting to declare */
};

static void list_destroy(struct list *list)
{
    for (struct bide_rmq_posting *posting = list_take(list), *next; posting; posting = next) {
        next = posting->next;
        bide_rmq_posting_destroy(posting);
    }
}

/* ---- publishing (courier thread) ---- */

static int64_t now_us(const struct bide_rmq_courier *courier)
{
    return bide_mono_us(courier->settings->clock);
}

static void items_init(struct items *items)
{
    items->first = NULL;
    items->end = &items->first;
}

static void items_add(struct items *items, struct bide_rmq_item *item)
{
    item->next = NULL;
    *items->end = item;
    items->end = &item->next;
}

static struct bide_rmq_item *items_take(struct items *items)
{
    struct bide_rmq_item *item = items->first;
    items->first = item->next;
    if (!items->first)
        items->end = &items->first;
    return item;
}

static struct shared *channel_of(struct bide_rmq_courier *courier, const struct bide_rmq_posting *posting)
{
    return &courier->channels[bide_rmq_delivery_channel(posting->delivery)];
}

static void add_item(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    items_add(item->is_suspect ? &courier->suspects : &courier->waiting, item);
}

static void close_item(struct bide_rmq_courier *courier, struct bide_rmq_posting *posting)
{
    if (--posting->n_open > 0)
        return;
    if (posting->is_stuck) {
        atomic_fetch_sub(&channel_of(courier, posting)->stuck, 1);
        atomic_fetch_sub(&courier->n_stuck, 1);
        atomic_fetch_sub(&courier->stuck_bytes, posting->delivery->charge);
    }
    list_add(&courier->finished, posting);
}

static void give_up(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    item->posting->given_up = true;
    close_item(courier, item->posting);
}

/* Puts an item aside that the broker denies, to be tried again later. Its delivery no longer counts against
 * its queue's limit, so that it does not hold up others. */
static void deny(struct bide_rmq_courier *courier, struct bide_rmq_item *item, const char *error)
{
    if (!courier->denied.first && courier->denials.failures == 0)
        bide_log(BIDE_LOG_WARN, "the broker refuses a message: it waits and is published again",
            BIDE_STR("id", item->posting->delivery->base.message->id), BIDE_STR("error", error));
    if (bide_reconnect_is_due(&courier->denials, now_us(courier)))
        bide_reconnect_failed(&courier->denials, now_us(courier));
    if (!item->posting->is_stuck) {
        atomic_fetch_add(&channel_of(courier, item->posting)->stuck, 1);
        atomic_fetch_add(&courier->n_stuck, 1);
        atomic_fetch_add(&courier->stuck_bytes, item->posting->delivery->charge);
        bide_wakeup_signal(courier->done);
        atomic_store(&courier->has_outbox, true);
    }
    item->posting->is_stuck = item->is_suspect = true;
    items_add(&courier->denied, item);
}

static void on_confirmed(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    BIDE_KILL_POINT("worker/rabbitmq-confirmed");
    if (item->posting->is_stuck && courier->denials.failures) {
        bide_log(BIDE_LOG_INFO, "the broker takes a message that it refused",
            BIDE_STR("id", item->posting->delivery->base.message->id));
        bide_reconnect_succeeded(&courier->denials); /* the broker may take the others too */
    }
    close_item(courier, item->posting);
}

static void note_missing_queue(struct bide_rmq_courier *courier)
{
    if (courier->declare_since_us == 0)
        courier->declare_since_us = now_us(courier);
}

static void on_outcome(void *owner, void *user, enum bide_rmq_outcome outcome)
{
    struct bide_rmq_courier *courier = owner;
    struct bide_rmq_item *item = user;
    switch (outcome) {
    case BIDE_RMQ_CONFIRMED:
        on_confirmed(courier, item);
        break;
    case BIDE_RMQ_REFUSED:
        courier->pause_until_us = now_us(courier) + REFUSED_PAUSE_US;
        add_item(courier, item);
        break;
    case BIDE_RMQ_RETURNED:
        note_missing_queue(courier);
        deny(courier, item, "there is no such queue");
        break;
    case BIDE_RMQ_UNKNOWN:
        add_item(courier, item);
        break;
    case BIDE_RMQ_SUSPECT:
        item->is_suspect = true;
        add_item(courier, item);
        break;
    case BIDE_RMQ_DENIED:
        deny(courier, item, courier->publisher.denial.text);
        break;
    }
}

static void take_inbox(struct bide_rmq_courier *courier)
{
    pthread_mutex_lock(&courier->lock);
    struct bide_rmq_posting *postings = list_take(&courier->inbox);
    pthread_mutex_unlock(&courier->lock);
    for (; postings; postings = postings->next)
        for (size_t i = 0; i < postings->n_items; i++)
            add_item(courier, &postings->items[i]);
}

/* Has the channel of the posting's delivery ended? Then the broker hands the message out again. */
static bool is_stale(struct bide_rmq_courier *courier, const struct bide_rmq_item *item)
{
    const struct bide_rmq_posting *posting = item->posting;
    return posting->given_up ||
           posting->delivery->generation != atomic_load(&channel_of(courier, posting)->generation);
}

static void put_item(struct bide_rmq_courier *courier, struct bide_rmq_item *item)
{
    bide_error error;
    if (is_stale(courier, item)) {
        give_up(courier, item);
        return;
    }
    bide_code code = bide_rmq_parcel_put(&courier->publisher, item, &error);
    if (code == BIDE_OK) {
        BIDE_KILL_POINT("worker/rabbitmq-published");
    } else if (code == BIDE_E_NOMEM) {
        bide_log(BIDE_LOG_ERROR, "cannot publish", BIDE_STR("id", item->posting->delivery->base.message->id),
            BIDE_STR("error", error.text));
        give_up(courier, item);
    } else {
        deny(courier, item, error.text);
    }
}

/* Tries some of the denied items again. If the broker takes one of them, the others follow. */
static void begin_round(struct bide_rmq_courier *courier)
{
    if (!courier->denied.first || courier->suspects.first ||
        !bide_reconnect_is_due(&courier->denials, now_us(courier)))
        return;
    bide_rmq_publisher_forget_denials(&courier->publisher);
    for (int i = 0; i < ROUND && courier->denied.first; i++)
        items_add(&courier->suspects, items_take(&courier->denied));
}

/* Is a suspect in flight, or waiting until the items before it are answered? */
static bool is_searching(const struct bide_rmq_courier *courier)
{
    return courier->suspects.first || (courier->is_alone && courier->publisher.n_waiting > 0);
}

static bool could_put(const struct bide_rmq_courier *courier)
{
    const struct bide_rmq_publisher *publisher = &courier->publisher;
    bool has = courier->suspects.first ? publisher->n_waiting == 0
                                       : courier->waiting.first && !is_searching(courier);
    return has && !bide_rmq_publisher_is_full(publisher);
}

static void put_items(struct bide_rmq_courier *courier)
{
    begin_round(courier);
    while (could_put(courier)) {
        courier->is_alone = courier->suspects.first != NULL;
        put_item(courier, items_take(courier->is_alone ? &courier->suspects : &courier->waiting));
    }
}

static void drop_stale(struct bide_rmq_courier *courier, struct items *items)
{
    struct bide_rmq_item *item = items->first;
    items_init(items);
    for (struct bide_rmq_item *next; item; item = next) {
        next = item->next;
        if (is_stale(courier, item))
            give_up(courier, item);
        else
            items_add(items, item);
    }
}

/* Gives up the items whose deliveries came by a channel that has ended since the last call. */
static void drop_all_stale(struct bide_rmq_courier *courier)
{
    uint32_t changes = atomic_load(&courier->changes);
    if (changes == courier->changes_seen)
        return;
    courier->changes_seen = changes;
    drop_stale(courier, &courier->waiting);
    drop_stale(courier, &courier->suspects);
    drop_stale(courier, &courier->denied);
}

static void deliver_finished(struct bide_rmq_courier *courier)
{
    struct bide_rmq_posting *postings = list_take(&courier->finished);
    if (!postings)
        return;
    pthread_mutex_lock(&courier->lock);
    for (struct bide_rmq_posting *next; postings; postings = next) {
        next = postings->next;
        list_add(&courier->outbox, postings);
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

static void take_answer(struct bide_rmq_courier *courier)
{
    const struct bide_rmq_publisher *publisher = &courier->publisher;
    struct shared *channel = &courier->channels[courier->asking];
    int asked = BIDE_RMQ_ASKED;
    int64_t uncounted = BIDE_RMQ_UNCOUNTED;
    atomic_compare_exchange_strong(
        &channel->look, &asked, publisher->answer == 0 ? BIDE_RMQ_EMPTY : BIDE_RMQ_SOMETHING);
    if (atomic_compare_exchange_strong(&channel->consumers, &uncounted, publisher->consumers)) {
        bide_wakeup_signal(courier->done);
        atomic_store(&courier->has_outbox, true);
    }
}

/* Takes the answer to the last question and asks the next one. */
static void look(struct bide_rmq_courier *courier)
{
    struct bide_rmq_publisher *publisher = &courier->publisher;
    if (publisher->has_answer)
        take_answer(courier);
    publisher->has_answer = false;
    if (publisher->is_asking)
        return;
    for (size_t i = 0; i < BIDE_RMQ_PARTS * courier->settings->n_queues; i++) {
        const struct shared *channel = &courier->channels[i];
        if (atomic_load(&channel->look) != BIDE_RMQ_ASKED &&
            atomic_load(&channel->consumers) != BIDE_RMQ_UNCOUNTED)
            continue;
        courier->asking = i;
        bide_rmq_publisher_ask(publisher, bide_rmq_queue_of_channel(courier->settings, i));
        return;
    }
}

/* Reconnects, because opening a connection declares what is missing. Waits first for the items in flight: if
 * the connection closes before their confirms, they are published twice. */
static void declare_missing(struct bide_rmq_courier *courier)
{
    int64_t now = now_us(courier);
    if (courier->publisher.n_waiting > 0 && now < courier->declare_since_us + PATIENCE_US)
        return;
    bide_rmq_publisher_close(&courier->publisher);
    courier->publisher.must_declare = true;
    bide_reconnect_failed(&courier->reconnect, now);
    courier->declare_since_us = 0;
}

static void publish(struct bide_rmq_courier *courier)
{
    bide_error error;
    if (now_us(courier) >= courier->pause_until_us && courier->declare_since_us == 0)
        put_items(courier);
    look(courier);
    if (bide_rmq_publisher_serve(&courier->publisher, 0, &error) != BIDE_OK) {
        bide_log(BIDE_LOG_WARN, "publishing connection lost", BIDE_STR("error", error.text));
        bide_reconnect_failed(&courier->reconnect, now_us(courier));
    } else if (courier->declare_since_us) {
        declare_missing(courier);
    }
}

static int64_t until(int64_t moment_us, int64_t now)
{
    return moment_us > now ? moment_us - now : 0;
}

static int64_t wait_us(const struct bide_rmq_courier *courier)
{
    int64_t now = now_us(courier);
    if (!bide_rmq_publisher_is_open(&courier->publisher))
        return bide_reconnect_wait_us(&courier->reconnect, now);
    if (courier->publisher.has_answer) /* look() takes the answer and asks the next question */
        return 0;
    int64_t wait = bide_rmq_link_beat_us(&courier->publisher.link);
    if (courier->declare_since_us)
        return bide_rmq_sooner(wait, until(courier->declare_since_us + PATIENCE_US, now));
    if (could_put(courier))
        return until(courier->pause_until_us, now);
    if (courier->denied.first && !courier->suspects.first)
        wait = bide_rmq_sooner(wait, bide_reconnect_wait_us(&courier->denials, now));
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
        drop_all_stale(courier);
        if (!bide_rmq_publisher_is_open(&courier->publisher))
            connect_again(courier);
        if (bide_rmq_publisher_is_open(&courier->publisher))
            publish(courier);
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

static void give_up_all(struct bide_rmq_courier *courier, struct items *items)
{
    while (items->first)
        give_up(courier, items_take(items));
}

static void clear(struct bide_rmq_courier *courier)
{
    bide_rmq_publisher_release(&courier->publisher); /* gives up the items in flight */
    give_up_all(courier, &courier->waiting);
    give_up_all(courier, &courier->suspects);
    give_up_all(courier, &courier->denied);
    list_destroy(&courier->inbox);
    list_destroy(&courier->outbox);
    list_destroy(&courier->finished);
    bide_wakeup_close(&courier->wakeup);
    bide_free(courier->channels);
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
    items_init(&courier->waiting);
    items_init(&courier->suspects);
    items_init(&courier->denied);
    pthread_mutex_init(&courier->lock, NULL);
    list_init(&courier->inbox);
    list_init(&courier->outbox);
    list_init(&courier->finished);
    bide_rmq_publisher_init(&courier->publisher, settings, on_outcome, courier);
    courier->channels = bide_calloc(BIDE_RMQ_PARTS * settings->n_queues + 1, sizeof *courier->channels);
    bide_code code =
        courier->channels ? start(courier, error) : bide_fail(error, BIDE_E_NOMEM, "out of memory");
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
