#include "broker/redis/keeper.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/wakeup.h"
#include "bide/log.h"
#include "broker/reconnect.h"
#include "broker/redis/identity.h"
#include "broker/redis/keys.h"
#include "broker/redis/takeover.h"

/* After a server's restart nobody's heartbeat is there: others get the time to come back before they count as
 * dead. */
enum { GRACE_AGAIN_MS = BIDE_REDIS_LEASE_MS + BIDE_REDIS_BEAT_MS };
enum { ORPHANS_EVERY = 30 /* beats */ };
/* Links that are given up sooner were no success: the next ones wait as after a failure. */
enum { PROVEN_MS = 1000 };

struct bide_redis_keeper {
    const struct bide_redis_settings *settings;
    struct bide_wakeup wakeup;
    pthread_t thread;
    bool started;

    /* the thread's own */
    struct bide_redis_link *beat; /* NULL: lost */
    struct bide_redis_args args;
    struct bide_reconnect reconnect;
    size_t host;
    int64_t next_beat_ms;   /* monotonic */
    int64_t grace_until_ms; /* likewise: nobody is declared dead before */
    unsigned beats, names;
    struct bide_redis_refused refused;
    char base_name[BIDE_REDIS_WORKER_TEXT - 16];

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool stop;
    bool wanted;   /* the intake has no links */
    bool fresh;    /* `links` waits to be taken */
    bool new_name; /* the next links come with another name */
    bool doubt;
    struct bide_redis_links links;
    int64_t linked_ms; /* monotonic: when they were made */
};

/* ---- time: the thread waits in real time, whatever clock the adapter was given ---- */

static int64_t real_ms(void)
{
    return bide_mono_ms(bide_clock_system());
}

/* ---- joining ---- */

static void add_worker_keys(
    const struct bide_redis_keeper *keeper, struct bide_redis_args *args, const char *worker)
{
    const char *name_space = keeper->settings->name_space;
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_args_format(args, "{%s}:alive:%s", name_space, worker);
    bide_redis_keys_one(args, name_space, "pulse");
    bide_redis_keys_one(args, name_space, "judged");
}

static void choose_name(struct bide_redis_keeper *keeper, char to[BIDE_REDIS_WORKER_TEXT])
{
    snprintf(to, BIDE_REDIS_WORKER_TEXT, "%s.%u", keeper->base_name, keeper->names);
}

/* Under this name, which is known already when `again`; *ret_joined is false when it was taken over
 * meanwhile. */
static bide_code join(struct bide_redis_keeper *keeper, struct bide_redis_link *link, const char *worker,
    bool again, bool *ret_joined, bide_error *error)
{
    const struct bide_redis_settings *settings = keeper->settings;
    struct bide_redis_args *args = &keeper->args;
    bide_redis_link_script(link, args, BIDE_REDIS_JOIN, 4);
    add_worker_keys(keeper, args, worker);
    bide_redis_args_text(args, worker);
    bide_redis_args_text(args, settings->client_name);
    bide_redis_args_int(args, bide_wall_ms(bide_clock_system()));
    bide_redis_args_int(args, BIDE_REDIS_LEASE_MS);
    bide_redis_args_text(args, again ? "1" : "0");
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_call(link, args, "joining as a worker", &reply, NULL, error);
    if (code != BIDE_OK)
        return code;
    *ret_joined = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    return BIDE_OK;
}

/* The intake may have asked for more under the old name after others had taken over: an XREADGROUP asks
 * nobody whether this is a worker. */
static bide_code give_up_name(
    struct bide_redis_keeper *keeper, struct bide_redis_link *link, bide_error *error)
{
    struct bide_redis_taker taker = {.settings = keeper->settings, .link = link};
    return *keeper->links.worker ? bide_redis_list_lost(&taker, keeper->links.worker, error) : BIDE_OK;
}

static bide_code register_worker(
    struct bide_redis_keeper *keeper, struct bide_redis_links *links, bool new_name, bide_error *error)
{
    bool joined = false;
    bool again = *keeper->links.worker && !new_name;
    bide_code code = BIDE_OK;
    if (again) {
        snprintf(links->worker, sizeof links->worker, "%s", keeper->links.worker);
        code = join(keeper, links->work, links->worker, true, &joined, error);
    }
    if (code == BIDE_OK && !joined)
        code = give_up_name(keeper, links->work, error);
    if (code != BIDE_OK || joined)
        return code;
    keeper->names++;
    choose_name(keeper, links->worker);
    links->renamed = true;
    return join(keeper, links->work, links->worker, false, &joined, error);
}

/* ---- beating ---- */

static bide_code send_beat(
    struct bide_redis_keeper *keeper, bool judge, redisReply **ret_reply, bide_error *error)
{
    const char *name_space = keeper->settings->name_space;
    struct bide_redis_args *args = &keeper->args;
    bide_redis_link_script(keeper->beat, args, BIDE_REDIS_BEAT, 5);
    add_worker_keys(keeper, args, keeper->links.worker);
    bide_redis_keys_one(args, name_space, "lost");
    bide_redis_args_text(args, keeper->links.worker);
    bide_redis_args_int(args, bide_wall_ms(bide_clock_system()));
    bide_redis_args_int(args, BIDE_REDIS_LEASE_MS);
    bide_redis_keys_one(args, name_space, "alive:");
    bide_redis_args_text(args, judge ? "1" : "0");
    return bide_redis_link_call(keeper->beat, args, "heartbeat", ret_reply, NULL, error);
}

static void doubt(struct bide_redis_keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    keeper->doubt = true;
    pthread_mutex_unlock(&keeper->mutex);
    bide_wakeup_signal(&keeper->wakeup);
}

/* Between two steps of something that may be long: beats when it is time. */
static bide_code beat_between(void *user, bide_error *error)
{
    struct bide_redis_keeper *keeper = user;
    redisReply *reply = NULL;
    if (!keeper->beat || !*keeper->links.worker || real_ms() < keeper->next_beat_ms)
        return BIDE_OK;
    keeper->next_beat_ms = real_ms() + BIDE_REDIS_BEAT_MS;
    bide_code code = send_beat(keeper, false, &reply, error);
    if (code == BIDE_OK && reply->type == REDIS_REPLY_INTEGER)
        doubt(keeper);
    if (reply)
        freeReplyObject(reply);
    return code;
}

static void drop_beat(struct bide_redis_keeper *keeper, const bide_error *why)
{
    bide_log(BIDE_LOG_WARN, "redis: heartbeat failed", BIDE_STR("error", why->text));
    bide_redis_link_destroy(keeper->beat);
    keeper->beat = NULL;
    keeper->grace_until_ms = real_ms() + GRACE_AGAIN_MS;
}

static struct bide_redis_taker taker_of(struct bide_redis_keeper *keeper)
{
    return (struct bide_redis_taker){keeper->settings, keeper->beat, beat_between, keeper};
}

/* ---- making links ---- */

/* A worker that serves goes on without a queue that is refused. */
static bide_code declare_queue(struct bide_redis_keeper *keeper, struct bide_redis_link *link,
    const char *queue, bool joins, bide_error *error)
{
    const char *name_space = keeper->settings->name_space;
    struct bide_redis_args *args = &keeper->args;
    bide_redis_link_declare(link, args, name_space, queue, joins);
    redisReply *reply = NULL;
    enum bide_redis_action action = BIDE_REDIS_RECONNECT;
    bide_code code = bide_redis_link_call(link, args, "declaring a queue", &reply, &action, error);
    if (code == BIDE_OK)
        freeReplyObject(reply);
    if (code == BIDE_OK || action != BIDE_REDIS_APART || !*keeper->links.worker)
        return code;
    bide_log(
        BIDE_LOG_WARN, "redis: a queue is refused", BIDE_STR("queue", queue), BIDE_STR("error", error->text));
    return BIDE_OK;
}

static bide_code declare_queues(
    struct bide_redis_keeper *keeper, struct bide_redis_link *link, bide_error *error)
{
    bide_code code = BIDE_OK;
    bide_error why = {0};
    size_t n_queues = keeper->settings->n_queues;
    char **joins = keeper->settings->joins;
    for (size_t i = 0; code == BIDE_OK && (i < n_queues || (joins && joins[i - n_queues])); i++) {
        bool is_join = i >= n_queues;
        code = declare_queue(
            keeper, link, is_join ? joins[i - n_queues] : keeper->settings->queues[i], is_join, error);
        if (beat_between(keeper, &why) != BIDE_OK)
            drop_beat(keeper, &why);
    }
    return code;
}

static bide_code subscribe(
    struct bide_redis_keeper *keeper, const struct bide_redis_links *links, bide_error *error)
{
    struct bide_redis_args *args = &keeper->args;
    bide_redis_args_begin(args, BIDE_REDIS_SUBSCRIBE);
    bide_redis_args_format(args, "{%s}:wake:%s", keeper->settings->name_space, links->worker);
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_call(links->wake, args, "subscribing to wake-ups", &reply, NULL, error);
    if (code == BIDE_OK)
        freeReplyObject(reply);
    return code;
}

static void drop_links(struct bide_redis_links *links)
{
    bide_redis_link_destroy(links->work);
    bide_redis_link_destroy(links->wake);
    links->work = links->wake = NULL;
}

/* Subscribed before anything is claimed: no wake can be missed. */
static bide_code make_links(
    struct bide_redis_keeper *keeper, bool new_name, struct bide_redis_links *ret_links, bide_error *error)
{
    const struct bide_redis_settings *settings = keeper->settings;
    struct bide_redis_links links = {0};
    bide_code code = bide_redis_link_create(settings, true, &keeper->host, &links.work, NULL, error);
    if (code == BIDE_OK)
        code = bide_redis_link_create(settings, true, &keeper->host, &links.wake, NULL, error);
    if (code == BIDE_OK && !keeper->beat)
        code = bide_redis_link_create(settings, true, &keeper->host, &keeper->beat, NULL, error);
    code = code == BIDE_OK ? declare_queues(keeper, links.work, error) : code;
    if (code == BIDE_OK)
        code = register_worker(keeper, &links, new_name, error);
    if (code == BIDE_OK)
        code = subscribe(keeper, &links, error);
    if (code == BIDE_OK)
        code = bide_redis_link_unblock(links.work, error);
    if (code == BIDE_OK)
        code = bide_redis_link_unblock(links.wake, error);
    if (code == BIDE_OK)
        *ret_links = links;
    else
        drop_links(&links);
    return code;
}

/* ---- beating, and what is done with its answer ---- */

static bide_code take_over(struct bide_redis_keeper *keeper, const struct bide_redis_taker *taker,
    const char *worker, bide_error *error)
{
    bool whole = true;
    if (bide_redis_is_refused(&keeper->refused, worker, real_ms()))
        return BIDE_OK;
    bide_code code = bide_redis_take_over(taker, worker, &whole, error);
    if (!whole)
        bide_redis_refuse(&keeper->refused, worker, real_ms());
    return code;
}

static bide_code act_on_beat(struct bide_redis_keeper *keeper, const redisReply *reply, bide_error *error)
{
    struct bide_redis_taker taker = taker_of(keeper);
    bide_code code = BIDE_OK;
    if (reply->type == REDIS_REPLY_INTEGER)
        doubt(keeper);
    else if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; code == BIDE_OK && i < reply->elements; i++)
            code = take_over(keeper, &taker, reply->element[i]->str, error);
    if (code == BIDE_OK && ++keeper->beats % ORPHANS_EVERY == 1)
        code = bide_redis_find_orphans(&taker, error);
    return code;
}

static void beat(struct bide_redis_keeper *keeper)
{
    bide_error error = {0};
    bide_code code = BIDE_OK;
    if (!keeper->beat)
        code = bide_redis_link_create(keeper->settings, true, &keeper->host, &keeper->beat, NULL, &error);
    redisReply *reply = NULL;
    if (code == BIDE_OK)
        code = send_beat(keeper, real_ms() >= keeper->grace_until_ms, &reply, &error);
    if (code == BIDE_OK)
        code = act_on_beat(keeper, reply, &error);
    if (reply)
        freeReplyObject(reply);
    if (code == BIDE_OK)
        return;
    drop_beat(keeper, &error);
    doubt(keeper);
}

/* ---- the thread ---- */

static void connect_again(struct bide_redis_keeper *keeper, bool new_name)
{
    struct bide_redis_links links = {0};
    bide_error error = {0};
    bide_code code = make_links(keeper, new_name, &links, &error);
    keeper->grace_until_ms = real_ms() + GRACE_AGAIN_MS;
    pthread_mutex_lock(&keeper->mutex);
    if (code == BIDE_OK) {
        keeper->links = links;
        keeper->fresh = true;
        keeper->wanted = keeper->new_name = keeper->doubt = false;
        keeper->linked_ms = real_ms();
    } else {
        bide_reconnect_failed(&keeper->reconnect, real_ms() * 1000);
    }
    pthread_mutex_unlock(&keeper->mutex);
    if (code == BIDE_OK)
        bide_log(BIDE_LOG_INFO, "redis: connected", BIDE_STR("worker", links.worker));
    else
        bide_log(BIDE_LOG_WARN, "redis: cannot connect", BIDE_STR("error", error.text));
    if (code == BIDE_OK)
        bide_wakeup_signal(&keeper->wakeup);
}

static void sleep_until(struct bide_redis_keeper *keeper, int64_t until_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&keeper->changed, &keeper->mutex, &until);
}

static void *keep(void *user)
{
    struct bide_redis_keeper *keeper = user;
    pthread_mutex_lock(&keeper->mutex);
    while (!keeper->stop) {
        bool wanted = keeper->wanted, new_name = keeper->new_name;
        bool connect_now = wanted && bide_reconnect_is_due(&keeper->reconnect, real_ms() * 1000);
        if (connect_now || real_ms() >= keeper->next_beat_ms) {
            pthread_mutex_unlock(&keeper->mutex);
            if (real_ms() >= keeper->next_beat_ms) {
                keeper->next_beat_ms = real_ms() + BIDE_REDIS_BEAT_MS;
                if (!wanted || keeper->beat)
                    beat(keeper);
            }
            if (connect_now)
                connect_again(keeper, new_name);
            pthread_mutex_lock(&keeper->mutex);
            continue;
        }
        int64_t until_ms = keeper->next_beat_ms;
        int64_t connect_ms =
            real_ms() + bide_reconnect_wait_us(&keeper->reconnect, real_ms() * 1000) / 1000 + 1;
        sleep_until(keeper, wanted && connect_ms < until_ms ? connect_ms : until_ms);
    }
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

/* ---- for the intake ---- */

static bide_code start(struct bide_redis_keeper *keeper, bide_error *error)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&keeper->mutex, NULL);
    bide_code code = bide_wakeup_init(&keeper->wakeup, error);
    if (code == BIDE_OK)
        code = make_links(keeper, false, &keeper->links, error);
    if (code != BIDE_OK)
        return code;
    keeper->next_beat_ms = real_ms() + BIDE_REDIS_BEAT_MS;
    struct bide_redis_taker taker = taker_of(keeper);
    code = bide_redis_bury_neighbours(&taker, error);
    if (code != BIDE_OK)
        return code;
    keeper->fresh = true;
    keeper->linked_ms = real_ms();
    if (pthread_create(&keeper->thread, NULL, keep, keeper) != 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread");
    keeper->started = true;
    bide_wakeup_signal(&keeper->wakeup);
    return BIDE_OK;
}

bide_code bide_redis_keeper_create(
    const struct bide_redis_settings *settings, struct bide_redis_keeper **ret_keeper, bide_error *error)
{
    struct bide_redis_keeper *keeper = bide_calloc(1, sizeof *keeper);
    if (!keeper)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    keeper->settings = settings;
    keeper->wakeup.fd = -1;
    bide_redis_args_init(&keeper->args);
    bide_redis_identity_create(keeper->base_name, sizeof keeper->base_name);
    bide_code code = start(keeper, error);
    if (code == BIDE_OK)
        *ret_keeper = keeper;
    else
        bide_redis_keeper_destroy(keeper);
    return code;
}

static void leave(struct bide_redis_keeper *keeper)
{
    bide_error error = {0};
    bide_code code = BIDE_OK;
    if (!keeper->beat)
        code = bide_redis_link_create(keeper->settings, true, &keeper->host, &keeper->beat, NULL, &error);
    if (code == BIDE_OK)
        code =
            bide_redis_leave(&(struct bide_redis_taker){.settings = keeper->settings, .link = keeper->beat},
                keeper->links.worker, &error);
    if (code != BIDE_OK)
        bide_log(BIDE_LOG_WARN, "redis: left without a word: others take over in a few seconds",
            BIDE_STR("error", error.text));
}

void bide_redis_keeper_destroy(struct bide_redis_keeper *keeper)
{
    if (!keeper)
        return;
    if (keeper->started) {
        pthread_mutex_lock(&keeper->mutex);
        keeper->stop = true;
        pthread_cond_signal(&keeper->changed);
        pthread_mutex_unlock(&keeper->mutex);
        pthread_join(keeper->thread, NULL);
        leave(keeper);
    }
    if (keeper->fresh)
        drop_links(&keeper->links);
    bide_redis_link_destroy(keeper->beat);
    bide_redis_args_release(&keeper->args);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->mutex);
    bide_wakeup_close(&keeper->wakeup);
    bide_free(keeper);
}

int bide_redis_keeper_fd(const struct bide_redis_keeper *keeper)
{
    return keeper->wakeup.fd;
}

bool bide_redis_keeper_take(struct bide_redis_keeper *keeper, struct bide_redis_links *ret_links)
{
    bide_wakeup_drain(&keeper->wakeup);
    pthread_mutex_lock(&keeper->mutex);
    bool fresh = keeper->fresh;
    if (fresh)
        *ret_links = keeper->links;
    keeper->fresh = false;
    pthread_mutex_unlock(&keeper->mutex);
    return fresh;
}

bool bide_redis_keeper_doubts(struct bide_redis_keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    bool is_so = keeper->doubt;
    keeper->doubt = false;
    pthread_mutex_unlock(&keeper->mutex);
    return is_so;
}

void bide_redis_keeper_reconnect(struct bide_redis_keeper *keeper, bool new_name)
{
    pthread_mutex_lock(&keeper->mutex);
    if (real_ms() - keeper->linked_ms < PROVEN_MS)
        bide_reconnect_failed(&keeper->reconnect, real_ms() * 1000);
    else
        bide_reconnect_succeeded(&keeper->reconnect);
    keeper->wanted = true;
    keeper->new_name |= new_name;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->mutex);
}
