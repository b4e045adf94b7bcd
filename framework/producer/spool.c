#include "producer/spool.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "broker/sqlite/spool.h"
#include "broker/sqlite/sqlite.h"
#include "message/message.h"

#define MAX_BYTES (INT64_C(1) << 30)

/* See wait_for_last. */
enum { FEW = 1000, STEP_US = 1000, STILL_US = 30 * 1000, WAIT_US = 300 * 1000, AGAIN_US = 5 * 1000 * 1000 };

struct spool {
    struct bide_sender base;
    const struct bide_adapter *adapter;
    struct bide_broker_options broker; /* what it points to stands below */
    struct bide_url url;
    char *name_space, *base_dir, *client_name, **queues; /* owned; `queues` is ended by NULL */
    char *shown;                                         /* the spool's URL, for people; owned */
    struct bide_sender *direct;                          /* NULL: not open */
    struct bide_sender *store;
    bool always;
    bool was_open;     /* the broker: from then on no failure of it is the configuration's */
    bool is_spooling;  /* and that was logged */
    int64_t waited_us; /* monotonic: when wait_for_last was last in vain; 0: never */
};

/* ---- what is told ---- */

static void note_spooling(struct spool *spool, const bide_error *why)
{
    if (spool->is_spooling)
        return;
    spool->is_spooling = true;
    if (why)
        bide_log(BIDE_LOG_WARN, "broker away: messages go to the spool", BIDE_STR("spool", spool->shown),
            BIDE_STR("error", why->text));
    else if (!spool->always)
        bide_log(BIDE_LOG_INFO, "messages go to the spool: earlier ones are still in it",
            BIDE_STR("spool", spool->shown));
    if (!bide_sqlite_spool_is_carried(spool->store))
        bide_log(BIDE_LOG_WARN, "nothing carries from the spool", BIDE_STR("spool", spool->shown));
}

static void note_direct(struct spool *spool)
{
    if (spool->is_spooling)
        bide_log(BIDE_LOG_INFO, "messages go to the broker again", BIDE_STR("spool", spool->shown));
    spool->is_spooling = false;
}

/* ---- the spool ---- */

/* why: NULL, or how the broker failed. */
static bide_code store(struct spool *spool, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, const bide_error *why, bide_error *error)
{
    bide_error failure;
    spool->store->timeout_us = spool->base.timeout_us / 2;
    bide_code code = bide_sender_send(spool->store, messages, n, results, &failure);
    BIDE_KILL_POINT("spool/stored");
    if (code == BIDE_OK) {
        note_spooling(spool, why);
        return BIDE_OK;
    }
    return why ? bide_fail(
                     error, code, "%s (to the spool, because of the broker: %s)", failure.text, why->text)
               : bide_fail(error, code, "%s", failure.text);
}

static size_t count(const enum bide_sent *results, size_t n, enum bide_sent what)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += results[i] == what;
    return found;
}

/* What the broker did not confirm, in its order. */
static bide_code store_rest(struct spool *spool, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, const bide_error *why, bide_error *error)
{
    size_t n_rest = count(results, n, BIDE_SENT_UNKNOWN), m = 0;
    struct bide_message **rest = bide_calloc(n_rest + 1, sizeof *rest);
    enum bide_sent *stored = bide_calloc(n_rest + 1, sizeof *stored);
    bide_code code = BIDE_OK;
    if (rest && stored) {
        for (size_t i = 0; i < n; i++)
            if (results[i] == BIDE_SENT_UNKNOWN)
                rest[m++] = messages[i];
        code = m ? store(spool, rest, m, stored, why, error) : BIDE_OK;
        m = 0;
        for (size_t i = 0; i < n; i++)
            if (results[i] == BIDE_SENT_UNKNOWN)
                results[i] = stored[m++];
    } else {
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    bide_free(rest);
    bide_free(stored);
    if (code == BIDE_OK && count(results, n, BIDE_SENT_REFUSED) > 0)
        code = bide_fail(error, BIDE_E_DATA, "refused by the broker, which then failed: %s", why->text);
    return code;
}

/* ---- the broker ---- */

static bide_code send_directly(struct spool *spool, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    bide_code code =
        spool->direct ? BIDE_OK : spool->adapter->open_sender(&spool->broker, &spool->direct, error);
    if (code != BIDE_OK)
        return code;
    spool->was_open = true;
    spool->direct->timeout_us = spool->base.timeout_us / 2; /* the other half is the spool's */
    return bide_sender_send(spool->direct, messages, n, results, error);
}

/* Is the broker away? A wrong password is told to the caller, unless it was right before: then the broker is
 * not as it was. */
static bool is_away(const struct spool *spool, bide_code code)
{
    if (code == BIDE_E_BROKER || code == BIDE_E_TIMEOUT)
        return true;
    return spool->was_open && (code == BIDE_E_CONFIG || code == BIDE_E_INTERNAL);
}

static void close_direct(struct spool *spool)
{
    bide_sender_destroy(spool->direct);
    spool->direct = NULL;
}

/* The relay has nearly carried all. Senders that went on filling the spool would keep it from ever becoming
 * empty, and themselves from sending directly: so they pause for a moment, as long as the relay moves. */
static bide_code wait_for_last(struct spool *spool, int64_t *first, bide_error *error)
{
    const struct bide_clock *clock = spool->broker.clock;
    int64_t now_us = bide_mono_us(clock), end_us = now_us + WAIT_US, still_us = now_us + STILL_US;
    int64_t last = 0, before = *first;
    bide_code code = spool->waited_us && now_us - spool->waited_us < AGAIN_US
                         ? BIDE_OK
                         : bide_sqlite_spool_last(spool->store, &last, error);
    if (code != BIDE_OK || last == 0 || last - *first >= FEW || !bide_sqlite_spool_is_carried(spool->store))
        return code;
    while (code == BIDE_OK && *first && now_us < end_us && now_us < still_us) {
        nanosleep(&(struct timespec){.tv_nsec = STEP_US * 1000}, NULL);
        code = bide_sqlite_spool_first(spool->store, first, error);
        now_us = bide_mono_us(clock);
        if (*first != before)
            still_us = now_us + STILL_US;
        before = *first;
    }
    spool->waited_us = *first ? now_us : 0;
    return code;
}

/* *ret_first: 0 where nothing is in the spool that would be overtaken. */
static bide_code look(struct spool *spool, int64_t *ret_first, bide_error *error)
{
    bide_error why;
    *ret_first = 0;
    bide_code code = bide_sqlite_spool_first(spool->store, ret_first, &why);
    if (code == BIDE_OK && *ret_first)
        code = wait_for_last(spool, ret_first, &why);
    return code == BIDE_OK
               ? BIDE_OK
               : bide_fail(error, code, "what is in the spool must not be overtaken: %s", why.text);
}

static bide_code spool_send(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct spool *spool = (struct spool *)base;
    bide_error why;
    int64_t first = 0;
    bide_code code = spool->always ? BIDE_OK : look(spool, &first, error);
    if (code != BIDE_OK)
        return code;
    if (spool->always || first)
        return store(spool, messages, n, results, NULL, error);
    code = send_directly(spool, messages, n, results, &why);
    if (code == BIDE_OK || !is_away(spool, code)) {
        note_direct(spool);
        return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", why.text);
    }
    BIDE_KILL_POINT("spool/away");
    close_direct(spool);
    return store_rest(spool, messages, n, results, &why, error);
}

/* ---- life ---- */

static void spool_destroy(struct bide_sender *base)
{
    struct spool *spool = (struct spool *)base;
    close_direct(spool);
    bide_sender_destroy(spool->store);
    bide_url_clear(&spool->url);
    for (char **queue = spool->queues; queue && *queue; queue++)
        bide_free(*queue);
    bide_free(spool->queues);
    bide_free(spool->name_space);
    bide_free(spool->base_dir);
    bide_free(spool->client_name);
    bide_free(spool->shown);
    bide_free(spool);
}

static bool copy_options(struct spool *spool, const struct bide_broker_options *from)
{
    spool->broker = *from;
    spool->broker.url = &spool->url;
    spool->broker.timeout_ms = (from->timeout_ms + 1) / 2; /* the other half is the spool's */
    spool->broker.name_space = spool->name_space = bide_strdup(from->name_space);
    spool->broker.base_dir = spool->base_dir = bide_strdup(from->base_dir);
    spool->broker.client_name = spool->client_name = bide_strdup(from->client_name);
    spool->queues = bide_calloc(from->n_queues + 1, sizeof *spool->queues);
    spool->broker.queues = (const char *const *)spool->queues;
    spool->broker.subscriptions = NULL;
    spool->broker.n_subscriptions = 0;
    bool complete = spool->name_space && spool->base_dir && spool->client_name && spool->queues;
    for (size_t i = 0; complete && i < from->n_queues; i++)
        complete = (spool->queues[i] = bide_strdup(from->queues[i])) != NULL;
    return complete;
}

static bide_code open_store(struct spool *spool, const bide_spool *given, bide_error *error)
{
    struct bide_broker_options options = spool->broker;
    struct bide_url url;
    if (!given->url)
        return bide_fail(error, BIDE_E_CONFIG, "spool: its URL is missing: sqlite:FILE");
    bide_code code = bide_url_parse(given->url, &url, error);
    if (code != BIDE_OK)
        return code;
    options.url = &url;
    if (strcmp(url.scheme, "sqlite") != 0)
        code = bide_fail(
            error, BIDE_E_CONFIG, "'%s' cannot be a spool: that is a file, sqlite:FILE", url.redacted);
    else if (!(spool->shown = bide_strdup(url.redacted)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else
        code = bide_sqlite_open_spool(
            &options, given->max_bytes > 0 ? given->max_bytes : MAX_BYTES, &spool->store, error);
    bide_url_clear(&url);
    if (code != BIDE_OK && code != BIDE_E_NOMEM)
        bide_fail_within(error, "spool");
    return code;
}

bide_code bide_spool_open(const bide_spool *given, const struct bide_adapter *adapter,
    const struct bide_broker_options *broker, struct bide_url *broker_url, struct bide_sender **ret_sender,
    bide_error *error)
{
    static const struct bide_sender_ops ops = {.send = spool_send, .destroy = spool_destroy};
    struct spool *spool = bide_calloc(1, sizeof *spool);
    if (!spool) {
        bide_url_clear(broker_url);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    spool->base.ops = &ops;
    spool->base.timeout_us = broker->timeout_ms * 1000;
    spool->adapter = adapter;
    spool->always = given->mode == BIDE_SPOOL_ALWAYS;
    spool->url = *broker_url;
    *broker_url = (struct bide_url){0};
    bide_code code = copy_options(spool, broker) ? open_store(spool, given, error)
                                                 : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        *ret_sender = &spool->base;
    else
        spool_destroy(&spool->base);
    return code;
}

/* ---- looking ---- */

enum { LOOK_MS = 2000 };

static bide_code add_depths(
    const struct bide_broker_options *options, struct bide_spool_state *state, bide_error *error)
{
    struct bide_broker_stats stats = {0};
    struct bide_admin *admin;
    bide_code code = bide_sqlite_open_admin(options, &admin, error);
    if (code != BIDE_OK)
        return code;
    code = admin->ops->stats(admin, &stats, error);
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++) {
        const struct bide_queue_stats *queue = &stats.queues[i];
        state->waiting += queue->ready + queue->delayed + queue->in_flight;
        state->refused += queue->dead;
        if (queue->oldest_ready_ms > state->oldest_ms)
            state->oldest_ms = queue->oldest_ready_ms;
    }
    bide_broker_stats_clear(&stats);
    bide_admin_destroy(admin);
    return code;
}

bide_code bide_spool_look(
    const struct bide_config *config, struct bide_spool_state *ret_state, bide_error *error)
{
    struct bide_spool_state state = {0};
    struct bide_sqlite_spool_state file = {.room_bytes = -1};
    struct bide_url url;
    bide_code code = bide_url_parse(config->spool.url, &url, error);
    if (code != BIDE_OK)
        return code;
    const struct bide_broker_options options = {.url = &url,
        .name_space = config->name_space,
        .base_dir = config->dir,
        .client_name = "bide",
        .timeout_ms = LOOK_MS,
        .clock = bide_clock_system()};
    code = bide_sqlite_spool_look(&options, &file, error);
    if (code == BIDE_OK)
        code = add_depths(&options, &state, error);
    bide_url_clear(&url);
    if (code != BIDE_OK && code != BIDE_E_NOT_FOUND)
        return code;
    state.bytes = file.bytes;
    state.room_bytes = file.room_bytes;
    state.is_carried = file.is_carried;
    *ret_state = state;
    return BIDE_OK;
}
