/* Messages of schedules: of two that were sent for one slot, one runs.
 *
 * A clock that dies, or gets no answer, makes another one send a slot's message again (schedules/clock.h).
 * The first copy that is about to run is a fact, known by schedule and slot; another copy is acknowledged as
 * a duplicate. A copy that comes again (a retry, a redelivery, a replay) finds itself and runs. A fact that
 * is missing or has lapsed means: run. */
#include <stdio.h>
#include <string.h>

#include "message/message.h"
#include "worker/gates/gate.h"

#define FACTS "slots"

enum { BEGAN = 1, LASTS_MS = 6 * 3600 * 1000 };

struct schedule_gate {
    struct bide_gate gate;
    bool complained; /* that there is no store */
};

/* ret_copy: which one it is. False: it is no schedule's, or lacks what it needs. */
static bool read_marks(
    const struct bide_message *message, char key[BIDE_STORE_KEY_MAX + 1], const char **ret_copy)
{
    const char *schedule = bide_message_header(message, BIDE_SCHEDULE_HEADER);
    const char *slot = schedule ? bide_message_header(message, BIDE_SLOT_HEADER) : NULL;
    *ret_copy = slot ? bide_message_header(message, BIDE_COPY_HEADER) : NULL;
    if (!*ret_copy || !**ret_copy)
        return false;
    bool is_copy = bide_queue_topic(message->queue); /* each subscription has its own */
    int size = snprintf(key, BIDE_STORE_KEY_MAX + 1, "%s@%s%s%s", schedule, slot, is_copy ? " " : "",
        is_copy ? message->queue : "");
    return size > 0 && size <= BIDE_STORE_KEY_MAX;
}

static enum bide_gate_says ask(struct bide_errand *errand, const char *copy, struct bide_gate_answer *answer)
{
    struct bide_store_operation *fact = bide_errand_add(errand, BIDE_STORE_TURN, FACTS, errand->key);
    fact->turn.from = 1 << 0;
    fact->turn.to = BEGAN;
    fact->turn.data = (struct bide_slice){copy, strlen(copy)};
    fact->lasts_ms = LASTS_MS;
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

static enum bide_gate_says judge(
    struct bide_gate *base, const struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_errand *errand = job->errand;
    if (errand->letter.code == BIDE_E_DATA)
        return BIDE_GATE_PASS;
    if (errand->letter.code != BIDE_OK)
        return bide_gate_hold_for_store(base->site, answer);
    if (errand->operations[0].answer.ok)
        return BIDE_GATE_PASS;
    return bide_gate_drop(job, BIDE_COUNT_DUPLICATE, answer);
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_message *message = job->delivery->message;
    struct bide_clerk *clerk = base->site->clerk;
    char key[BIDE_STORE_KEY_MAX + 1];
    const char *copy;
    if (job->errand)
        return judge(base, job, answer);
    if (message->n_headers == 0 || !read_marks(message, key, &copy))
        return BIDE_GATE_PASS;
    if (!clerk)
        return bide_gate_lacks_store(
            "messages of schedules need a store, and the configuration names none: they go back to the "
            "broker (docs/schedules.md)",
            base->site, &((struct schedule_gate *)base)->complained, answer);
    struct bide_errand *errand = bide_clerk_is_away(clerk) ? NULL : bide_clerk_errand(clerk);
    if (!errand)
        return bide_gate_hold_for_store(base->site, answer);
    memcpy(errand->key, key, sizeof key);
    return ask(errand, copy, answer);
}

const struct bide_gate_kind bide_gate_schedule = {.size = sizeof(struct schedule_gate), .look = look};
