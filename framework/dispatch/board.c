#include "dispatch/board.h"

#include "base/alloc.h"
#include "base/bug.h"
#include "dispatch/filling.h"

bide_code bide_board_init(struct bide_board *board, const struct bide_queue_config *queues, size_t n_queues,
    enum bide_order order, bide_error *error)
{
    *board = (struct bide_board){.order = order, .n_queues = n_queues};
    bide_heap_init(&board->landing);
    board->queues = bide_calloc(n_queues, sizeof *board->queues);
    if (!board->queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n_queues; i++)
        board->queues[i].weight = queues[i].weight;
    return BIDE_OK;
}

void bide_board_clear(struct bide_board *board)
{
    bide_heap_release(&board->landing);
    bide_free(board->queues);
    *board = (struct bide_board){0};
}

static void count_landed(struct bide_board *board, int64_t due_us)
{
    if (board->n_landed == 0 || due_us < board->landed_first_us)
        board->landed_first_us = due_us;
    board->n_landed++;
}

static void make_ready(struct bide_board *board, struct bide_job *job, bool landed)
{
    struct bide_board_queue *queue = &board->queues[job->delivery->queue];
    job->landed = landed;
    bide_job_append(landed ? &queue->due : &queue->ready, job);
    board->n_ready++;
    if (landed)
        count_landed(board, job->landing.due_us);
}

/* The leads of ripe fillings wait in the lists of their queues like other jobs. */
static void ripen(struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us)
{
    struct bide_job_list leads = {0};
    struct bide_job *lead;
    bide_filling_ripen(board, now_wall_us, now_mono_us, &leads);
    while ((lead = bide_job_pop(&leads)))
        make_ready(board, lead, lead->early);
}

/* It could run now. early: its due time has come while it was in hand. */
static void add_due(struct bide_board *board, struct bide_job *job, bool early, int64_t now_mono_us)
{
    if (bide_filling_takes(job, now_mono_us))
        bide_filling_add(board, job, now_mono_us);
    else
        make_ready(board, job, early);
}

bool bide_board_add(struct bide_board *board, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us)
{
    int64_t due_us = job->delivery->message->due_ms * 1000;
    if (job->start_us > due_us)
        due_us = job->start_us;
    job->ready_us = now_mono_us;
    job->landed = false;
    job->landing = (struct bide_heap_node){.due_us = due_us};
    if (due_us > now_wall_us)
        return bide_heap_insert(&board->landing, &job->landing);
    add_due(board, job, job->early, now_mono_us); /* early: it fell due before it came here */
    ripen(board, now_wall_us, now_mono_us);
    return true;
}

static void land_what_is_due(struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us)
{
    struct bide_heap_node *node;
    while ((node = bide_heap_first(&board->landing)) && node->due_us <= now_wall_us) {
        struct bide_job *job = bide_job_of_landing(node);
        bide_heap_remove(&board->landing, node);
        job->ready_us = now_mono_us - (now_wall_us - node->due_us);
        add_due(board, job, true, now_mono_us);
    }
    ripen(board, now_wall_us, now_mono_us);
}

static bool waiting(const struct bide_board_queue *queue)
{
    return queue->due.first || queue->ready.first;
}

static struct bide_board_queue *choose_strict(struct bide_board *board)
{
    for (size_t i = 0; i < board->n_queues; i++)
        if (waiting(&board->queues[i]))
            return &board->queues[i];
    return NULL;
}

static struct bide_board_queue *choose_weighted(struct bide_board *board)
{
    struct bide_board_queue *best = NULL;
    int64_t sum = 0;
    for (size_t i = 0; i < board->n_queues; i++) {
        struct bide_board_queue *queue = &board->queues[i];
        if (!waiting(queue)) {
            queue->credit = 0; /* an idle queue must not collect credit */
            continue;
        }
        queue->credit += queue->weight;
        sum += queue->weight;
        if (!best || queue->credit > best->credit)
            best = queue;
    }
    if (best)
        best->credit -= sum;
    return best;
}

/* Does it run as many messages as its own concurrency allows? */
static bool is_busy(const struct bide_handler *handler)
{
    return handler->config->concurrency > 0 && handler->running >= handler->config->concurrency;
}

static bool is_full(const struct bide_share *share)
{
    return share && share->running >= share->most;
}

/* Lets the job run that has waited longest with the handler. False if none waits. */
static bool unblock_one(struct bide_board *board, struct bide_handler *handler)
{
    struct bide_job *job = bide_job_pop(&handler->blocked);
    if (!job)
        return false;
    BIDE_BUG(board->n_blocked == 0);
    board->n_blocked--;
    bide_job_prepend(&board->queues[job->delivery->queue].due, job);
    board->n_ready++;
    return true;
}

/* The next handler in turn that has a waiting job and may run it; with `strict`, the one whose job is of the
 * first queue. */
static struct bide_handler *choose_member(const struct bide_board *board, const struct bide_share *share)
{
    struct bide_handler *best = NULL;
    for (struct bide_handler *handler = share->members; handler; handler = handler->next_in_share)
        if (handler->blocked.first && !is_busy(handler) &&
            (!best || (board->order == BIDE_ORDER_STRICT &&
                          handler->blocked.first->delivery->queue < best->blocked.first->delivery->queue)))
            best = handler;
    return best;
}

/* Lets a job of the next handler in turn run. That handler goes to the end of the share's list. */
static bool unblock_in_share(struct bide_board *board, struct bide_share *share)
{
    struct bide_handler *handler = choose_member(board, share);
    if (!handler)
        return false;
    unblock_one(board, handler);
    if (!handler->next_in_share)
        return true;
    struct bide_handler **at = &share->members, **end;
    while (*at != handler)
        at = &(*at)->next_in_share;
    *at = handler->next_in_share;
    for (end = &share->members; *end;)
        end = &(*end)->next_in_share;
    *end = handler;
    handler->next_in_share = NULL;
    return true;
}

/* The job waits with its handler. If its share has room, the job of another handler may run instead. */
static void block(struct bide_board *board, struct bide_job *job)
{
    struct bide_share *share = job->handler->share;
    bide_job_append(&job->handler->blocked, job);
    board->n_blocked++;
    if (share && !is_full(share))
        unblock_in_share(board, share);
}

struct bide_job *bide_board_take(struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us)
{
    land_what_is_due(board, now_wall_us, now_mono_us);
    while (board->n_ready > 0) {
        struct bide_board_queue *queue =
            board->order == BIDE_ORDER_STRICT ? choose_strict(board) : choose_weighted(board);
        BIDE_BUG(!queue);
        struct bide_job *job = bide_job_pop(queue->due.first ? &queue->due : &queue->ready);
        board->n_ready--;
        if (!is_busy(job->handler) && !is_full(job->handler->share)) {
            job->handler->running++;
            if (job->handler->share)
                job->handler->share->running++;
            board->n_landed -= job->landed;
            struct bide_job *lead = bide_filling_taken(job, now_wall_us, now_mono_us);
            if (lead)
                make_ready(board, lead, lead->early);
            return job;
        }
        block(board, job);
    }
    return NULL;
}

void bide_board_finished(struct bide_board *board, struct bide_handler *handler)
{
    BIDE_BUG(handler->running <= 0);
    handler->running--;
    if (!handler->share) {
        unblock_one(board, handler);
        return;
    }
    BIDE_BUG(handler->share->running <= 0);
    handler->share->running--;
    if (!is_full(handler->share))
        unblock_in_share(board, handler->share);
}

void bide_board_set_share(struct bide_board *board, struct bide_share *share, int most)
{
    share->most = most;
    for (int i = share->running; i < most && unblock_in_share(board, share); i++)
        continue;
}

int64_t bide_board_next_due_us(const struct bide_board *board)
{
    const struct bide_heap_node *node = bide_heap_first(&board->landing);
    return node ? node->due_us : -1;
}

int64_t bide_board_next_us(const struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us)
{
    int64_t due_us = bide_board_next_due_us(board), next_us = bide_filling_next_us(board);
    if (due_us >= 0 && now_mono_us + due_us - now_wall_us < next_us)
        next_us = now_mono_us + due_us - now_wall_us;
    return next_us == INT64_MAX ? -1 : next_us > 0 ? next_us : 0;
}

/* ---- taking out jobs that have not begun ---- */

static void recount_landed(struct bide_board *board, const struct bide_job_list *list)
{
    for (const struct bide_job *job = list->first; job; job = job->next)
        if (job->landed)
            count_landed(board, job->landing.due_us);
}

/* The first that was put behind `last`. */
static struct bide_job *after(const struct bide_job_list *list, struct bide_job *last)
{
    return last ? last->next : list->first;
}

static void pick_from_lists(struct bide_board *board, struct bide_handlers *handlers, bide_job_test *test,
    const void *user, struct bide_job_list *to)
{
    struct bide_job *last = to->last;
    board->n_landed = 0;
    for (size_t i = 0; i < board->n_queues; i++) {
        struct bide_board_queue *queue = &board->queues[i];
        board->n_ready -= bide_job_pick(&queue->due, test, user, to);
        board->n_ready -= bide_job_pick(&queue->ready, test, user, to);
        recount_landed(board, &queue->due);
    }
    for (size_t i = 0; i < handlers->n; i++) {
        board->n_blocked -= bide_job_pick(&handlers->rows[i].blocked, test, user, to);
        recount_landed(board, &handlers->rows[i].blocked);
    }
    if (board->fillings)
        bide_filling_withdrawn(after(to, last));
}

static void take_from_heap(struct bide_board *board, int64_t limit_wall_us, struct bide_job_list *to)
{
    struct bide_heap_node *node;
    while ((node = bide_heap_first(&board->landing)) && node->due_us < limit_wall_us) {
        bide_heap_remove(&board->landing, node);
        bide_job_append(to, bide_job_of_landing(node));
    }
}

static bool is_overdue(const void *limit_wall_us, const struct bide_job *job)
{
    return job->landed && job->landing.due_us < *(const int64_t *)limit_wall_us;
}

void bide_board_withdraw_overdue(
    struct bide_board *board, struct bide_handlers *handlers, int64_t limit_wall_us, struct bide_job_list *to)
{
    take_from_heap(board, limit_wall_us, to);
    bide_filling_withdraw_overdue(board, limit_wall_us, to);
    if (board->n_landed > 0 && board->landed_first_us < limit_wall_us)
        pick_from_lists(board, handlers, is_overdue, &limit_wall_us, to);
}

/* Takes all jobs out of the heap and puts back those that stay (their memory is still there). Slow, but
 * rare. */
static void pick_from_heap(
    struct bide_board *board, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    struct bide_job_list early = {0};
    struct bide_job *job;
    take_from_heap(board, INT64_MAX, &early);
    while ((job = bide_job_pop(&early)))
        if (test(user, job) || !bide_heap_insert(&board->landing, &job->landing))
            bide_job_append(to, job);
}

void bide_board_withdraw(struct bide_board *board, struct bide_handlers *handlers, bide_job_test *test,
    const void *user, struct bide_job_list *to)
{
    pick_from_lists(board, handlers, test, user, to);
    bide_filling_withdraw(board, test, user, to);
    pick_from_heap(board, test, user, to);
}
