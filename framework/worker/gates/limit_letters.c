/* What the limit gate writes to the store, and what it reads from the answers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "worker/gates/limit_inside.h"

enum {
    PLACE_MS = 7 * 24 * 3600 * 1000, /* if neither its run nor its session ended, its place would */
    OPERATIONS_EACH = 6,             /* of a limit in a letter, at most */
    LINE_SHARE = 80, /* who waits for a place comes back in this part (%) of the time that it would take */
    TICKET_SLACK_MS = 2000,
};
enum { ISSUED = 1 };
#define LINE_WITHIN_US (INT64_C(30) * 1000 * 1000)

/* ---- names ---- */

void limit_name_keys(struct limit *limit)
{
    bide_limit_name(limit->config->name, limit->terms.generation, "", limit->prefix);
    limit->prefix_size = strlen(limit->prefix);
}

static void name_part(struct limit_part *part, const struct limit *limit, const char *key)
{
    part->terms_size = limit->text_size;
    memcpy(part->terms, limit->text, limit->text_size);
    memcpy(part->name, limit->prefix, limit->prefix_size);
    memcpy(part->name + limit->prefix_size, key, strlen(key) + 1);
    if (limit->config->concurrency)
        snprintf(part->place, sizeof part->place, "%s/%s", limit->config->name, key);
}

/* The errand that brought them is freed after the next letter has been written in their place. */
static void drop_answers(struct bide_limit_pass *pass)
{
    bide_store_letter_clear(
        &(struct bide_store_letter){.operations = pass->operations, .n = pass->n_operations});
    pass->n_operations = 0;
}

static struct bide_limit_pass *allocate(struct limited *handler)
{
    struct bide_limit_pass *pass = handler->spare;
    if (!pass)
        return bide_malloc(sizeof *pass + handler->n * sizeof pass->parts[0] +
                           handler->n * OPERATIONS_EACH * sizeof pass->operations[0]);
    handler->spare = pass->next;
    drop_answers(pass);
    return pass;
}

struct bide_limit_pass *limit_pass_create(
    struct limit_gate *gate, struct limited *handler, const struct bide_message *message)
{
    size_t n = handler->n;
    struct bide_limit_pass *pass = allocate(handler);
    char key[BIDE_LIMIT_KEY_TEXT];
    if (!pass)
        return NULL;
    *pass = (struct bide_limit_pass){
        .handler = handler, .began_us = limit_now_us(gate), .operations = (void *)&pass->parts[n]};
    for (size_t i = 0; i < n; i++) {
        bide_limit_key(handler->limits[i]->config, message, key);
        name_part(&pass->parts[i], handler->limits[i], key);
    }
    pass->message = message;
    if (!handler->simple)
        snprintf(pass->holder, sizeof pass->holder, "%s/%" PRIu64, gate->holder, ++gate->passes);
    return pass;
}

/* ---- writing ---- */

static struct bide_store_operation *add(struct bide_limit_pass *pass, enum limit_role role, size_t of,
    enum bide_store_kind kind, const char *scope, const char *key)
{
    size_t at = pass->n_operations++;
    pass->roles[at] = (uint8_t)role;
    pass->of[at] = (uint8_t)of;
    pass->operations[at] = (struct bide_store_operation){.kind = kind, .scope = scope, .key = key};
    return &pass->operations[at];
}

static struct bide_store_operation *add_meter(
    struct bide_limit_pass *pass, enum limit_role role, size_t of, int64_t n, int64_t within_us)
{
    int64_t interval_us = bide_limit_interval_us(&pass->handler->limits[of]->terms.rate);
    struct bide_store_operation *meter =
        add(pass, role, of, BIDE_STORE_METER, BIDE_LIMIT_RATES, bide_limit_meter(pass->parts[of].name));
    meter->meter = (struct bide_store_meter){n, interval_us ? interval_us : 1, within_us};
    return meter;
}

/* Are they what this worker knows? Changes nothing. */
static void add_terms(struct bide_limit_pass *pass)
{
    for (size_t i = 0; i < pass->handler->n; i++) {
        const struct limit_part *part = &pass->parts[i];
        struct bide_store_operation *terms = add(
            pass, ROLE_TERMS, i, BIDE_STORE_TURN, BIDE_LIMIT_TERMS, pass->handler->limits[i]->config->name);
        terms->stop = true;
        terms->turn.from = part->terms_size ? 0 : 1 << 0;
        terms->turn.to = part->terms_size != 0;
        terms->turn.data = (struct bide_slice){part->terms, part->terms_size};
        terms->lasts_ms = BIDE_STORE_LASTS_MAX_MS;
    }
}

static struct bide_store_operation *add_use(struct bide_limit_pass *pass, size_t of)
{
    struct bide_store_operation *use =
        add(pass, ROLE_USE, of, BIDE_STORE_TURN, pass->parts[of].name, pass->ticket);
    use->turn.from = 1 << ISSUED;
    return use;
}

static void write_ticket(struct bide_limit_pass *pass)
{
    struct limited *handler = pass->handler;
    size_t first = handler->n;
    bide_limit_ticket(pass->message, pass->ticket);
    for (size_t i = 0; i < handler->n; i++) {
        if (handler->limits[i]->config->rate.n == 0)
            continue;
        first = first < handler->n ? first : i;
        add(pass, ROLE_HAS, i, BIDE_STORE_GET, pass->parts[i].name, pass->ticket)->stop = handler->simple;
        if (handler->simple)
            add_use(pass, i);
    }
    add_meter(pass, ROLE_CLOCK, first, 0, 0);
}

static void add_places(struct bide_limit_pass *pass)
{
    for (size_t i = 0; i < pass->handler->n; i++) {
        if (pass->handler->limits[i]->config->concurrency == 0)
            continue;
        struct bide_store_operation *place =
            add(pass, ROLE_PLACE, i, BIDE_STORE_ACQUIRE, BIDE_LIMIT_PLACES, pass->parts[i].place);
        place->stop = true;
        place->lasts_ms = PLACE_MS;
        place->acquire.holder = pass->holder;
        place->acquire.n = pass->handler->limits[i]->terms.concurrency;
    }
}

/* Of the limit whose permit it has by a ticket, nothing is asked. */
static bool has_permit(const struct bide_limit_pass *pass, size_t of)
{
    return pass->permit_us > 0 && pass->permit_of == of;
}

/* How many others wait at the desk for which it asks. */
static int64_t for_others(const struct bide_limit_pass *pass)
{
    size_t parked = pass->desk ? pass->desk->parked : 0;
    return (int64_t)(parked < LIMIT_STOCK ? parked : LIMIT_STOCK - 1);
}

/* One rate: the next permit, whenever it begins (without a key: soon, as nothing that could run before it is
 * behind this message). Several: a permit of each if all have one now, since one
 * that is reserved and not used is lost for the others. A limit without a rate may have to wait after a 429.
 */
static void add_permits(struct bide_limit_pass *pass)
{
    struct limited *handler = pass->handler;
    bool sole = handler->n_rates == 1;
    int64_t within_us = handler->keyless ? BIDE_LIMIT_IN_HAND_US / 2 : sole ? LIMIT_LONGEST_US : 0;
    for (size_t i = 0; i < handler->n; i++)
        if (!has_permit(pass, i) && !(sole && handler->limits[i]->config->rate.n))
            add_meter(pass, ROLE_LOOK, i, 0, 0)->stop = true;
    for (size_t i = 0; i < handler->n; i++)
        if (!has_permit(pass, i) && handler->limits[i]->config->rate.n)
            add_meter(pass, ROLE_PERMIT, i, 1 + pass->more + for_others(pass), within_us);
}

static void write_take(struct bide_limit_pass *pass)
{
    if (pass->permit_us > 0)
        add_use(pass, pass->permit_of)->stop = true;
    add_places(pass);
    add_permits(pass);
}

static void add_releases(struct bide_limit_pass *pass)
{
    for (size_t i = 0; i < pass->handler->n; i++)
        if (pass->places >> i & 1)
            add(pass, ROLE_REST, i, BIDE_STORE_RELEASE, BIDE_LIMIT_PLACES, pass->parts[i].place)
                ->acquire.holder = pass->holder;
    pass->places = 0;
}

static void write_reserve(struct bide_limit_pass *pass)
{
    add_meter(pass, ROLE_PERMIT, pass->permit_of, 1, LIMIT_LONGEST_US);
}

static void write_issue(struct limit_gate *gate, struct bide_limit_pass *pass)
{
    int size =
        snprintf(pass->data, sizeof pass->data, "%" PRId64 " %" PRId64, pass->permit_us, pass->asked_us);
    bide_limit_ticket(pass->message, pass->ticket);
    int64_t wait_us = bide_limit_span(&gate->clock, pass->permit_us).to_us - limit_now_us(gate);
    struct bide_store_operation *ticket = add(
        pass, ROLE_REST, pass->permit_of, BIDE_STORE_TURN, pass->parts[pass->permit_of].name, pass->ticket);
    ticket->turn =
        (struct bide_store_turn){.from = BIDE_STORE_ANY, .to = ISSUED, .data = {pass->data, (size_t)size}};
    ticket->lasts_ms = (wait_us > 0 ? wait_us / 1000 : 0) + TICKET_SLACK_MS;
}

static void write_line(struct bide_limit_pass *pass)
{
    const struct limit *limit = pass->handler->limits[pass->permit_of];
    int64_t interval_us = limit->mean_us * LINE_SHARE / 100 / (limit->terms.concurrency + 1);
    interval_us = interval_us < LINE_WITHIN_US ? interval_us : LINE_WITHIN_US;
    add(pass, ROLE_PERMIT, pass->permit_of, BIDE_STORE_METER, BIDE_LIMIT_LINES,
        bide_limit_meter(pass->parts[pass->permit_of].name))
        ->meter = (struct bide_store_meter){1, interval_us > 1000 ? interval_us : 1000, LINE_WITHIN_US};
}

struct bide_errand *limit_letter(struct limit_gate *gate, struct bide_limit_pass *pass)
{
    struct bide_errand *errand = bide_clerk_errand(gate->gate.site->clerk);
    if (!errand)
        return NULL;
    drop_answers(pass);
    if (pass->step != LIMIT_TICKET && pass->step != LIMIT_TAKE)
        add_releases(pass); /* whatever the terms are */
    add_terms(pass);
    switch (pass->step) {
    case LIMIT_TICKET:
        write_ticket(pass);
        break;
    case LIMIT_TAKE:
        write_take(pass);
        break;
    case LIMIT_RESERVE:
        write_reserve(pass);
        break;
    case LIMIT_ISSUE:
        write_issue(gate, pass);
        break;
    case LIMIT_LINE:
        write_line(pass);
        break;
    }
    errand->letter.operations = pass->operations;
    errand->letter.n = pass->n_operations;
    return errand;
}

/* ---- reading ---- */

const struct bide_store_operation *limit_answer(
    const struct bide_limit_pass *pass, enum limit_role role, size_t *at)
{
    for (; *at < pass->n_operations; ++*at)
        if (pass->roles[*at] == role)
            return &pass->operations[(*at)++];
    return NULL;
}

static void adopt(struct limit *limit, const struct bide_store_answer *answer)
{
    size_t size = answer->state ? answer->size : 0;
    if (size > sizeof limit->text)
        return;
    if (size > 0)
        memcpy(limit->text, answer->data, size);
    limit->text_size = size;
    limit->terms = bide_limit_terms(limit->config, (struct bide_slice){limit->text, size});
    limit_name_keys(limit);
    bide_log(BIDE_LOG_INFO, "a limit has been set", BIDE_STR("limit", limit->config->name),
        BIDE_INT("permits", limit->terms.rate.n), BIDE_INT("window_ms", limit->terms.rate.window_ms),
        BIDE_INT("concurrency", limit->terms.concurrency));
}

static bool is_current(const struct limit_part *part, const struct limit *limit)
{
    return part->terms_size == limit->text_size && memcmp(part->terms, limit->text, part->terms_size) == 0;
}

bool limit_terms_hold(struct bide_limit_pass *pass)
{
    bool hold = true;
    for (size_t i = 0; i < pass->n_operations; i++) {
        const struct bide_store_operation *operation = &pass->operations[i];
        if (pass->roles[i] != ROLE_TERMS || operation->answer.skipped || operation->answer.ok)
            continue;
        struct limit *limit = pass->handler->limits[pass->of[i]];
        if (is_current(&pass->parts[pass->of[i]], limit)) /* else another message has told */
            adopt(limit, &operation->answer);
        hold = false;
    }
    for (size_t i = 0; i < pass->handler->n && !hold; i++) {
        const char *key = strchr(bide_limit_meter(pass->parts[i].name), '/') + 1;
        char copy[BIDE_LIMIT_NAME_TEXT];
        snprintf(copy, sizeof copy, "%s", key);
        name_part(&pass->parts[i], pass->handler->limits[i], copy);
    }
    return hold;
}

/* ---- what nobody waits for ---- */

void limit_give_back(struct limit_gate *gate, struct bide_limit_pass *pass)
{
    struct bide_clerk *clerk = gate->gate.site->clerk;
    size_t n = pass->handler->n;
    struct bide_errand *errand = pass->places ? bide_clerk_errand(clerk) : NULL;
    char *names = errand ? bide_malloc(n * BIDE_LIMIT_NAME_TEXT) : NULL;
    if (errand && !names)
        bide_clerk_free(clerk, errand); /* the places last until the session ends */
    if (!names)
        return;
    errand->memory = names;
    errand->must = true;
    snprintf(errand->holder, sizeof errand->holder, "%s", pass->holder);
    for (size_t i = 0; i < n; i++) {
        char *name = names + i * BIDE_LIMIT_NAME_TEXT;
        snprintf(name, BIDE_LIMIT_NAME_TEXT, "%s", pass->parts[i].place);
        if (pass->places >> i & 1)
            bide_errand_add(errand, BIDE_STORE_RELEASE, BIDE_LIMIT_PLACES, name)->acquire.holder =
                errand->holder;
    }
    pass->places = 0;
    bide_clerk_hand(clerk, errand);
}

void limit_throttle(struct limit_gate *gate, const struct bide_limit_pass *pass, size_t of, int64_t wait_ms)
{
    struct bide_clerk *clerk = gate->gate.site->clerk;
    struct bide_errand *errand = bide_clerk_errand(clerk);
    if (!errand)
        return;
    int64_t interval_us = bide_limit_interval_us(&pass->handler->limits[of]->terms.rate),
            in_hand_us = interval_us ? BIDE_LIMIT_IN_HAND_US + interval_us : 1;
    int64_t wait_us = wait_ms < LIMIT_LONGEST_US / 1000 ? wait_ms * 1000 : LIMIT_LONGEST_US;
    wait_us = wait_us > in_hand_us ? wait_us : in_hand_us;
    snprintf(errand->key, sizeof errand->key, "%s", pass->parts[of].name);
    const char *meter = bide_limit_meter(errand->key);
    bide_errand_add(errand, BIDE_STORE_CLOSE, errand->key, NULL);
    bide_errand_add(errand, BIDE_STORE_TURN, BIDE_LIMIT_RATES, meter)->turn.from = BIDE_STORE_ANY;
    bide_errand_add(errand, BIDE_STORE_METER, BIDE_LIMIT_RATES, meter)->meter =
        (struct bide_store_meter){1, wait_us, 0};
    errand->must = true;
    bide_clerk_hand(clerk, errand);
}
