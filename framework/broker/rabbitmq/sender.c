
#include "base/alloc.h"
#include "base/bug.h"
#include "base/killpoint.h"
#include "broker/rabbitmq/address.h"
#include "broker/rabbitmq/objects.h"
#include "broker/reconnect.h"

/* One message of the present call. */
struct parcel {
    const struct bide_message *message;
    enum bide_sent *result;
    bool is_out;      /* published, and not answered */
    bool is_suspect;  /* to be published alone */
    bool is_over;     /* has its final answer */
    unsigned denials; /* how often the broker denied it when it was published alone */
};

struct sender {
    struct bide_sender base;
    struct bide_rmq_settings *settings;
    struct bide_rmq_publisher publisher;
    struct bide_reconnect reconnect;
    struct parcel *parcels;
    size_t room;
    /* of the present call */
    size_t n, n_open;  /* parcels; and those without a final answer */
    size_t n_suspects; /* the suspects among those */
    bool must_declare; /* a queue is missing */
    size_t cursor;     /* all parcels before it are out or answered */
    int64_t heard_us;  /* of the last answer, or of the beginning */
    int64_t deadline_us;
    bide_code refusal; /* the first final refusal */
    bide_error why;    /* its text */
};

/* DENIALS: the sender reconnects and declares once before it takes a denial as final. */
enum { PAUSE_MS = 20, SLICE_MS = 1000, DENIALS = 2, OPEN_AGAIN = 2 };

static int64_t now_us(const struct sender *sender)
{
    return bide_mono_us(sender->settings->clock);
}

static int wait_ms(const struct sender *sender, int64_t most_ms)
{
    int64_t left_ms = (sender->deadline_us - now_us(sender)) / 1000;
    return (int)(left_ms < 0 ? 0 : left_ms < most_ms ? left_ms : most_ms);
}

static void close_parcel(struct sender *sender, struct parcel *parcel)
{
    BIDE_BUG(parcel->is_over || sender->n_open == 0);
    parcel->is_over = true;
    sender->n_open--;
    sender->n_suspects -= parcel->is_suspect;
}

/* The call goes on with the other parcels, and returns this failure in the end. */
static void fail_parcel(struct sender *sender, struct parcel *parcel, bide_code code, const char *text)
{
    if (code == BIDE_E_DATA)
        *parcel->result = BIDE_SENT_REFUSED;
    if (sender->refusal == BIDE_OK)
        sender->refusal = bide_fail(&sender->why, code, "%s", text);
    close_parcel(sender, parcel);
}

static void on_denied(struct sender *sender, struct parcel *parcel)
{
    const bide_error *denial = &sender->publisher.denial;
    if (++parcel->denials >= DENIALS || denial->code != BIDE_E_BROKER)
        fail_parcel(sender, parcel, denial->code, denial->text);
}

static void on_outcome(void *owner, void *item, enum bide_rmq_outcome outcome)
{
    struct sender *sender = owner;
    struct parcel *parcel = item;
    parcel->is_out = false;
    sender->heard_us = now_us(sender);
    if (outcome == BIDE_RMQ_CONFIRMED) {
        *parcel->result = BIDE_SENT_OK;
        BIDE_KILL_POINT("send/rabbitmq-confirmed");
        close_parcel(sender, parcel);
        return;
    }
    sender->cursor = 0; /* it is sent again, as long as there is time */
    sender->must_declare |= outcome == BIDE_RMQ_RETURNED;
    bool is_suspect = outcome == BIDE_RMQ_SUSPECT || outcome == BIDE_RMQ_DENIED;
    sender->n_suspects += is_suspect && !parcel->is_suspect;
    parcel->is_suspect |= is_suspect;
    if (outcome == BIDE_RMQ_DENIED)
        on_denied(sender, parcel);
}

static bide_code put(struct sender *sender, struct parcel *parcel, bide_error *error)
{
    struct bide_rmq_publisher *publisher = &sender->publisher;
    const struct bide_message *message = parcel->message;
    struct bide_rmq_route route;
    if (!bide_rmq_draft_new(&publisher->draft, message, NULL))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_rmq_route_due(&route, sender->settings, message->queue, message);
    bide_code code = bide_rmq_publisher_put(
        publisher, &route.address, (struct bide_slice){message->body, message->body_size}, parcel, error);
    parcel->is_out = code == BIDE_OK;
    BIDE_KILL_POINT("send/rabbitmq-published");
    return code;
}

/* Publishes a parcel. One that can never be sent is refused. */
static bide_code put_one(struct sender *sender, struct parcel *parcel, bide_error *error)
{
    bide_error why;
    bide_code code = put(sender, parcel, &why);
    if (code == BIDE_E_NOMEM)
        return bide_fail(error, code, "%s", why.text);
    if (code != BIDE_OK)
        fail_parcel(sender, parcel, code, why.text);
    return BIDE_OK;
}

/* While there are suspects, only they are published, one at a time. */
static bool has_turn(const struct sender *sender, const struct parcel *parcel)
{
    if (sender->n_suspects)
        return parcel->is_suspect && sender->publisher.n_waiting == 0;
    return true;
}

static bide_code put_open(struct sender *sender, bide_error *error)
{
    if (sender->n_suspects)
        sender->cursor = 0;
    for (; sender->cursor < sender->n && !bide_rmq_publisher_is_full(&sender->publisher); sender->cursor++) {
        struct parcel *parcel = &sender->parcels[sender->cursor];
        if (parcel->is_out || parcel->is_over || !has_turn(sender, parcel))
            continue;
        bide_code code = put_one(sender, parcel, error);
        if (code != BIDE_OK)
            return code;
    }
    if (sender->n_suspects)
        sender->cursor = 0;
    return BIDE_OK;
}

static bide_code connect_again(struct sender *sender, bide_error *error)
{
    int64_t pause_us = bide_reconnect_wait_us(&sender->reconnect, now_us(sender));
    int pause_ms = wait_ms(sender, (pause_us + 999) / 1000);
    if (pause_ms > 0)
        poll(NULL, 0, pause_ms);
    bide_code code = bide_rmq_publisher_open(&sender->publisher, "sender", false, error);
    sender->heard_us = now_us(sender);
    if (code == BIDE_OK)
        bide_reconnect_succeeded(&sender->reconnect);
    else
        bide_reconnect_failed(&sender->reconnect, now_us(sender));
    return code;
}

/* May trying again help? Not if a person must act. */
static bool is_passing(bide_code code)
{
    return code == BIDE_E_BROKER || code == BIDE_E_TIMEOUT;
}

/* Has the connection been cut unnoticed? Then the parcels in flight get no answer. Half of the timeout is
 * kept for another connection. */
static bool is_silent(const struct sender *sender)
{
    return sender->publisher.n_waiting && !sender->publisher.link.blocked &&
           now_us(sender) - sender->heard_us > sender->base.timeout_us / 2;
}

static bide_code step(struct sender *sender, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (is_silent(sender))
        bide_rmq_publisher_drop(&sender->publisher);
    if (sender->must_declare && sender->publisher.n_waiting == 0) { /* declaring is part of connecting */
        bide_rmq_publisher_close(&sender->publisher);
        bide_reconnect_failed(&sender->reconnect, now_us(sender));
        sender->publisher.must_declare = true;
        sender->must_declare = false;
    }
    if (!bide_rmq_publisher_is_open(&sender->publisher))
        code = connect_again(sender, error);
    if (code == BIDE_OK)
        code = put_open(sender, error);
    if (code != BIDE_OK)
        return code;
    size_t before = sender->n_open;
    code = bide_rmq_publisher_serve(&sender->publisher, wait_ms(sender, SLICE_MS), error);
    if (code == BIDE_OK && sender->n_open == before && sender->publisher.n_waiting == 0 && before)
        poll(NULL, 0, wait_ms(sender, PAUSE_MS)); /* the broker refused all: pause before the next try */
    return code;
}

static bide_code timed_out(const struct sender *sender, bide_code last, bide_error *error)
{
    if (last != BIDE_OK)
        return last; /* the text already says why */
    const char *why =
        sender->publisher.link.blocked
            ? "the broker has an alarm (memory or disk: see 'rabbitmqctl status') and takes nothing"
            : "the broker did not confirm";
    return bide_fail(error, BIDE_E_TIMEOUT, "%s: %s: %zu of %zu messages unconfirmed after %lld ms",
        sender->settings->redacted, why, sender->n_open, sender->n,
        (long long)(sender->base.timeout_us / 1000));
}

static bool begin(
    struct sender *sender, struct bide_message *const *messages, size_t n, enum bide_sent *results)
{
    if (n > sender->room) {
        struct parcel *parcels = bide_realloc(sender->parcels, n * sizeof *parcels);
        if (!parcels)
            return false;
        sender->parcels = parcels;
        sender->room = n;
    }
    for (size_t i = 0; i < n; i++)
        sender->parcels[i] = (struct parcel){.message = messages[i], .result = &results[i]};
    sender->n = sender->n_open = n;
    sender->n_suspects = 0;
    sender->cursor = 0;
    bide_rmq_publisher_forget_denials(&sender->publisher);
    sender->heard_us = now_us(sender);
    sender->refusal = BIDE_OK;
    sender->deadline_us = now_us(sender) + sender->base.timeout_us;
    return true;
}

static bide_code send_all(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct sender *sender = (struct sender *)base;
    if (!begin(sender, messages, n, results))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = BIDE_OK;
    while (sender->n_open && (code == BIDE_OK || is_passing(code)) && wait_ms(sender, 1) > 0)
        code = step(sender, error);
    if (sender->n_open == 0)
        return sender->refusal == BIDE_OK ? BIDE_OK
                                          : bide_fail(error, sender->refusal, "%s", sender->why.text);
    if (code == BIDE_OK || is_passing(code))
        code = timed_out(sender, code, error); /* before the drop: it looks at the connection */
    /* The broker may still answer the parcels in flight, but this call no longer waits. */
    if (sender->publisher.n_waiting)
        bide_rmq_publisher_drop(&sender->publisher);
    return code;
}

static void destroy(struct bide_sender *base)
{
    struct sender *sender = (struct sender *)base;
    bide_rmq_publisher_release(&sender->publisher);
    bide_rmq_settings_destroy(sender->settings);
    bide_free(sender->parcels);
    bide_free(sender);
}

static const struct bide_sender_ops ops = {.send = send_all, .destroy = destroy};

/* What answers in AMQP and then fails may well take a second try: a node that starts or stops, a queue that
 * somebody else declares just now. Where nobody answers, whoever opens the sender decides. */
static bide_code open_first(struct sender *sender, bide_error *error)
{
    sender->deadline_us = now_us(sender) + sender->base.timeout_us;
    bide_code code = bide_rmq_publisher_open(&sender->publisher, "sender", false, error);
    for (int again = 0; again < OPEN_AGAIN && code == BIDE_E_BROKER && sender->publisher.link.frame_max > 0;
         again++) {
        bide_reconnect_failed(&sender->reconnect, now_us(sender));
        code = connect_again(sender, error);
    }
    return code;
}

bide_code bide_rmq_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    struct bide_rmq_settings *settings;
    bide_code code = bide_rmq_settings_create(options, &settings, error);
    if (code != BIDE_OK)
        return code;
    struct sender *sender = bide_calloc(1, sizeof *sender);
    if (!sender) {
        bide_rmq_settings_destroy(settings);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    sender->base.ops = &ops;
    sender->base.timeout_us = settings->timeout_ms * 1000;
    sender->settings = settings;
    bide_rmq_publisher_init(&sender->publisher, settings, on_outcome, sender);
    code = open_first(sender, error);
    if (code != BIDE_OK) {
        destroy(&sender->base);
        return code;
    }
    *ret_sender = &sender->base;
    return BIDE_OK;
}
