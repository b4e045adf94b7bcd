/* What is known from a crash (shared/crashes.h): a run that ended its process counts as failed where its
 * message is met again; what may have done so runs alone. */
#include "base/alloc.h"
#include "worker/gates/gate.h"

enum {
    SHORTEST_PAUSE_MS = 250, /* of what there is no room for in the quarantine */
    TROUBLE_PAUSE_MS = 250,  /* times the deaths of its type: the pause grows with them */
};

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    return handler && site->supervised;
}

static struct bide_crashes *table_of(const struct bide_gate *gate)
{
    return gate->site->supervised->crashes;
}

static int64_t pause_ms(const struct bide_gate *gate, int trouble)
{
    return bide_gate_spread_ms(gate->site, trouble * TROUBLE_PAUSE_MS, SHORTEST_PAUSE_MS, 1);
}

static enum bide_gate_says settle_crashed(struct bide_gate *gate, struct bide_job *job,
    const struct bide_crash *crash, struct bide_gate_answer *answer)
{
    const struct bide_run_result result = {
        .outcome = BIDE_RETRY,
        .delay_ms = BIDE_BY_POLICY,
        .timed_out = crash->hung,
        .attempt = job->delivery->message->attempt,
        .crashes = crash->crashes,
    };
    job->run.error = bide_strdup(crash->text);
    answer->decision = bide_gate_decide(gate->site, job->handler, &result);
    return BIDE_GATE_SETTLE;
}

/* The key is made only while a process dies. */
static bool is_dying(const struct bide_crashes *crashes, const struct bide_message *message)
{
    char key[BIDE_CRASH_KEY];
    return atomic_load_explicit(&crashes->dying.n, memory_order_relaxed) > 0 &&
           bide_dying_has(&crashes->dying, bide_crash_key(message, key));
}

static enum bide_gate_says look(struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_crashes *crashes = table_of(gate);
    const struct bide_message *message = job->delivery->message;
    struct bide_crash crash = {0};
    if (is_dying(crashes, message)) {
        answer->hold_ms = pause_ms(gate, 1);
        return BIDE_GATE_HOLD;
    }
    if (bide_crashes_ask(crashes, message, gate->site->clock, &crash) && crash.uncounted)
        return settle_crashed(gate, job, &crash, answer);
    int trouble = bide_crashes_type_trouble(crashes, bide_handler_name(job->handler->config));
    if (!crash.suspect && trouble == 0)
        return BIDE_GATE_PASS;
    job->deaths = crash.suspicions;
    answer->hold_ms = pause_ms(gate, trouble);
    return BIDE_GATE_ALONE;
}

/* A run that ended its sandbox is counted where the deaths of this process are. Of several that ran in a
 * process of a program that ended, each comes back without a burnt attempt, and runs alone then. */
static void report(struct bide_gate *gate, struct bide_job *job, struct bide_run_result *result)
{
    struct bide_crashes *crashes = table_of(gate);
    const struct bide_message *message = job->delivery->message;
    const char *how = job->run.error;
    struct bide_crash crash = {.crashes = 1};
    if (!result || !(job->run.near_death || job->run.crashed))
        return;
    char text[BIDE_CRASH_KEY];
    const char *key = bide_crash_key(message, text);
    if (job->run.near_death) {
        bide_crashes_suspect(
            crashes, key, message->attempt, false, how ? how : "a process ended that it ran in");
        result->handed_back = true;
    } else {
        bide_crashes_note(crashes, key, message->attempt, false, how ? how : "ended its sandbox");
        bide_crashes_ask(crashes, message, gate->site->clock, &crash);
        result->crashes = crash.crashes;
    }
}

static void decided(struct bide_gate *gate, const struct bide_job *job, const struct bide_decision *decision)
{
    struct bide_crashes *crashes = table_of(gate);
    if (decision->verdict == BIDE_VERDICT_ACK)
        bide_crashes_type_did_well(crashes, bide_handler_name(job->handler->config));
    bool ends = decision->verdict == BIDE_VERDICT_ACK || decision->verdict == BIDE_VERDICT_DEAD;
    if (!ends || !bide_crashes_any(crashes))
        return;
    char text[BIDE_CRASH_KEY];
    const char *key = bide_crash_key(job->delivery->message, text);
    if (decision->verdict == BIDE_VERDICT_ACK)
        bide_crashes_forget(crashes, key);
    else
        bide_crashes_end(crashes, key, bide_mono_ms(gate->site->clock));
}

const struct bide_gate_kind bide_gate_crash = {
    .size = sizeof(struct bide_gate), .serves = serves, .look = look, .report = report, .decided = decided};
