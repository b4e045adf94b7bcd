#include <stdlib.h>

#include "base/alloc.h"
#include "message/trace.h"
#include "worker/intake.h"

enum {
    SHORTEST_PAUSE_MS = 250, /* of what there is no room for in the quarantine */
    TROUBLE_PAUSE_MS = 250,  /* times the deaths of its type: the pause grows with them */
};

static void park(
    struct bide_intake *intake, struct bide_delivery *delivery, enum bide_reason reason, char *text)
{
    const struct bide_message *message = delivery->message;
    bide_log(BIDE_LOG_WARN, "message parked", BIDE_STR("id", message->id), BIDE_STR("type", message->type),
        BIDE_STR("reason", bide_reason_name(reason)), BIDE_STR("error", text), BIDE_TRACE(message));
    bide_intake_count(intake, message, NULL, BIDE_COUNT_DEAD, NULL, text);
    bide_intake_settle(intake, &(struct bide_settlement){
                                   .delivery = delivery,
                                   .verdict = BIDE_VERDICT_DEAD,
                                   .reason = reason,
                                   .attempt = message->attempt - 1, /* none of them was this one */
                                   .error = text,
                               });
}

static void release(
    struct bide_intake *intake, struct bide_delivery *delivery, const struct bide_handler *handler)
{
    bide_intake_count(intake, delivery->message, handler, BIDE_COUNT_RELEASED, NULL, NULL);
    bide_intake_settle(
        intake, &(struct bide_settlement){.delivery = delivery, .verdict = BIDE_VERDICT_RELEASE});
}

/* One of too many that may crash, or a process is dying of it: later, and this was no attempt. */
static void postpone(struct bide_intake *intake, struct bide_delivery *delivery,
    const struct bide_handler *handler, int trouble)
{
    int64_t pause_ms =
        trouble * TROUBLE_PAUSE_MS > SHORTEST_PAUSE_MS ? trouble * TROUBLE_PAUSE_MS : SHORTEST_PAUSE_MS;
    pause_ms += (int64_t)((double)pause_ms * erand48(intake->random)); /* not all at once */
    bide_log(BIDE_LOG_DEBUG, "message waits: it or others like it crashed",
        BIDE_STR("id", delivery->message->id), BIDE_STR("type", delivery->message->type),
        BIDE_INT("in_ms", pause_ms));
    bide_intake_count(intake, delivery->message, handler, BIDE_COUNT_RELEASED, NULL, NULL);
    bide_intake_settle(intake, &(struct bide_settlement){
                                   .delivery = delivery,
                                   .verdict = BIDE_VERDICT_RETRY,
                                   .attempt = delivery->message->attempt,
                                   .due_ms = bide_wall_ms(intake->clock) + pause_ms,
                               });
}

static struct bide_job *take_job(struct bide_intake *intake)
{
    struct bide_job *job = bide_job_pop(&intake->free_jobs);
    return job ? job : bide_arena_alloc(&intake->jobs, sizeof *job);
}

/* The run that ended its process counts as failed; here, where the message is met again. */
static void settle_crashed(struct bide_intake *intake, struct bide_delivery *delivery,
    const struct bide_handler *handler, const struct bide_crash *crash)
{
    const struct bide_run_result result = {
        .outcome = BIDE_RETRY,
        .delay_ms = BIDE_BY_POLICY,
        .timed_out = crash->hung,
        .attempt = delivery->message->attempt,
        .crashes = crash->crashes,
    };
    bide_intake_settle_result(
        intake, delivery, handler, &result, &(struct bide_run){.error = bide_strdup(crash->text)});
}

/* What no handler can be found for, or could run. */
static bool park_unfit(struct bide_intake *intake, struct bide_delivery *delivery)
{
    if (delivery->defect != BIDE_REASON_NONE) {
        const char *text = delivery->defect_text ? delivery->defect_text : bide_reason_name(delivery->defect);
        park(intake, delivery, delivery->defect, bide_strdup(text));
        return true;
    }
    if (!*delivery->message->type) {
        park(intake, delivery, BIDE_REASON_NO_TYPE, bide_strdup("the message has no type"));
        return true;
    }
    return false;
}

/* Its handler is known: may it run, and among whom? */
static void admit(struct bide_intake *intake, struct bide_delivery *delivery, struct bide_handler *handler,
    struct bide_job_list *jobs)
{
    const struct bide_message *message = delivery->message;
    struct bide_crash crash = {0};
    if (intake->supervised && bide_dying_has(&intake->supervised->crashes->dying, message->id)) {
        postpone(intake, delivery, handler, 1);
        return;
    }
    if (intake->supervised && bide_crashes_ask(intake->supervised->crashes, message, intake->clock, &crash) &&
        crash.uncounted) {
        settle_crashed(intake, delivery, handler, &crash);
        return;
    }
    int trouble =
        intake->supervised ? bide_crashes_type_trouble(intake->supervised->crashes, message->type) : 0;
    bool suspect = crash.suspect || trouble > 0;
    size_t limit = intake->prefetch[delivery->queue].limit;
    if (suspect && bide_quarantine_is_full(&intake->quarantine, delivery->queue, limit)) {
        postpone(intake, delivery, handler, trouble);
        return;
    }
    enum bide_admission admission = bide_holding_admit(intake, handler, delivery);
    if (admission == BIDE_ADMIT_HOLD)
        return;
    bool probe = admission == BIDE_ADMIT_PROBE;
    struct bide_job *job = take_job(intake);
    if (!job) {
        bide_holding_report(intake, &(struct bide_job){.handler = handler, .probe = probe}, BIDE_SIGN_NONE);
        release(intake, delivery, handler);
        return;
    }
    *job = (struct bide_job){.delivery = delivery,
        .handler = handler,
        .suspect = suspect,
        .deaths = crash.suspicions,
        .probe = probe};
    bide_job_append(suspect ? &intake->quarantine.waiting : jobs, job);
}

void bide_intake_triage(
    struct bide_intake *intake, struct bide_delivery *delivery, struct bide_job_list *jobs)
{
    if (park_unfit(intake, delivery))
        return;
    const char *type = delivery->message->type;
    struct bide_handler *handler = bide_handlers_find(intake->handlers, type);
    if (intake->stage != BIDE_INTAKE_SERVING) /* was under way when the broker was told to stop */
        release(intake, delivery, handler);
    else if (!handler)
        park(intake, delivery, BIDE_REASON_UNKNOWN_TYPE,
            bide_asprintf("no handler is configured for type '%s'", type));
    else
        admit(intake, delivery, handler, jobs);
}
