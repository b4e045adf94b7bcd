#include "broker/sqlite/receiver.h"

#include "base/killpoint.h"
#include "base/alloc.h"
#include "bide/log.h"
#include "broker/joins.h"
#include "broker/sqlite/sqlite.h"
#include "broker/sqlite/topic.h"
#include "broker/sqlite/workers.h"

enum {
    TURN_US = 100 * 1000,       /* how long one call may wait for other writers */
    PATIENCE_US = 2000 * 1000,  /* keeping the file locked for less is not reported as a failure */
    CHECK_US = 1000 * 1000,     /* look for dead workers and at the file at least so often */
    RECHECK_US = 3 * 1000,      /* and this soon after a process has left; then ten times this */
    LAST_TURN_US = 2000 * 1000, /* how long the last transaction waits for other writers */
};

/* ---- the file, and when it fails ---- */

static bide_code connect(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    struct bide_sqlite_file *file = &receiver->file;
    bide_code code = bide_sqlite_file_open(file, BIDE_SQLITE_WRITE, TURN_US, error);
    if (code != BIDE_OK)
        return code;
    code = bide_sqlite_worker_register(file, receiver->name, TURN_US, &receiver->worker, error);
    if (code == BIDE_OK)
        code = bide_sqlite_join(file, receiver->joins, TURN_US, error);
    if (code == BIDE_OK)
        code = bide_sqlite_watch_files(&receiver->watch, file->path, file->lock_path, error);
    if (code != BIDE_OK) {
        bide_sqlite_file_close(file);
        return code;
    }
    receiver->generation++;
    receiver->check_us = 0;
    bide_sqlite_claim_forget_queues(receiver);
    return BIDE_OK;
}

/* The worker's claims went with the file. Settlements of deliveries from before are discarded: their
 * generation is an old one. */
static void lose_file(struct bide_sqlite_receiver *receiver)
{
    bide_log(BIDE_LOG_ERROR, "database file removed or replaced", BIDE_STR("file", receiver->file.path),
        BIDE_INT("in_hand", receiver->n_settled));
    bide_sqlite_file_close(&receiver->file);
    receiver->generation++;
    receiver->stats.reconnects++;
    receiver->dead = 0;
}

static void note_success(struct bide_sqlite_receiver *receiver)
{
    if (receiver->reported)
        bide_log(BIDE_LOG_INFO, "database usable again", BIDE_STR("file", receiver->file.path));
    receiver->reported = false;
    receiver->failing_since_us = 0;
    bide_reconnect_succeeded(&receiver->retry);
}

/* Other processes keeping the file locked for less than PATIENCE_US is no failure. */
static void note_failure(struct bide_sqlite_receiver *receiver, const bide_error *error)
{
    int64_t now_us = bide_mono_us(receiver->file.clock);
    if (receiver->failing_since_us == 0)
        receiver->failing_since_us = now_us;
    if (error->code == BIDE_E_TIMEOUT && now_us - receiver->failing_since_us < PATIENCE_US)
        return;
    if (!receiver->reported)
        bide_log(BIDE_LOG_ERROR, "database not usable, trying again", BIDE_STR("file", receiver->file.path),
            BIDE_STR("error", error->text), BIDE_INT("unsettled", receiver->n_settled));
    receiver->reported = true;
    bide_reconnect_failed(&receiver->retry, now_us);
}

/* ---- events and regular checks ---- */

static void notice_events(struct bide_sqlite_receiver *receiver)
{
    unsigned events = bide_sqlite_watch_read(&receiver->watch);
    if (events & BIDE_SQLITE_RANG)
        bide_sqlite_claim_forget_queues(receiver);
    if (events & (BIDE_SQLITE_LEFT | BIDE_SQLITE_TOUCHED))
        receiver->check_us = 0;
    if (events & BIDE_SQLITE_LEFT)
        receiver->rechecks = 2;
}

/* The kernel closes a killed process's files before it drops their locks: after such an event, check again
 * soon. */
static int64_t until_next_check(struct bide_sqlite_receiver *receiver)
{
    if (receiver->rechecks == 0)
        return CHECK_US;
    return receiver->rechecks-- == 2 ? RECHECK_US : 10 * RECHECK_US;
}

/* The side file was removed or renamed: takes the worker's lock in the new one, before other workers take
 * this one for dead. */
static bide_code keep_lock(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    struct bide_sqlite_file *file = &receiver->file;
    bide_log(BIDE_LOG_WARN, "lock file removed or replaced", BIDE_STR("file", file->lock_path));
    bide_code code = bide_sqlite_file_renew_lock(file, error);
    if (code != BIDE_OK)
        return code;
    if (bide_sqlite_lock_try(&file->lock, bide_sqlite_worker_byte(receiver->worker)))
        return bide_sqlite_watch_files(&receiver->watch, file->path, file->lock_path, error);
    /* Another worker has this number now, and so the claims of this worker. */
    lose_file(receiver);
    return connect(receiver, error);
}

static bide_code check(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    int64_t now_us = bide_mono_us(receiver->file.clock);
    if (now_us < receiver->check_us)
        return BIDE_OK;
    receiver->check_us = now_us + until_next_check(receiver);
    if (bide_sqlite_file_is_gone(&receiver->file)) {
        lose_file(receiver);
        return connect(receiver, error);
    }
    bide_sqlite_claim_forget_queues(receiver);
    if (bide_sqlite_file_lost_lock(&receiver->file))
        return keep_lock(receiver, error);
    return bide_sqlite_worker_find_dead(&receiver->file, receiver->worker, &receiver->dead, error);
}

/* ---- the transaction ---- */

static bide_code free_dead(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    if (receiver->dead == 0 || !bide_sqlite_worker_is_dead(&receiver->file, receiver->dead))
        return BIDE_OK;
    bide_sqlite_claim_forget_queues(receiver);
    receiver->waits = true;
    return bide_sqlite_worker_free(&receiver->file, receiver->dead, error);
}

/* Makes sure that other workers see this one as alive before it claims: they would give its claims back, and
 * the messages would run twice. */
static bide_code stay_known(struct bide_sqlite_receiver *receiver, bide_error *error)
{
    bool lost;
    bide_code code = bide_sqlite_worker_keep(&receiver->file, receiver->name, receiver->worker, &lost, error);
    if (code != BIDE_OK)
        receiver->check_us = 0;
    if (lost) {
        receiver->generation++;
        bide_sqlite_claim_forget_queues(receiver);
    }
    return code;
}

static void discard(struct bide_sqlite_delivery **deliveries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bide_sqlite_delivery_destroy(deliveries[i]);
}

static bide_code settle_and_claim(struct bide_sqlite_receiver *receiver,
    struct bide_sqlite_delivery **deliveries, size_t max, size_t *ret_n, bide_error *error)
{
    struct bide_sqlite_file *file = &receiver->file;
    size_t n = 0;
    /* Claims alone need no sync: a power cut that undoes them ends this worker too. */
    bide_code code = bide_sqlite_begin(file, receiver->n_settled > 0, TURN_US, error);
    if (code != BIDE_OK)
        return code;
    receiver->waits = false;
    code = stay_known(receiver, error);
    if (code == BIDE_OK)
        code = bide_sqlite_settle_apply(receiver, error);
    BIDE_KILL_POINT("worker/sqlite-settled");
    if (receiver->waits)
        bide_sqlite_claim_forget_queues(receiver);
    if (code == BIDE_OK)
        code = free_dead(receiver, error);
    if (code == BIDE_OK)
        code = bide_sqlite_claim(receiver, deliveries, max, &n, error);
    BIDE_KILL_POINT("worker/sqlite-claimed");
    code = bide_sqlite_end(file, code, error);
    BIDE_KILL_POINT("worker/sqlite-committed");
    if (code != BIDE_OK) {
        discard(deliveries, n);
        bide_sqlite_claim_forget_queues(receiver);
        return code;
    }
    bide_sqlite_settle_finish(receiver, false);
    bide_sqlite_claim_hand_out(receiver, deliveries, n);
    if (receiver->waits)
        bide_sqlite_lock_ring(&file->lock);
    if (receiver->dead)
        receiver->check_us = 0; /* there may be another dead worker */
    receiver->dead = 0;
    *ret_n = n;
    return BIDE_OK;
}

static bide_code work(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries,
    size_t max, size_t *ret_n, bide_error *error)
{
    bool any = false;
    bide_code code = receiver->file.db ? BIDE_OK : connect(receiver, error);
    if (code != BIDE_OK)
        return code;
    notice_events(receiver);
    code = check(receiver, error);
    bide_sqlite_claim_land(receiver);
    if (code == BIDE_OK && receiver->n_settled == 0 && receiver->dead == 0)
        code = bide_sqlite_claim_look(receiver, &any, error);
    if (code != BIDE_OK)
        return code;
    if (receiver->n_settled == 0 && receiver->dead == 0 && !(any && max > 0))
        return BIDE_OK;
    return settle_and_claim(receiver, deliveries, max, ret_n, error);
}

/* ---- the contract ---- */

static struct bide_sqlite_receiver *of(struct bide_receiver *base)
{
    return (struct bide_sqlite_receiver *)base;
}

static bide_code receiver_receive(struct bide_receiver *base, struct bide_delivery **deliveries, size_t max,
    size_t *ret_n, bide_error *error)
{
    struct bide_sqlite_receiver *receiver = of(base);
    bide_error failure;
    size_t n = 0;
    if (!bide_reconnect_is_due(&receiver->retry, bide_mono_us(receiver->file.clock))) {
        *ret_n = 0;
        return BIDE_OK;
    }
    /* A bide_sqlite_delivery begins with the contract's bide_delivery. */
    bide_code code = work(receiver, (struct bide_sqlite_delivery **)deliveries, max, &n, &failure);
    if (code == BIDE_OK)
        note_success(receiver);
    else if (receiver->file.hopeless)
        return bide_fail(error, code, "%s", failure.text);
    else
        note_failure(receiver, &failure);
    *ret_n = n;
    return BIDE_OK;
}

static void receiver_settle(struct bide_receiver *base, const struct bide_settlement *settlements, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bide_sqlite_settle_add(of(base), &settlements[i]);
}

static void receiver_limit(struct bide_receiver *base, size_t queue, size_t limit)
{
    of(base)->queues[queue].limit = limit;
}

static void receiver_wait(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    struct bide_sqlite_receiver *receiver = of(base);
    int64_t now_us = bide_mono_us(receiver->file.clock);
    int64_t check_us = receiver->check_us > now_us ? receiver->check_us - now_us : 0;
    ret_wait->fds[0] = (struct pollfd){.fd = receiver->watch.fd, .events = POLLIN};
    ret_wait->n_fds = 1;
    if (!bide_reconnect_is_due(&receiver->retry, now_us))
        ret_wait->timeout_us = bide_reconnect_wait_us(&receiver->retry, now_us);
    else if (receiver->n_settled > 0 || receiver->dead || !receiver->file.db)
        ret_wait->timeout_us = 0;
    else
        ret_wait->timeout_us = bide_sqlite_claim_wait_us(receiver, check_us);
}

static void receiver_stop(struct bide_receiver *base)
{
    of(base)->stopped = true;
}

static void receiver_stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    const struct bide_sqlite_receiver *receiver = (const struct bide_sqlite_receiver *)base;
    *ret_stats = receiver->stats;
    ret_stats->connected = receiver->file.db && !receiver->reported;
    ret_stats->unsettled = receiver->n_settled;
}

static void receiver_forget(struct bide_receiver *base, struct bide_delivery *delivery)
{
    struct bide_sqlite_delivery *own = (struct bide_sqlite_delivery *)delivery;
    bide_sqlite_claim_take_back(of(base), own);
    bide_sqlite_delivery_destroy(own);
}

/* Leaves with a last transaction: it stores the settlements and gives all other claims back. If it fails, the
 * other workers find this one dead and give its claims back; the settlements are lost. If other workers took
 * this one for dead before, keep_lock or stay_known notices: the deliveries then belong to an older
 * generation, and their settlements change nothing. */
static void leave(struct bide_sqlite_receiver *receiver)
{
    struct bide_sqlite_file *file = &receiver->file;
    bide_error error;
    if (!file->db || bide_sqlite_file_is_gone(file))
        return;
    bide_code code = bide_sqlite_file_lost_lock(file) ? keep_lock(receiver, &error) : BIDE_OK;
    if (code == BIDE_OK)
        code = bide_sqlite_begin(file, receiver->n_settled > 0, LAST_TURN_US, &error);
    if (code == BIDE_OK) {
        code = stay_known(receiver, &error);
        if (code == BIDE_OK)
            code = bide_sqlite_settle_apply(receiver, &error);
        if (code == BIDE_OK)
            code = bide_sqlite_worker_free(file, receiver->worker, &error);
        code = bide_sqlite_end(file, code, &error);
    }
    if (code == BIDE_OK)
        bide_sqlite_settle_finish(receiver, false);
    else
        bide_log(BIDE_LOG_WARN, "leaving without the last settlements", BIDE_STR("file", file->path),
            BIDE_STR("error", error.text), BIDE_INT("unsettled", receiver->n_settled));
}

static void receiver_destroy(struct bide_receiver *base)
{
    struct bide_sqlite_receiver *receiver = of(base);
    if (receiver->worker)
        leave(receiver);
    bide_sqlite_settle_finish(receiver, true);
    bide_sqlite_file_clear(&receiver->file);
    bide_sqlite_watch_close(&receiver->watch);
    for (size_t i = 0; i < receiver->n_queues; i++)
        bide_free(receiver->queues[i].name);
    bide_free(receiver->queues);
    bide_joins_free(receiver->joins);
    bide_free(receiver->name);
    bide_heap_release(&receiver->early);
    bide_buffer_release(&receiver->scratch);
    bide_free(receiver);
}

static const struct bide_receiver_ops receiver_ops = {
    .receive = receiver_receive,
    .settle = receiver_settle,
    .limit = receiver_limit,
    .wait = receiver_wait,
    .stop = receiver_stop,
    .stats = receiver_stats,
    .destroy = receiver_destroy,
    .forget = receiver_forget,
};

static bide_code set_up(
    struct bide_sqlite_receiver *receiver, const struct bide_broker_options *options, bide_error *error)
{
    receiver->max_body = options->max_body;
    receiver->ahead = options->ahead;
    receiver->max_in_flight = options->max_in_flight ? options->max_in_flight : SIZE_MAX;
    receiver->name = bide_strdup(options->client_name ? options->client_name : "bide worker");
    receiver->queues = bide_calloc(options->n_queues ? options->n_queues : 1, sizeof *receiver->queues);
    receiver->joins = bide_joins(options);
    if (!receiver->name || !receiver->queues || !receiver->joins)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < options->n_queues; i++) {
        receiver->queues[i].name = bide_strdup(options->queues[i]);
        if (!receiver->queues[i].name)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        receiver->n_queues++;
    }
    bide_code code = bide_sqlite_file_init(&receiver->file, options, error);
    if (code == BIDE_OK)
        code = bide_sqlite_watch_open(&receiver->watch, error);
    return code;
}

/* Opens the file for the first time and waits for other writers as long as the options allow. */
static bide_code connect_first(struct bide_sqlite_receiver *receiver, int64_t timeout_ms, bide_error *error)
{
    int64_t end_ms = bide_mono_ms(receiver->file.clock) + timeout_ms;
    bide_code code;
    do
        code = connect(receiver, error);
    while (code == BIDE_E_TIMEOUT && bide_mono_ms(receiver->file.clock) < end_ms);
    return code;
}

bide_code bide_sqlite_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error)
{
    struct bide_sqlite_receiver *receiver = bide_calloc(1, sizeof *receiver);
    if (!receiver)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    receiver->base.ops = &receiver_ops;
    receiver->watch.fd = -1;
    bide_heap_init(&receiver->early);
    bide_buffer_init(&receiver->scratch);
    bide_code code = set_up(receiver, options, error);
    if (code == BIDE_OK)
        code = connect_first(receiver, options->timeout_ms, error);
    if (code != BIDE_OK) {
        receiver_destroy(&receiver->base);
        return code;
    }
    *ret_receiver = &receiver->base;
    return BIDE_OK;
}
