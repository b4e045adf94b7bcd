/* What was in a batch that ended its process, or did not return, runs in a call of its own: so only the
 * message that is to blame is blamed (shared/apart.h). Without a supervisor the gate keeps the marks itself.
 */
#include "base/alloc.h"
#include "worker/gates/gate.h"

struct apart_gate {
    struct bide_gate gate;
    struct bide_apart *apart;
    struct bide_apart *own; /* NULL with a supervisor */
};

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)site;
    return handler && handler->config->batch > 1;
}

static bide_code open_gate(struct bide_gate *base, bide_error *error)
{
    struct apart_gate *gate = (struct apart_gate *)base;
    if (base->site->supervised)
        gate->apart = &base->site->supervised->crashes->apart;
    else
        gate->apart = gate->own = bide_calloc(1, sizeof *gate->own);
    return gate->apart ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static void close_gate(struct bide_gate *base)
{
    bide_free(((struct apart_gate *)base)->own);
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    char text[BIDE_CRASH_KEY];
    (void)answer;
    job->apart =
        bide_apart_has(((struct apart_gate *)base)->apart, bide_crash_key(job->delivery->message, text));
    return BIDE_GATE_PASS;
}

static void report(struct bide_gate *base, struct bide_job *job, struct bide_run_result *result)
{
    struct bide_apart *apart = ((struct apart_gate *)base)->apart;
    char text[BIDE_CRASH_KEY];
    const char *key = bide_crash_key(job->delivery->message, text);
    if (result && job->run.batch_died)
        bide_apart_add(apart, key, 0);
    else if (result && job->apart && !result->handed_back)
        bide_apart_remove(apart, key, BIDE_APART_ANYBODY);
}

const struct bide_gate_kind bide_gate_apart = {.size = sizeof(struct apart_gate),
    .open = open_gate,
    .close = close_gate,
    .serves = serves,
    .look = look,
    .report = report};
