/* tests/unit/made_jobs.h: jobs without a broker, for the tests of what is between intake and handler. */
#ifndef TESTS_UNIT_MADE_JOBS_H
#define TESTS_UNIT_MADE_JOBS_H

#include "unit.h"

#include <stdlib.h>

#include "config/config.h"
#include "dispatch/handler.h"

struct made {
    struct bide_job job;
    struct bide_delivery delivery;
    struct bide_message message;
};

static inline struct made *make(struct bide_handler *handler, size_t queue, int64_t due_ms)
{
    struct made *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->message.due_ms = due_ms;
    made->message.id = made->message.type = made->message.queue = "x";
    made->message.attempt = 1;
    made->delivery.message = &made->message;
    made->delivery.queue = queue;
    made->job.delivery = &made->delivery;
    made->job.handler = handler;
    return made;
}

static struct bide_handler_config plain __attribute__((unused)) = {.type = (char[]){"x"}};

static const struct bide_queue_config two_queues[] __attribute__((unused)) = {
    {.name = (char[]){"bulk"}, .weight = 1}, {.name = (char[]){"critical"}, .weight = 9}};

static inline void free_all(struct bide_job_list *jobs)
{
    struct bide_job *job;
    while ((job = bide_job_pop(jobs))) {
        free(job->run.error);
        free(job);
    }
}

#endif
