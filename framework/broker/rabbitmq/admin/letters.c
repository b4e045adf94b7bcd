#include "broker/rabbitmq/admin/letters.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "broker/rabbitmq/fault.h"

enum { PIPELINE = 64, PREFIX = 2 * BIDE_RMQ_RUNGS, RETURN_MS = 2000, RETURN_STEP_MS = 2, ACKS_MAX = 16 };
enum { FIRST_PIPELINE = 4, ENOUGH_BYTES = 8 * 1024 * 1024 }; /* bytes of bodies, in the pile and arriving */

static const struct bide_rmq_source *source_of(const struct bide_rmq_admin *admin, size_t source)
{
    return &admin->sources.items[source];
}

static amqp_channel_t channel_of(size_t source)
{
    return (amqp_channel_t)(BIDE_RMQ_LETTERS + source);
}

/* ---- a pile ---- */

static void destroy_letter(struct bide_rmq_letter *letter)
{
    bide_message_destroy(letter->message);
    bide_free(letter);
}

void bide_rmq_pile_clear(struct bide_rmq_pile *pile)
{
    for (size_t i = 0; i < pile->n; i++)
        destroy_letter(pile->letters[i]);
    bide_free(pile->letters);
    *pile = (struct bide_rmq_pile){0};
}

static int newer(const void *a, const void *b)
{
    const struct bide_rmq_letter *x = *(struct bide_rmq_letter *const *)a;
    const struct bide_rmq_letter *y = *(struct bide_rmq_letter *const *)b;
    if (x->died_ms != y->died_ms)
        return x->died_ms < y->died_ms ? 1 : -1;
    return x->tag < y->tag ? 1 : x->tag > y->tag ? -1 : 0;
}

static int older(const void *a, const void *b)
{
    return newer(b, a);
}

void bide_rmq_pile_sort(struct bide_rmq_pile *pile, bool oldest_first)
{
    if (pile->n)
        qsort(pile->letters, pile->n, sizeof *pile->letters, oldest_first ? older : newer);
}

/* Keeps the newest letters. Called when the pile holds twice the limit, or large letters, so that each letter
 * is sorted only a few times. */
static void trim(struct bide_rmq_pile *pile, size_t limit)
{
    bide_rmq_pile_sort(pile, false);
    while (pile->n > limit)
        destroy_letter(pile->letters[--pile->n]);
    pile->bytes = 0;
    for (size_t i = 0; i < pile->n; i++)
        pile->bytes += pile->letters[i]->message->body_size;
}

size_t bide_rmq_pile_leave_out_cut(struct bide_rmq_pile *pile)
{
    size_t n = 0, before = pile->n;
    for (size_t i = 0; i < before; i++)
        if (pile->letters[i]->is_cut)
            destroy_letter(pile->letters[i]);
        else
            pile->letters[n++] = pile->letters[i];
    pile->n = n;
    return before - n;
}

static bool is_crowded(const struct bide_rmq_pile *pile, size_t limit)
{
    return limit && (pile->n >= 2 * limit || (pile->n > limit && pile->bytes > ENOUGH_BYTES));
}

static bool add(struct bide_rmq_pile *pile, struct bide_rmq_letter *letter)
{
    if (pile->n == pile->room) {
        size_t room = pile->room ? 2 * pile->room : 64;
        struct bide_rmq_letter **letters = bide_realloc(pile->letters, room * sizeof *letters);
        if (!letters)
            return false;
        pile->letters = letters;
        pile->room = room;
    }
    pile->letters[pile->n++] = letter;
    pile->bytes += letter->message->body_size;
    return true;
}

/* ---- one letter ---- */

struct fetch {
    struct bide_rmq_admin *admin;
    size_t source;
    const struct bide_dead_filter *filter;
    struct bide_rmq_pile *pile;
    size_t most, n_asked, n_answered, n_taken;
    size_t largest;      /* the largest body so far */
    size_t bytes_before; /* bytes in the pile at the beginning */
    bool is_empty;
    /* the letter that is arriving */
    amqp_basic_get_ok_t *got;
    amqp_frame_t head;
    struct bide_buffer body; /* stays empty for a filter without bodies */
    uint64_t body_left;
};

/* The queue to which an unrouted message was sent. If it came through the ladder, that is the routing key
 * without its digits. */
static struct bide_slice wanted_queue(const struct fetch *fetch, struct bide_slice said)
{
    const struct bide_rmq_settings *settings = fetch->admin->settings;
    amqp_bytes_t key = fetch->got->routing_key;
    const char *name = source_of(fetch->admin, fetch->source)->name;
    if (name)
        return (struct bide_slice){name, strlen(name)};
    if (bide_rmq_bytes_are(fetch->got->exchange, settings->work_exchange))
        return (struct bide_slice){key.bytes, key.len};
    if (key.len > PREFIX && ((const char *)key.bytes)[1] == '.')
        return (struct bide_slice){(const char *)key.bytes + PREFIX, key.len - PREFIX};
    return said;
}

/* A message that a worker declared dead says the reason and the number of its runs. Any other letter tells
 * both by where it is: in the unrouted queue. */
static void judge_dead(
    const struct bide_rmq_death *death, enum bide_rmq_source_kind kind, struct bide_rmq_letter *letter)
{
    char name[32] = "";
    bool is_buried = kind == BIDE_RMQ_DEAD || death->reason.size > 0;
    if (death->reason.size && death->reason.size < sizeof name)
        memcpy(name, death->reason.bytes, death->reason.size);
    letter->is_dead = true;
    letter->reason = is_buried ? BIDE_REASON_NONE : BIDE_REASON_UNROUTED;
    if (is_buried)
        bide_reason_parse(name, &letter->reason);
    letter->died_ms = death->died_ms ? death->died_ms : letter->message->sent_ms;
    letter->message->attempt = is_buried ? (int)death->attempts : letter->message->attempt - 1;
}

/* An export treats a message as a dead letter if a worker would find it malformed. */
static void judge_underway(
    const struct bide_rmq_admin *admin, const char *malformed, struct bide_rmq_letter *letter)
{
    if (!malformed)
        return;
    letter->is_dead = true;
    letter->reason = BIDE_REASON_MALFORMED;
    letter->died_ms = bide_wall_ms(admin->settings->clock);
    letter->message->error = malformed;
    letter->message->attempt = 0;
}

static struct bide_rmq_letter *create_letter(struct fetch *fetch)
{
    struct bide_rmq_admin *admin = fetch->admin;
    amqp_bytes_t raw = fetch->head.payload.properties.raw;
    struct bide_rmq_letter *letter = bide_malloc(sizeof *letter + raw.len);
    if (!letter)
        return NULL;
    struct bide_message_parts parts;
    struct bide_rmq_death death;
    enum bide_rmq_source_kind kind = source_of(admin, fetch->source)->kind;
    const char *malformed = bide_rmq_read(
        fetch->head.payload.properties.decoded, admin->settings->clock, &admin->scratch, &parts, &death);
    parts.queue = wanted_queue(fetch, parts.queue);
    parts.body = (struct bide_slice){fetch->body.bytes, fetch->body.size};
    *letter = (struct bide_rmq_letter){.message = bide_message_from_parts(&parts),
        .tag = fetch->got->delivery_tag,
        .n_behind = fetch->got->message_count,
        .source = fetch->source};
    if (!letter->message) {
        bide_free(letter);
        return NULL;
    }
    letter->is_cut = death.cut > 0;
    memcpy(letter + 1, raw.bytes, raw.len);
    letter->raw = (struct bide_slice){(const char *)(letter + 1), raw.len};
    if (kind == BIDE_RMQ_UNDERWAY)
        judge_underway(admin, malformed, letter);
    else
        judge_dead(&death, kind, letter);
    return letter;
}

static bool matches(const struct bide_dead_filter *filter, const struct bide_rmq_letter *letter)
{
    return bide_dead_matches(
        filter, &(struct bide_dead_letter){letter->message, letter->reason, letter->died_ms});
}

static bide_code finish_letter(struct fetch *fetch, bide_error *error)
{
    struct bide_rmq_letter *letter = fetch->body.failed ? NULL : create_letter(fetch);
    fetch->n_answered++;
    fetch->n_taken++;
    fetch->admin->n_letters[fetch->source]++;
    if (!letter)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory for a dead letter");
    if (!matches(fetch->filter, letter)) {
        destroy_letter(letter);
    } else if (!add(fetch->pile, letter)) {
        destroy_letter(letter);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory for dead letters");
    } else if (is_crowded(fetch->pile, fetch->filter->limit)) {
        trim(fetch->pile, fetch->filter->limit);
    }
    amqp_maybe_release_buffers_on_channel(fetch->admin->link.amqp, channel_of(fetch->source));
    return BIDE_OK;
}

/* ---- fetching ---- */

static bide_code failed(const struct bide_rmq_admin *admin, int status, bide_error *error)
{
    return bide_rmq_fail_status(admin->settings, status, "working on dead letters", error);
}

static bide_code on_head(struct fetch *fetch, const amqp_frame_t *frame, bide_error *error)
{
    fetch->head = *frame;
    fetch->body_left = frame->payload.properties.body_size;
    if (fetch->body_left > fetch->largest)
        fetch->largest = (size_t)fetch->body_left;
    bide_buffer_clear(&fetch->body);
    if (!fetch->filter->without_bodies)
        bide_buffer_reserve(&fetch->body, (size_t)fetch->body_left);
    return fetch->body_left == 0 ? finish_letter(fetch, error) : BIDE_OK;
}

static bide_code on_body(struct fetch *fetch, amqp_bytes_t piece, bide_error *error)
{
    if (!fetch->filter->without_bodies)
        bide_buffer_add(&fetch->body, piece.bytes, piece.len);
    fetch->body_left -= piece.len < fetch->body_left ? piece.len : fetch->body_left;
    return fetch->body_left == 0 ? finish_letter(fetch, error) : BIDE_OK;
}

static bide_code on_frame(struct fetch *fetch, const amqp_frame_t *frame, bide_error *error)
{
    if (frame->frame_type == AMQP_FRAME_HEADER)
        return on_head(fetch, frame, error);
    if (frame->frame_type == AMQP_FRAME_BODY)
        return on_body(fetch, frame->payload.body_fragment, error);
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return BIDE_OK;
    switch (frame->payload.method.id) {
    case AMQP_BASIC_GET_OK_METHOD:
        fetch->got = frame->payload.method.decoded;
        fetch->admin->last_tag = fetch->got->delivery_tag;
        return BIDE_OK;
    case AMQP_BASIC_GET_EMPTY_METHOD:
        fetch->n_answered++;
        fetch->is_empty = true;
        return BIDE_OK;
    default:
        return bide_rmq_fail_method(
            fetch->admin->settings, frame->payload.method, "fetching dead letters", error);
    }
}

/* How many gets may be on their way before their answers: many letters cost one round trip. If bodies are
 * kept, their sum is bounded, as estimated from the largest so far. At first nothing is known about their
 * sizes, so few gets are sent. */
static size_t pipeline(const struct fetch *fetch)
{
    if (fetch->filter->without_bodies)
        return PIPELINE;
    size_t n = fetch->n_answered < FIRST_PIPELINE ? FIRST_PIPELINE : PIPELINE;
    size_t fits = ENOUGH_BYTES / (fetch->largest + 1);
    return fits < 1 ? 1 : fits < n ? fits : n;
}

/* Are enough bytes in the pile? With a limit never: trim() removes the older letters. */
static bool is_full(const struct fetch *fetch)
{
    return fetch->filter->limit == 0 && fetch->pile->bytes - fetch->bytes_before >= ENOUGH_BYTES;
}

static bide_code ask(struct fetch *fetch, bide_error *error)
{
    amqp_basic_get_t get = {.queue = bide_rmq_text(source_of(fetch->admin, fetch->source)->queue)};
    while (!fetch->is_empty && !is_full(fetch) && fetch->n_asked < fetch->most &&
           fetch->n_asked - fetch->n_answered < pipeline(fetch)) {
        int status =
            amqp_send_method(fetch->admin->link.amqp, channel_of(fetch->source), AMQP_BASIC_GET_METHOD, &get);
        if (status != AMQP_STATUS_OK)
            return failed(fetch->admin, status, error);
        fetch->n_asked++;
    }
    return BIDE_OK;
}

static bide_code run(struct fetch *fetch, bide_error *error)
{
    struct timeval patience = bide_rmq_timeval(fetch->admin->settings->timeout_ms);
    bide_code code = ask(fetch, error);
    while (code == BIDE_OK && fetch->n_answered < fetch->n_asked) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(fetch->admin->link.amqp, &frame, &patience);
        if (status != AMQP_STATUS_OK)
            return failed(fetch->admin, status, error);
        code = on_frame(fetch, &frame, error);
        if (code == BIDE_OK)
            code = ask(fetch, error);
    }
    return code;
}

/* Opens the channels in order, so that those of 0 … open_letters-1 are open. */
static bide_code begin(struct fetch *fetch, bide_error *error)
{
    struct bide_rmq_admin *admin = fetch->admin;
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && admin->open_letters <= fetch->source)
        code = bide_rmq_link_open_channel(&admin->link, channel_of(admin->open_letters++), error);
    return code;
}

bide_code bide_rmq_letters_take(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error)
{
    struct fetch fetch = {.admin = admin,
        .source = source,
        .filter = filter,
        .pile = pile,
        .most = most,
        .bytes_before = pile->bytes};
    bide_buffer_init(&fetch.body);
    bide_code code = begin(&fetch, error);
    if (code == BIDE_OK)
        code = run(&fetch, error);
    bide_buffer_release(&fetch.body);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(&admin->link);
        return code;
    }
    if (filter->limit && pile->n > filter->limit)
        trim(pile, filter->limit);
    *ret_n = fetch.n_taken;
    return BIDE_OK;
}

/* ---- acknowledging and giving back ---- */

enum { ALL = 0 }; /* tag 0 with `multiple`: all that the channel has fetched */

/* An earlier question may have ended the connection. */
static bide_code check_link(const struct bide_rmq_admin *admin, bide_error *error)
{
    return admin->link.amqp ? BIDE_OK : failed(admin, AMQP_STATUS_SOCKET_CLOSED, error);
}

static bide_code acknowledge(struct bide_rmq_admin *admin, size_t source, uint64_t tag, bide_error *error)
{
    bide_code code = check_link(admin, error);
    if (code != BIDE_OK)
        return code;
    int status = amqp_basic_ack(admin->link.amqp, channel_of(source), tag, tag == ALL);
    return status == AMQP_STATUS_OK ? BIDE_OK : failed(admin, status, error);
}

static bide_code give_back(struct bide_rmq_admin *admin, size_t source, uint64_t tag, bide_error *error)
{
    bide_code code = check_link(admin, error);
    if (code != BIDE_OK)
        return code;
    int status = amqp_basic_nack(admin->link.amqp, channel_of(source), tag, tag == ALL, 1);
    return status == AMQP_STATUS_OK ? BIDE_OK : failed(admin, status, error);
}

/* Waits until the broker has applied all acknowledgements. A channel hands a quorum queue only 32 commands at
 * a time and keeps the rest; if the channel is closed, the rest is lost and the acknowledged letters are
 * there again. A get passes through the queue's log: its answer means that all commands before it are
 * applied. */
static bide_code await_applied(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    static const char *const ids[] = {""};
    const struct bide_dead_filter nobody = {.ids = ids, .n_ids = 1, .without_bodies = true};
    struct bide_rmq_pile none = {0};
    size_t n = 0;
    admin->n_acks = 0;
    bide_code code = bide_rmq_letters_take(admin, source, 1, &nobody, &none, &n, error);
    bide_rmq_pile_clear(&none);
    if (code != BIDE_OK || n == 0)
        return code;
    admin->n_letters[source]--;
    return give_back(admin, source, admin->last_tag, error);
}

bide_code bide_rmq_letter_acknowledge(
    struct bide_rmq_admin *admin, const struct bide_rmq_letter *letter, bide_error *error)
{
    bide_code code = acknowledge(admin, letter->source, letter->tag, error);
    if (code != BIDE_OK)
        return code;
    admin->n_letters[letter->source]--;
    return ++admin->n_acks < ACKS_MAX ? BIDE_OK : await_applied(admin, letter->source, error);
}

bide_code bide_rmq_letters_acknowledge_all(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    if (admin->n_letters[source] == 0)
        return BIDE_OK;
    admin->n_letters[source] = 0;
    return acknowledge(admin, source, ALL, error);
}

bide_code bide_rmq_letters_return(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    if (admin->n_letters[source] == 0)
        return BIDE_OK;
    admin->n_letters[source] = 0;
    return give_back(admin, source, ALL, error);
}

/* Waits until a quorum queue has taken back what the channel returned: this takes a moment, and until then
 * the queue seems empty. It also shows that the acknowledgements before are applied. */
static void await_return(struct bide_rmq_admin *admin, size_t source)
{
    const struct bide_clock *clock = admin->settings->clock;
    int64_t deadline_ms = bide_mono_ms(clock) + RETURN_MS, depth = 0;
    bide_error ignored;
    while (admin->link.amqp && bide_mono_ms(clock) < deadline_ms &&
           bide_rmq_admin_depth(admin, source_of(admin, source)->queue, &depth, &ignored) == BIDE_OK &&
           depth >= 0 && (size_t)depth < admin->n_letters[source])
        poll(NULL, 0, RETURN_STEP_MS);
}

void bide_rmq_letters_give_back(struct bide_rmq_admin *admin)
{
    bide_error ignored; /* if this fails, the connection has ended, and the broker takes the letters back */
    for (size_t source = 0; source < admin->open_letters; source++)
        if (admin->n_letters[source])
            give_back(admin, source, ALL, &ignored);
    for (size_t source = 0; source < admin->open_letters; source++) {
        if (source < admin->sources.n_dead) /* a holding queue may pass them on at once */
            await_return(admin, source);
        admin->n_letters[source] = 0;
        if (admin->link.amqp)
            amqp_channel_close(admin->link.amqp, channel_of(source), AMQP_REPLY_SUCCESS);
    }
    admin->n_acks = 0;
    if (admin->link.amqp)
        amqp_maybe_release_buffers(admin->link.amqp);
    admin->open_letters = 0;
}
