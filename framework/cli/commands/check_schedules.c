/* The schedules of `bide check`: when each fires next, and whether anybody here runs its messages. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cli/commands/check.h"
#include "schedules/schedule.h"

static bool takes_queue(const struct bide_config *config, const char *queue)
{
    for (size_t i = 0; i < config->n_queues; i++)
        if (strcmp(config->queues[i].name, queue) == 0)
            return true;
    return false;
}

static void add(struct bide_cli_report *report, const struct bide_schedule_config *declared, const char *text,
    const char *warning, const char *remedy)
{
    char subject[BIDE_NAME_MAX + 16];
    snprintf(subject, sizeof subject, "schedule %s", declared->name);
    bide_cli_report_add(report, &(struct bide_finding){warning ? BIDE_FINDING_WARNING : BIDE_FINDING_OK,
                                    subject, warning ? warning : text, remedy});
}

static void report_next(struct bide_cli_report *report, const struct bide_schedule_config *declared,
    const struct bide_schedule *schedule)
{
    char next[BIDE_INSTANT_TEXT];
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_schedule_add_times(declared, &text);
    bide_buffer_format(&text, ", next %s, type %s, queue %s", bide_format_instant(schedule->next_ms, next),
        declared->type, declared->queue);
    add(report, declared, text.bytes, NULL, NULL);
    bide_buffer_release(&text);
}

void bide_cli_check_schedules(struct bide_cli_report *report, const struct bide_config *config)
{
    for (size_t i = 0; i < config->n_schedules; i++) {
        const struct bide_schedule_config *declared = &config->schedules[i];
        struct bide_schedule schedule;
        bide_error error;
        if (bide_schedule_declare(declared, bide_wall_ms(bide_clock_system()), &schedule, &error) !=
            BIDE_OK) {
            bide_cli_report_failure(report, declared->name, &error, NULL);
            continue;
        }
        report_next(report, declared, &schedule);
        bide_schedule_clear(&schedule);
        if (!bide_config_handler(config, declared->type) && config->n_handlers > 0)
            add(report, declared, NULL, "no handler of this configuration runs its type",
                "right if workers with another configuration do; else its messages become dead letters");
        if (!takes_queue(config, declared->queue))
            add(report, declared, NULL, "its queue is not in `queues`",
                "right if workers with another configuration serve it");
    }
}
