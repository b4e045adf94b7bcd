#include "dispatch/filling.h"

enum { PERMIT_MARGIN_US = 20 * 1000 }; /* between a ripe filling and its call, for a permit's time */

static size_t most(const struct bide_handler *handler)
{
    return (size_t)handler->config->batch;
}

bool bide_filling_takes(const struct bide_job *job, int64_t now_mono_us)
{
    if (job->handler->config->batch <= 1 || job->suspect || job->probe || job->apart)
        return false;
    return job->begin_by_us == 0 || job->begin_by_us >= now_mono_us; /* else it comes back as late */
}

static void note(struct bide_filling *filling, const struct bide_job *job)
{
    int64_t until_us = job->ready_us + job->handler->config->batch_wait_ms * 1000;
    if (job->begin_by_us > 0 && job->begin_by_us - PERMIT_MARGIN_US < until_us)
        until_us = job->begin_by_us - PERMIT_MARGIN_US;
    if (until_us < filling->ripe_us)
        filling->ripe_us = until_us;
    if (job->early && job->landing.due_us < filling->landed_us)
        filling->landed_us = job->landing.due_us;
}

static void look_again(struct bide_filling *filling)
{
    filling->ripe_us = filling->landed_us = INT64_MAX;
    for (const struct bide_job *job = filling->jobs.first; job; job = job->next)
        note(filling, job);
}

static void list_handler(struct bide_board *board, struct bide_handler *handler)
{
    if (handler->filling.listed)
        return;
    handler->filling.listed = true;
    handler->filling.next = board->fillings;
    board->fillings = handler;
}

void bide_filling_add(struct bide_board *board, struct bide_job *job, int64_t now_mono_us)
{
    struct bide_filling *filling = &job->handler->filling;
    list_handler(board, job->handler);
    if (job->ready_us > now_mono_us)
        job->ready_us = now_mono_us;
    if (filling->jobs.n == 0)
        look_again(filling);
    bide_job_append(&filling->jobs, job);
    note(filling, job);
}

/* ---- the lead ---- */

/* One that landed where there is one: it is due, and goes back when it is overdue. */
static struct bide_job *choose(struct bide_job_list *jobs)
{
    struct bide_job_list passed = {0};
    struct bide_job *job = jobs->first;
    while (job && !job->early)
        job = job->next;
    if (!job || job == jobs->first)
        return bide_job_pop(jobs);
    while (jobs->first != job)
        bide_job_append(&passed, bide_job_pop(jobs));
    bide_job_pop(jobs);
    bide_job_append_all(&passed, jobs);
    *jobs = passed;
    return job;
}

static struct bide_job *ripen_one(struct bide_handler *handler, int64_t now_wall_us, int64_t now_mono_us)
{
    struct bide_filling *filling = &handler->filling;
    if (filling->lead || filling->jobs.n == 0 ||
        (filling->jobs.n < most(handler) && now_mono_us < filling->ripe_us))
        return NULL;
    struct bide_job *job = filling->lead = choose(&filling->jobs);
    job->ready_us = now_mono_us; /* the wait for others is no wait for a thread */
    job->landing.due_us = now_wall_us;
    return job;
}

void bide_filling_ripen(
    const struct bide_board *board, int64_t now_wall_us, int64_t now_mono_us, struct bide_job_list *leads)
{
    for (struct bide_handler *handler = board->fillings; handler; handler = handler->filling.next) {
        struct bide_job *lead = ripen_one(handler, now_wall_us, now_mono_us);
        if (lead)
            bide_job_append(leads, lead);
    }
}

int64_t bide_filling_next_us(const struct bide_board *board)
{
    int64_t next_us = INT64_MAX;
    for (const struct bide_handler *handler = board->fillings; handler; handler = handler->filling.next)
        if (!handler->filling.lead && handler->filling.jobs.n > 0 && handler->filling.ripe_us < next_us)
            next_us = handler->filling.ripe_us;
    return next_us;
}

struct bide_job *bide_filling_taken(struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us)
{
    struct bide_filling *filling = &job->handler->filling;
    if (filling->lead != job)
        return NULL;
    filling->lead = NULL;
    while (filling->jobs.n > 0 && job->mates.n + 1 < most(job->handler)) {
        struct bide_job *mate = bide_job_pop(&filling->jobs);
        if (mate->ready_us < job->ready_us)
            mate->ready_us = job->ready_us;
        bide_job_append(&job->mates, mate);
    }
    look_again(filling);
    return ripen_one(job->handler, now_wall_us, now_mono_us);
}

/* ---- taking out ---- */

static bool fell_due_before(const void *limit_wall_us, const struct bide_job *job)
{
    return job->early && job->landing.due_us < *(const int64_t *)limit_wall_us;
}

void bide_filling_withdraw_overdue(struct bide_board *board, int64_t limit_wall_us, struct bide_job_list *to)
{
    for (struct bide_handler *handler = board->fillings; handler; handler = handler->filling.next) {
        struct bide_filling *filling = &handler->filling;
        if (!filling->lead || filling->lead->landing.due_us >= limit_wall_us ||
            filling->landed_us >= limit_wall_us)
            continue;
        bide_job_pick(&filling->jobs, fell_due_before, &limit_wall_us, to);
        look_again(filling);
    }
}

void bide_filling_withdraw(
    struct bide_board *board, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    for (struct bide_handler *handler = board->fillings; handler; handler = handler->filling.next) {
        bide_job_pick(&handler->filling.jobs, test, user, to);
        look_again(&handler->filling);
    }
}

void bide_filling_withdrawn(struct bide_job *first)
{
    for (struct bide_job *job = first; job; job = job->next)
        if (job->handler->filling.lead == job)
            job->handler->filling.lead = NULL;
}
