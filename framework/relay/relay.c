#include "relay/relay.h"

#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "broker/reconnect.h"
#include "shared/metrics.h"

enum {
    HOLD_US =
        60 * 1000 * 1000, /* what cannot be sent for so long goes back: brokers take it away in the end */
    PATIENCE_US =
        10 * 1000 * 1000, /* an application's transaction may keep its database locked for so long */
    LONGEST_US = 10 * 1000 * 1000,
    LAST_US = 5 * 1000 * 1000, /* as long a relay that ends waits for the application's transaction */
};

/* An end that may be away: the source, or the target. */
struct end {
    const char *name; /* "source" */
    struct bide_reconnect retry;
    bool is_away; /* and that was logged */
};

struct bide_relay {
    struct bide_relay_options options;
    struct end source, target;
    struct bide_sender *sender; /* NULL: not open */
    char **queues;              /* that the sender knows; owned, ended by NULL */
    size_t n_queues;
    struct bide_taken items[BIDE_RELAY_BATCH]; /* in hand: those that are settled come first */
    size_t n;
    size_t window;              /* so many are sent at once */
    int64_t held_us;            /* monotonic: since when there is something in hand */
    bool is_active, knows_turn; /* whose turn it is, and that was logged */
    uint64_t carried, refused;
};

/* ---- what is told ---- */

static void tell(const struct bide_relay *relay)
{
    struct bide_relay_metrics *metrics = relay->options.metrics;
    int64_t oldest_ms = 0;
    for (size_t i = 0; i < relay->n; i++)
        if (oldest_ms == 0 || relay->items[i].since_ms < oldest_ms)
            oldest_ms = relay->items[i].since_ms;
    if (!metrics)
        return;
    atomic_store(&metrics->active, relay->is_active);
    atomic_store(&metrics->source_away, relay->source.is_away);
    atomic_store(&metrics->target_away, relay->target.is_away);
    atomic_store(&metrics->oldest_ms, oldest_ms);
}

static void fail_end(struct bide_relay *relay, struct end *end, const bide_error *error)
{
    bide_reconnect_failed(&end->retry, bide_mono_us(relay->options.clock));
    if (!end->is_away)
        bide_log(BIDE_LOG_ERROR, "relay waits: an end cannot be used", BIDE_STR("relay", relay->options.name),
            BIDE_STR("end", end->name), BIDE_STR("error", error->text), BIDE_INT("in_hand", relay->n));
    end->is_away = true;
}

static void restore_end(struct bide_relay *relay, struct end *end)
{
    bide_reconnect_succeeded(&end->retry);
    if (end->is_away)
        bide_log(BIDE_LOG_INFO, "relay goes on", BIDE_STR("relay", relay->options.name),
            BIDE_STR("end", end->name));
    end->is_away = false;
}

static bool is_due(const struct bide_relay *relay, const struct end *end)
{
    return bide_reconnect_is_due(&end->retry, bide_mono_us(relay->options.clock));
}

static void count(struct bide_relay *relay, const struct bide_taken *item)
{
    struct bide_relay_metrics *metrics = relay->options.metrics;
    bool done = item->end == BIDE_TAKEN_DONE;
    if (item->end == BIDE_TAKEN_RELEASED)
        return;
    relay->carried += done;
    relay->refused += !done;
    if (!metrics)
        return;
    bide_metrics_add(done ? &metrics->carried : &metrics->refused, 1);
    if (done) /* a row may say that it was sent in the future */
        bide_histogram_add(&metrics->lag,
            item->since_ms < item->confirmed_ms ? (item->confirmed_ms - item->since_ms) * 1000 : 0);
}

static void log_refusal(const struct bide_relay *relay, const struct bide_taken *item)
{
    if (item->end == BIDE_TAKEN_REFUSED) /* the source's text names the row, where there is no id */
        bide_log(BIDE_LOG_ERROR, "message refused: it stays in the relay's source",
            BIDE_STR("relay", relay->options.name), BIDE_STR("id", item->message ? item->message->id : ""),
            BIDE_STR("why", item->why));
}

/* ---- the target ---- */

static void close_sender(struct bide_relay *relay)
{
    bide_sender_destroy(relay->sender);
    relay->sender = NULL;
    for (size_t i = 0; i < relay->n_queues; i++)
        bide_free(relay->queues[i]);
    bide_free(relay->queues);
    relay->queues = NULL;
    relay->n_queues = 0;
}

/* The target has to know what the configuration and the source know: RabbitMQ parks what is for others. In a
 * spool, topics are queues. */
static bide_code list_queues(struct bide_relay *relay, bide_error *error)
{
    const struct bide_source *source = relay->options.source;
    const struct bide_broker_options *target = relay->options.target;
    relay->queues = bide_calloc(target->n_queues + source->n_queues + 1, sizeof *relay->queues);
    for (size_t i = 0; relay->queues && i < target->n_queues + source->n_queues; i++) {
        const char *name = i < target->n_queues ? target->queues[i] : source->queues[i - target->n_queues];
        bool known = bide_is_topic(name);
        for (size_t j = 0; j < relay->n_queues; j++)
            known = known || strcmp(relay->queues[j], name) == 0;
        if (known)
            continue;
        if (!(relay->queues[relay->n_queues] = bide_strdup(name)))
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        relay->n_queues++;
    }
    return relay->queues ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static bool knows_all(const struct bide_relay *relay)
{
    const struct bide_source *source = relay->options.source;
    for (size_t i = 0; i < source->n_queues; i++) {
        bool known = bide_is_topic(source->queues[i]);
        for (size_t j = 0; j < relay->n_queues; j++)
            known = known || strcmp(relay->queues[j], source->queues[i]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static bide_code refuse_circle(struct bide_relay *relay, bide_error *error)
{
    const struct bide_relay_options *options = &relay->options;
    bool same = false;
    if (!options->source->ops->is_target)
        return BIDE_OK;
    bide_code code =
        options->source->ops->is_target(options->source, options->adapter, options->target, &same, error);
    if (code == BIDE_OK && same)
        code = bide_fail(error, BIDE_E_CONFIG,
            "source and target are the same broker: what is carried would be found again, for ever");
    return code;
}

static bide_code open_sender(struct bide_relay *relay, bide_error *error)
{
    struct bide_broker_options options = *relay->options.target;
    if (relay->sender && knows_all(relay))
        return BIDE_OK;
    close_sender(relay);
    bide_code code = refuse_circle(relay, error);
    if (code == BIDE_OK)
        code = list_queues(relay, error);
    options.queues = (const char *const *)relay->queues;
    options.n_queues = relay->n_queues;
    if (code == BIDE_OK)
        code = relay->options.adapter->open_sender(&options, &relay->sender, error);
    if (code != BIDE_OK)
        close_sender(relay);
    return code;
}

/* ---- a batch ---- */

static void refuse(const struct bide_relay *relay, struct bide_taken *item, const char *why)
{
    item->end = BIDE_TAKEN_REFUSED;
    item->why = bide_strdup(why); /* NULL without memory: refused all the same */
    log_refusal(relay, item);
}

/* Why was this one refused? With others beside it, only sending it alone tells. Fails where the target does
 * not answer. */
static bide_code refuse_alone(struct bide_relay *relay, struct bide_taken *item, bide_error *error)
{
    bide_sent result = BIDE_SENT_UNKNOWN;
    bide_code code = bide_sender_send(relay->sender, &item->message, 1, &result, error);
    if (code == BIDE_OK)
        item->end = BIDE_TAKEN_DONE;
    else if (result == BIDE_SENT_REFUSED)
        refuse(relay, item, error->text);
    return item->end == BIDE_TAKEN_OPEN ? code : BIDE_OK;
}

/* Those whose reason nobody tells any more stay open, and are sent again. */
static bide_code note_results(struct bide_relay *relay, struct bide_taken *const *sent,
    const bide_sent *results, size_t n, bide_error *why)
{
    size_t n_refused = 0;
    int64_t now_ms = bide_wall_ms(relay->options.clock);
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < n; i++)
        n_refused += results[i] == BIDE_SENT_REFUSED;
    for (size_t i = 0; i < n; i++) {
        if (results[i] == BIDE_SENT_OK || results[i] == BIDE_SENT_DUPLICATE)
            sent[i]->end = BIDE_TAKEN_DONE;
        else if (results[i] == BIDE_SENT_REFUSED && n_refused == 1)
            refuse(relay, sent[i], why->text);
        else if (results[i] == BIDE_SENT_REFUSED && code == BIDE_OK)
            code = refuse_alone(relay, sent[i], why);
        sent[i]->confirmed_ms = now_ms;
    }
    return code;
}

/* Sends what is still open, in its order. A target that did not answer may have stored all that came, and
 * each try would store the batch once more: so it gets one message, then twice as many with each answer. */
static bide_code send_open(struct bide_relay *relay, bide_error *error)
{
    struct bide_message *messages[BIDE_RELAY_BATCH];
    struct bide_taken *sent[BIDE_RELAY_BATCH];
    bide_sent results[BIDE_RELAY_BATCH] = {BIDE_SENT_UNKNOWN};
    size_t n = 0;
    for (size_t i = 0; i < relay->n && n < relay->window; i++)
        if (relay->items[i].end == BIDE_TAKEN_OPEN) {
            sent[n] = &relay->items[i];
            messages[n++] = relay->items[i].message;
        }
    bide_error failure = {0};
    bide_code code = n ? open_sender(relay, &failure) : BIDE_OK;
    if (n && code == BIDE_OK) {
        code = bide_sender_send(relay->sender, messages, n, results, &failure);
        BIDE_KILL_POINT("relay/sent");
        bide_error why = failure;
        bide_code asked = note_results(relay, sent, results, n, &why);
        if (code == BIDE_OK || code == BIDE_E_DATA) {
            code = asked;
            failure = why;
        }
        relay->window = code != BIDE_OK                        ? 1
                        : 2 * relay->window < BIDE_RELAY_BATCH ? 2 * relay->window
                                                               : BIDE_RELAY_BATCH;
    }
    return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", failure.text);
}

/* Brings those that have ended to the front; the order of the others stays. Returns how many have ended. */
static size_t part(struct bide_relay *relay)
{
    size_t n_ended = 0;
    for (size_t i = 0; i < relay->n; i++) {
        struct bide_taken item = relay->items[i];
        if (item.end == BIDE_TAKEN_OPEN)
            continue;
        memmove(&relay->items[n_ended + 1], &relay->items[n_ended], (i - n_ended) * sizeof item);
        relay->items[n_ended++] = item;
    }
    return n_ended;
}

static bide_code settle_ended(struct bide_relay *relay, bide_error *error)
{
    size_t n = part(relay);
    bide_code code =
        n ? relay->options.source->ops->settle(relay->options.source, relay->items, n, error) : BIDE_OK;
    if (code != BIDE_OK)
        return code;
    BIDE_KILL_POINT("relay/settled");
    for (size_t i = 0; i < n; i++)
        count(relay, &relay->items[i]);
    relay->n -= n;
    memmove(relay->items, relay->items + n, relay->n * sizeof relay->items[0]);
    return BIDE_OK;
}

/* What is in hand goes back to the source, but for what has ended. */
static void release_all(struct bide_relay *relay)
{
    bide_error error;
    for (size_t i = 0; i < relay->n; i++)
        if (relay->items[i].end == BIDE_TAKEN_OPEN)
            relay->items[i].end = BIDE_TAKEN_RELEASED;
    if (settle_ended(relay, &error) != BIDE_OK)
        fail_end(relay, &relay->source, &error);
}

/* ---- a round ---- */

static bool is_mine(struct bide_relay *relay)
{
    bool mine = false;
    bide_error error;
    if (!is_due(relay, &relay->source))
        return false;
    bide_code code = relay->options.source->ops->claim(relay->options.source, &mine, &error);
    if (code != BIDE_OK && code != BIDE_E_NOT_FOUND) {
        fail_end(relay, &relay->source, &error);
        return false;
    }
    if (code == BIDE_OK && (mine != relay->is_active || !relay->knows_turn))
        bide_log(BIDE_LOG_INFO, mine ? "relay carries" : "relay waits for its turn: another one carries",
            BIDE_STR("relay", relay->options.name));
    if (!mine && relay->n > 0)
        release_all(relay);
    relay->is_active = mine;
    relay->knows_turn = code == BIDE_OK;
    return mine;
}

/* False: there is nothing to carry. */
static bool fetch(struct bide_relay *relay)
{
    struct bide_source *source = relay->options.source;
    bide_error error;
    size_t max = relay->n == 0 && is_due(relay, &relay->target) ? BIDE_RELAY_BATCH : 0, n = 0;
    if (source->ops->take(source, relay->items, max, &n, &error) != BIDE_OK) {
        fail_end(relay, &relay->source, &error);
        release_all(relay);
        return false;
    }
    if (max > 0)
        restore_end(relay, &relay->source);
    if (n > 0) {
        BIDE_KILL_POINT("relay/taken");
        relay->n = n;
        relay->held_us = bide_mono_us(relay->options.clock);
        for (size_t i = 0; i < n; i++)
            log_refusal(relay, &relay->items[i]);
    }
    return relay->n > 0;
}

static void deliver(struct bide_relay *relay)
{
    bide_error error;
    if (send_open(relay, &error) == BIDE_OK)
        restore_end(relay, &relay->target);
    else
        fail_end(relay, &relay->target, &error);
    int64_t held_us = bide_mono_us(relay->options.clock) - relay->held_us;
    bide_code code = settle_ended(relay, &error);
    if (code != BIDE_OK && !(code == BIDE_E_TIMEOUT && held_us < PATIENCE_US))
        fail_end(relay, &relay->source, &error);
    else if (code == BIDE_OK && relay->n > 0 && held_us >= HOLD_US)
        release_all(relay);
}

static int64_t sooner(int64_t one_us, int64_t other_us)
{
    return one_us < 0 || (other_us >= 0 && other_us < one_us) ? other_us : one_us;
}

static void plan(struct bide_relay *relay, struct bide_wait *ret_wait)
{
    int64_t now_us = bide_mono_us(relay->options.clock);
    *ret_wait = (struct bide_wait){.timeout_us = 0};
    if (!is_due(relay, &relay->source))
        ret_wait->timeout_us = bide_reconnect_wait_us(&relay->source.retry, now_us);
    else if (!is_due(relay, &relay->target))
        ret_wait->timeout_us = bide_reconnect_wait_us(&relay->target.retry, now_us);
    else if (relay->n == 0)
        relay->options.source->ops->wait(relay->options.source, ret_wait);
    ret_wait->timeout_us = sooner(ret_wait->timeout_us, LONGEST_US);
}

void bide_relay_step(struct bide_relay *relay, struct bide_wait *ret_wait)
{
    bool again = is_mine(relay) && fetch(relay) && is_due(relay, &relay->target);
    if (again)
        deliver(relay);
    tell(relay);
    plan(relay, ret_wait);
    if (again && is_due(relay, &relay->source) && is_due(relay, &relay->target))
        ret_wait->timeout_us = 0;
}

/* ---- life ---- */

/* What is confirmed and stays in the source would be carried twice. */
static void settle_last(struct bide_relay *relay)
{
    int64_t end_us = bide_mono_us(relay->options.clock) + LAST_US;
    bide_error error;
    while (relay->n > 0 && settle_ended(relay, &error) == BIDE_E_TIMEOUT &&
           bide_mono_us(relay->options.clock) < end_us)
        ;
}

bide_code bide_relay_create(
    const struct bide_relay_options *options, struct bide_relay **ret_relay, bide_error *error)
{
    struct bide_relay *relay = bide_calloc(1, sizeof *relay);
    if (!relay) {
        options->source->ops->destroy(options->source, NULL, 0);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    relay->options = *options;
    relay->window = BIDE_RELAY_BATCH;
    relay->source.name = "source";
    relay->target.name = "target";
    *ret_relay = relay;
    return BIDE_OK;
}

uint64_t bide_relay_destroy(struct bide_relay *relay)
{
    if (!relay)
        return 0;
    settle_last(relay);
    uint64_t carried = relay->carried;
    relay->options.source->ops->destroy(relay->options.source, relay->items, relay->n);
    close_sender(relay);
    bide_free(relay);
    return carried;
}
