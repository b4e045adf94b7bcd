/* Exporting. Messages are taken from the queues without acknowledging them, as dead letters are, and
 * acknowledged once they were carried away. If the export is killed, the broker gives all of them back
 * because the connection ends.
 *
 * Meanwhile messages move, from rung to rung and on to the landing queue. So the export walks the queues in
 * the same direction, again and again, until two walks in a row, with a pause between, have found nothing. */

#include <poll.h>

#include "broker/rabbitmq/admin/letters.h"

enum { PAUSE_MS = 300 };

struct exporter {
    struct bide_rmq_admin *admin;
    const char *queue; /* NULL: all queues */
    struct bide_dead_filter filter;
    bide_export_visit *visit;
    void *user;
    bool carried; /* this walk has carried something */
    struct bide_export items[BIDE_EXPORT_BATCH];
};

static void show_pile(struct exporter *exporter, const struct bide_rmq_pile *pile)
{
    for (size_t i = 0; i < pile->n; i++) {
        const struct bide_rmq_letter *letter = pile->letters[i];
        exporter->items[i] = (struct bide_export){
            .message = letter->message,
            .dead = letter->is_dead,
            .reason = letter->reason,
            .died_ms = letter->died_ms,
        };
    }
}

/* One acknowledgement is enough if nothing else was taken from this source. */
static bide_code acknowledge_carried(
    struct exporter *exporter, size_t source, const struct bide_rmq_pile *pile, bide_error *error)
{
    size_t n = 0;
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < pile->n; i++)
        n += exporter->items[i].carried;
    exporter->carried |= n > 0;
    if (n == exporter->admin->n_letters[source])
        return bide_rmq_letters_acknowledge_all(exporter->admin, source, error);
    for (size_t i = 0; code == BIDE_OK && i < pile->n; i++)
        if (exporter->items[i].carried)
            code = bide_rmq_letter_acknowledge(exporter->admin, pile->letters[i], error);
    return code;
}

/* Deletes what the visitor has carried, even where the visit failed in the end: if it stayed, the message
 * would exist twice. */
static bide_code visit_pile(
    struct exporter *exporter, size_t source, const struct bide_rmq_pile *pile, bide_error *error)
{
    bide_error later;
    if (pile->n == 0)
        return BIDE_OK;
    show_pile(exporter, pile);
    bide_code code = exporter->visit(exporter->user, exporter->items, pile->n, error);
    bide_code acknowledged = acknowledge_carried(exporter, source, pile, code == BIDE_OK ? error : &later);
    return code == BIDE_OK ? acknowledged : code;
}

static bide_code export_batch(
    struct exporter *exporter, size_t source, size_t most, size_t *ret_n, bide_error *error)
{
    struct bide_rmq_pile pile = {0};
    bide_code code =
        bide_rmq_letters_take(exporter->admin, source, most, &exporter->filter, &pile, ret_n, error);
    bide_rmq_pile_leave_out_cut(&pile);
    if (code == BIDE_OK)
        code = visit_pile(exporter, source, &pile, error);
    bide_rmq_pile_clear(&pile);
    return code;
}

/* Exports what the queue had at the beginning; the next walk finds what has arrived since. If only one queue
 * is exported, messages of other queues are given back at once: they must move on to be in time. */
static bide_code export_source(struct exporter *exporter, size_t source, bide_error *error)
{
    int64_t depth = 0;
    const char *queue = exporter->admin->sources.items[source].queue;
    bide_code code = bide_rmq_admin_depth(exporter->admin, queue, &depth, error);
    size_t left = code == BIDE_OK && depth > 0 ? (size_t)depth : 0;
    while (code == BIDE_OK && left > 0) {
        size_t n = 0;
        code = export_batch(exporter, source, left < BIDE_EXPORT_BATCH ? left : BIDE_EXPORT_BATCH, &n, error);
        left = n ? left - n : 0;
    }
    if (code == BIDE_OK && exporter->queue)
        code = bide_rmq_letters_return(exporter->admin, source, error);
    return code;
}

static bide_code walk(struct exporter *exporter, bide_error *error)
{
    const struct bide_rmq_sources *sources = &exporter->admin->sources;
    bide_code code = BIDE_OK;
    exporter->carried = false;
    for (size_t i = 0; code == BIDE_OK && i < sources->n; i++)
        code = export_source(exporter, i, error);
    return code;
}

bide_code bide_rmq_export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error)
{
    struct exporter exporter = {.admin = (struct bide_rmq_admin *)base,
        .queue = queue,
        .filter = {.queue = queue},
        .visit = visit,
        .user = user};
    bide_code code = bide_rmq_admin_ready(exporter.admin, error);
    for (int empty = 0; code == BIDE_OK && empty < 2;) {
        if (empty)
            poll(NULL, 0, PAUSE_MS);
        code = walk(&exporter, error);
        empty = exporter.carried ? 0 : empty + 1;
    }
    bide_rmq_letters_give_back(exporter.admin);
    return code;
}
