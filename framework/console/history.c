#include "console/history.h"

#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

void bide_history_init(struct bide_history *history, struct bide_past *past)
{
    memset(history, 0, sizeof *history);
    pthread_mutex_init(&history->lock, NULL);
    history->past = past;
}

void bide_history_clear(struct bide_history *history)
{
    for (size_t i = 0; i < BIDE_PAST_POINTS; i++)
        bide_free(history->depths[i].queues);
    pthread_mutex_destroy(&history->lock);
}

static void copy_depths(struct bide_history_depths *depths, const struct bide_broker_stats *stats)
{
    bide_free(depths->queues);
    *depths = (struct bide_history_depths){0};
    if (!stats || stats->n_queues == 0)
        return;
    depths->queues = bide_calloc(stats->n_queues, sizeof *depths->queues);
    if (!depths->queues)
        return; /* the point has no depths then */
    memcpy(depths->queues, stats->queues, stats->n_queues * sizeof *depths->queues);
    depths->n = stats->n_queues;
}

void bide_history_step(struct bide_history *history, const struct bide_type_total *now, int64_t t_s,
    const struct bide_broker_stats *stats)
{
    pthread_mutex_lock(&history->lock);
    struct bide_past *past = history->past;
    struct bide_histogram_sum lateness = now->lateness;
    size_t at = past->n % BIDE_PAST_POINTS;
    bide_histogram_subtract(&lateness, &past->lateness);
    past->points[at] = (struct bide_past_point){
        .t_s = t_s,
        .done = now->counts[BIDE_COUNT_DONE] - past->counts[BIDE_COUNT_DONE],
        .retried = now->counts[BIDE_COUNT_RETRIED] - past->counts[BIDE_COUNT_RETRIED],
        .dead = now->counts[BIDE_COUNT_DEAD] - past->counts[BIDE_COUNT_DEAD],
        .late_p99_us = bide_histogram_quantile_us(&lateness, 0.99),
    };
    copy_depths(&history->depths[at], stats);
    memcpy(past->counts, now->counts, sizeof past->counts);
    past->lateness = now->lateness;
    past->n++;
    pthread_mutex_unlock(&history->lock);
}

static void add_queues(struct bide_buffer *to, const struct bide_history_depths *depths)
{
    bide_json_open(to, "queues", '{');
    for (size_t i = 0; i < depths->n; i++) {
        const struct bide_queue_stats *queue = &depths->queues[i];
        bide_json_open(to, queue->name, '{');
        bide_json_count(to, "ready", queue->ready);
        bide_json_count(to, "delayed", queue->delayed);
        bide_json_count(to, "in_flight", queue->in_flight);
        bide_json_count(to, "dead", queue->dead);
        bide_buffer_char(to, '}');
    }
    bide_buffer_char(to, '}');
}

static void add_point(
    struct bide_buffer *to, const struct bide_past_point *point, const struct bide_history_depths *depths)
{
    bide_json_open(to, NULL, '{');
    bide_json_int(to, "t", point->t_s);
    bide_json_int(to, "done", (int64_t)point->done);
    bide_json_int(to, "retried", (int64_t)point->retried);
    bide_json_int(to, "dead", (int64_t)point->dead);
    if (point->late_p99_us < 0)
        bide_json_text(to, "late_p99_ms", NULL);
    else
        bide_json_number(to, "late_p99_ms", point->late_p99_us / 1000);
    add_queues(to, depths);
    bide_buffer_char(to, '}');
}

void bide_history_json(struct bide_history *history, struct bide_buffer *to)
{
    pthread_mutex_lock(&history->lock);
    const struct bide_past *past = history->past;
    uint64_t first = past->n > BIDE_PAST_POINTS ? past->n - BIDE_PAST_POINTS : 0;
    bide_json_int(to, "step_s", BIDE_HISTORY_STEP_S);
    bide_json_open(to, "points", '[');
    for (uint64_t i = first; i < past->n; i++)
        add_point(to, &past->points[i % BIDE_PAST_POINTS], &history->depths[i % BIDE_PAST_POINTS]);
    bide_buffer_char(to, ']');
    pthread_mutex_unlock(&history->lock);
}
