/* Members of streams (docs/streams.md): the store is told how each of them ended before it is settled, and
 * whoever completes a stream's set sends its end message with the settlement.
 *
 *   look     what the store knows of the stream is kept for SEEN_MS: one message asks for all. Members of a
 *            cancelled stream end without a run. The deadline's message never runs: it sends the end message
 *            where nobody has, and ends
 *   commit   the member arrives in the sets, after what its run has sent is in the broker. The last gate that
 *            commits (the first of the table): a member has arrived only when nothing but its settlement is
 *            missing. A redelivery gets the same answer, and sends the same end message under the same id
 *
 * A stream that the store does not know, or not for this queue, is none: its messages run as any others. */
#include "streams/stream.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "worker/gates/gate.h"

/* What is kept of streams: far more than there are messages in hand, so that each finds its stream still
 * there when it ends. A stream has its place in one of the rows, where the oldest one makes room. */
enum { SEEN_MS = 1000, ROWS = 1024, SEEN_OF_ROW = 8 };

/* A stream, as the store last said. */
struct seen {
    char id[BIDE_STREAM_ID_TEXT]; /* "": none */
    enum bide_stream_state state; /* UNKNOWN: the store does not know it */
    struct bide_stream_info info;
    int64_t seen_us; /* monotonic; 0: not yet */
    bool asked;      /* an errand of `look` is on its way */
};

struct stream_gate {
    struct bide_gate gate;
    struct seen seen[ROWS * SEEN_OF_ROW];
    unsigned char next[ROWS]; /* the place that is used anew */
    struct seen *last;        /* met; NULL: none yet */
    bool complained;
    bool has_cancelled; /* since `obey` was called */
};

/* An errand's letter is named in its `key`. */
_Static_assert(sizeof(struct bide_stream_names) <= BIDE_STORE_KEY_MAX, "an errand has room for the names");
_Static_assert((int)BIDE_STREAM_OPERATIONS <= (int)BIDE_ERRAND_OPERATIONS, "… and for the operations");

static struct bide_stream_names *names_of(struct bide_errand *errand)
{
    return (struct bide_stream_names *)errand->key;
}

static void name(struct bide_errand *errand, const char *stream, const struct bide_job *job)
{
    bide_stream_names(stream, job->delivery->message->queue, names_of(errand));
    errand->letter.n = BIDE_STREAM_OPERATIONS;
}

/* ---- what is known of streams ---- */

static struct seen *find(struct stream_gate *gate, const char *id)
{
    if (gate->last && strcmp(gate->last->id, id) == 0)
        return gate->last;
    struct seen *row = &gate->seen[bide_hash_text(id) % ROWS * SEEN_OF_ROW];
    for (size_t i = 0; i < SEEN_OF_ROW; i++)
        if (strcmp(row[i].id, id) == 0)
            return gate->last = &row[i];
    return NULL;
}

static struct seen *make_place(struct stream_gate *gate, const char *id)
{
    struct seen *seen = find(gate, id);
    if (seen)
        return seen;
    size_t row = bide_hash_text(id) % ROWS;
    seen = &gate->seen[row * SEEN_OF_ROW + gate->next[row]++ % SEEN_OF_ROW];
    bide_stream_info_clear(&seen->info);
    *seen = (struct seen){0};
    snprintf(seen->id, sizeof seen->id, "%s", id);
    return gate->last = seen;
}

static void ask_for(struct bide_errand *errand, const char *stream)
{
    snprintf(errand->key, sizeof errand->key, "%s", stream);
    bide_errand_add(errand, BIDE_STORE_GET, BIDE_STREAMS, errand->key);
}

static bool asked_for(const struct bide_errand *errand)
{
    return errand->operations[0].kind == BIDE_STORE_GET && errand->letter.n == 1;
}

/* The answer to ask_for. What nobody can read is as good as unknown. */
static struct seen *take_answer(struct stream_gate *gate, const struct bide_errand *errand)
{
    const struct bide_store_answer *answer = &errand->operations[0].answer;
    struct seen *seen = make_place(gate, errand->key);
    bool was_cancelled = seen->state == BIDE_STREAM_CANCELLED;
    bide_stream_info_clear(&seen->info);
    seen->asked = false;
    seen->seen_us = bide_mono_us(gate->gate.site->clock);
    seen->state = BIDE_STREAM_UNKNOWN;
    if (errand->letter.code == BIDE_OK && answer->ok &&
        bide_stream_info_read(seen->id, (struct bide_slice){answer->data, answer->size}, &seen->info, NULL) ==
            BIDE_OK)
        seen->state = answer->state;
    gate->has_cancelled |= seen->state == BIDE_STREAM_CANCELLED && !was_cancelled;
    return seen;
}

static bool is_part(const struct seen *seen, const struct bide_job *job)
{
    return seen->state != BIDE_STREAM_UNKNOWN &&
           bide_stream_has_queue(&seen->info, job->delivery->message->queue);
}

/* ---- end messages ---- */

/* Goes with the settlement. False: there is no memory. */
static bool send_end(struct stream_gate *gate, const struct seen *seen, struct bide_job *job,
    const struct bide_stream_counts *counts)
{
    bide_error error = {0};
    bide_message *message;
    struct bide_run *run = &job->run;
    const char *queue = job->delivery->message->queue;
    const char *word = counts->end == BIDE_STREAM_FAILED      ? "failed"
                       : seen->state == BIDE_STREAM_CANCELLED ? "cancelled"
                                                              : "complete";
    bide_log(BIDE_LOG_INFO, "stream ended", BIDE_STR("stream", seen->id), BIDE_STR("queue", queue),
        BIDE_STR("state", word), BIDE_INT("ended", counts->ended), BIDE_INT("dead", counts->dead));
    if (!seen->info.on_end)
        return true;
    bide_message **sends = bide_realloc(run->sends, (run->n_sends + 1) * sizeof *sends);
    if (!sends)
        return false;
    run->sends = sends;
    bide_code code =
        bide_stream_end_message(&seen->info, queue, word, counts, gate->gate.site->clock, &message, &error);
    if (code == BIDE_OK)
        run->sends[run->n_sends++] = message;
    else
        bide_log(BIDE_LOG_ERROR, "the end message of a stream cannot be made", BIDE_STR("stream", seen->id),
            BIDE_STR("error", error.text));
    return code != BIDE_E_NOMEM;
}

/* ---- the deadline's message ---- */

static enum bide_gate_says look_at_counts(
    struct stream_gate *gate, const char *stream, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_errand *errand = bide_clerk_errand(gate->gate.site->clerk);
    if (!errand)
        return bide_gate_hold_for_store(gate->gate.site, answer);
    name(errand, stream, job);
    bide_stream_look(names_of(errand), errand->operations);
    return bide_gate_wait_for(errand, answer);
}

/* What the counts were is kept in the errand's memory while the end is written. */
static enum bide_gate_says write_end(
    struct stream_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_stream_counts *counts = bide_malloc(sizeof *counts);
    struct bide_errand *errand = job->errand;
    if (!counts)
        return bide_gate_hold_for_store(gate->gate.site, answer);
    bide_stream_read(names_of(errand), errand->operations, counts);
    if (counts->end == BIDE_STREAM_COMPLETE) { /* whoever reached it sends the end message, too */
        bide_free(counts);
        return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
    }
    if (counts->end == BIDE_STREAM_OPEN) /* else it has failed, and who wrote that may not have sent it */
        counts->end = bide_stream_is_whole(counts) ? BIDE_STREAM_COMPLETE : BIDE_STREAM_FAILED;
    job->errand = NULL;
    errand = bide_errand_again(errand);
    errand->memory = counts;
    errand->letter.n = 1;
    bide_stream_write_end(names_of(errand), counts->end, BIDE_STORE_NO_MEMBER,
        bide_wall_ms(gate->gate.site->clock), &errand->operations[0]);
    return bide_gate_wait_for(errand, answer);
}

static enum bide_gate_says meet_deadline(
    struct stream_gate *gate, const struct seen *seen, struct bide_job *job, struct bide_gate_answer *answer)
{
    const struct bide_errand *errand = job->errand;
    if (!is_part(seen, job))
        return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
    if (!errand || asked_for(errand))
        return look_at_counts(gate, seen->id, job, answer);
    if (errand->letter.code == BIDE_OK && !errand->memory)
        return write_end(gate, job, answer);
    if (errand->letter.code != BIDE_OK && errand->letter.code != BIDE_E_DATA)
        return bide_gate_hold_for_store(gate->gate.site, answer);
    const struct bide_stream_counts *counts = errand->memory;
    if (counts && bide_stream_reached_end(&errand->operations[0]) && !send_end(gate, seen, job, counts))
        return bide_gate_hold_for_store(gate->gate.site, answer);
    return bide_gate_drop(job, BIDE_COUNT_SUPERSEDED, answer);
}

/* ---- before the run ---- */

static enum bide_gate_says ask(struct stream_gate *gate, const char *stream, struct bide_gate_answer *answer)
{
    struct bide_clerk *clerk = gate->gate.site->clerk;
    struct bide_errand *errand = bide_clerk_errand(clerk);
    if (!errand)
        return bide_gate_hold_for_store(gate->gate.site, answer);
    make_place(gate, stream)->asked = true;
    ask_for(errand, stream);
    errand->letter.lax = true;
    return bide_gate_wait_for(errand, answer);
}

static bool is_fresh(const struct stream_gate *gate, const struct seen *seen)
{
    return seen->seen_us > 0 && bide_mono_us(gate->gate.site->clock) - seen->seen_us < SEEN_MS * 1000;
}

static enum bide_gate_says judge(struct stream_gate *gate, const struct seen *seen,
    enum bide_stream_role role, struct bide_job *job, struct bide_gate_answer *answer)
{
    if (role == BIDE_STREAM_DEADLINE)
        return meet_deadline(gate, seen, job, answer);
    if (seen->state == BIDE_STREAM_CANCELLED && is_part(seen, job))
        return bide_gate_drop(job, BIDE_COUNT_CANCELLED, answer);
    return BIDE_GATE_PASS;
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct stream_gate *gate = (struct stream_gate *)base;
    char stream[BIDE_STREAM_ID_TEXT];
    int64_t member;
    const char *id = job->delivery->message->id;
    enum bide_stream_role role =
        bide_stream_may_be(id) ? bide_stream_role(id, stream, &member) : BIDE_STREAM_NONE;
    if (role == BIDE_STREAM_NONE)
        return BIDE_GATE_PASS;
    if (!base->site->clerk)
        return bide_gate_lacks_store(
            "messages of streams need a store, and the configuration names none: they go back to the broker "
            "(docs/streams.md)",
            gate->gate.site, &gate->complained, answer);
    struct seen *seen = find(gate, stream);
    if (job->errand && asked_for(job->errand)) {
        bide_code code = job->errand->letter.code;
        if (code != BIDE_OK && code != BIDE_E_DATA) {
            if (seen)
                seen->asked = false;
            return bide_gate_hold_for_store(base->site, answer);
        }
        seen = take_answer(gate, job->errand);
    } else if (bide_clerk_is_away(base->site->clerk)) {
        return bide_gate_hold_for_store(base->site, answer);
    } else if (!job->errand && !(seen && is_fresh(gate, seen))) {
        if (!seen || !seen->asked)
            return ask(gate, stream, answer);
        if (seen->seen_us == 0)
            return bide_gate_wait_for(NULL, answer);
    }
    return seen ? judge(gate, seen, role, job, answer) : bide_gate_hold_for_store(base->site, answer);
}

/* ---- while it waits in hand ---- */

/* It comes back to `look`. */
static bool is_stopped(struct bide_gate *base, const struct bide_job *job)
{
    struct stream_gate *gate = (struct stream_gate *)base;
    char stream[BIDE_STREAM_ID_TEXT];
    int64_t member;
    const char *id = job->delivery->message->id;
    if (!bide_stream_may_be(id) || bide_stream_role(id, stream, &member) != BIDE_STREAM_MEMBER)
        return false;
    const struct seen *seen = find(gate, stream);
    return seen && seen->state == BIDE_STREAM_CANCELLED && is_part(seen, job);
}

static int64_t stops(struct bide_gate *base, const struct bide_job *job)
{
    return is_stopped(base, job) ? 0 : -1;
}

static bool obey(struct bide_gate *base)
{
    struct stream_gate *gate = (struct stream_gate *)base;
    bool begins = gate->has_cancelled;
    gate->has_cancelled = false;
    return begins;
}

/* ---- after it ---- */

static enum bide_stream_how how_of(const struct bide_gate_end *end)
{
    if (end->decision.verdict == BIDE_VERDICT_DEAD)
        return BIDE_STREAM_DEAD;
    switch (end->kind) {
    case BIDE_COUNT_EXPIRED:
    case BIDE_COUNT_SUPERSEDED:
    case BIDE_COUNT_CANCELLED:
        return BIDE_STREAM_DROPPED;
    default:
        return BIDE_STREAM_DONE;
    }
}

static struct bide_errand *arrive(struct stream_gate *gate, const struct seen *seen, int64_t member,
    struct bide_job *job, const struct bide_gate_end *end, struct bide_errand *errand)
{
    if (!is_part(seen, job)) {
        if (!job->errand)
            bide_clerk_free(gate->gate.site->clerk, errand);
        return NULL;
    }
    if (job->errand) {
        job->errand = NULL;
        errand = bide_errand_again(errand);
    }
    name(errand, seen->id, job);
    bide_stream_arrive(
        names_of(errand), member, how_of(end), bide_wall_ms(gate->gate.site->clock), errand->operations);
    errand->must = true;
    errand->sends = !job->refused && end->decision.verdict == BIDE_VERDICT_ACK && job->run.n_sends > 0;
    errand->letter.lax = gate->gate.site->is_store; /* on disk before the settlement */
    BIDE_KILL_POINT("worker/stream-ran");
    return errand;
}

/* Nothing was known of the stream in this process, as where its message met no gate. */
static struct bide_errand *ask_again(struct bide_errand *errand, const char *stream)
{
    ask_for(errand, stream);
    errand->must = errand->letter.lax = true;
    return errand;
}

static struct bide_errand *begin_to_end(struct stream_gate *gate, const char *stream, int64_t member,
    struct bide_job *job, const struct bide_gate_end *end)
{
    const struct seen *seen = find(gate, stream);
    struct bide_errand *errand = job->errand ? job->errand : bide_clerk_errand(gate->gate.site->clerk);
    if (!errand)
        return bide_gate_hand_back(job);
    if (seen && seen->seen_us > 0)
        return arrive(gate, seen, member, job, end, errand);
    if (job->errand) { /* others took the place of its stream meanwhile */
        job->errand = NULL;
        errand = bide_errand_again(errand);
    }
    return ask_again(errand, stream);
}

/* Has this message, in this delivery or an earlier one, made the set complete? */
static struct bide_errand *arrived(struct stream_gate *gate, const char *stream, struct bide_job *job)
{
    struct bide_errand *errand = job->errand;
    const struct seen *seen = find(gate, stream);
    struct bide_stream_counts counts;
    BIDE_KILL_POINT("worker/stream-arrived");
    if (!bide_stream_reached_end(&errand->operations[BIDE_STREAM_OPERATIONS - 1]))
        return NULL;
    if (!seen || seen->state == BIDE_STREAM_UNKNOWN) { /* others took its place meanwhile */
        job->errand = NULL;
        return ask_again(bide_errand_again(errand), stream);
    }
    bide_stream_read(names_of(errand), errand->operations, &counts);
    return send_end(gate, seen, job, &counts) ? NULL : bide_gate_hand_back(job);
}

static struct bide_errand *commit(struct bide_gate *base, struct bide_job *job, struct bide_gate_end *end)
{
    struct stream_gate *gate = (struct stream_gate *)base;
    char stream[BIDE_STREAM_ID_TEXT];
    int64_t member;
    struct bide_errand *errand = job->errand;
    bool ends = end->decision.verdict == BIDE_VERDICT_ACK || end->decision.verdict == BIDE_VERDICT_DEAD;
    if (!ends || !base->site->clerk ||
        bide_stream_role(job->delivery->message->id, stream, &member) != BIDE_STREAM_MEMBER)
        return NULL;
    if (!errand)
        return begin_to_end(gate, stream, member, job, end);
    if (errand->letter.code == BIDE_E_DATA)
        return NULL;
    if (errand->letter.code != BIDE_OK) {
        if (errand->must)
            return bide_gate_hand_back(job);
        job->refused = true;
        return begin_to_end(gate, stream, member, job, end);
    }
    return asked_for(errand) ? arrive(gate, take_answer(gate, errand), member, job, end, errand)
                             : arrived(gate, stream, job);
}

static void close(struct bide_gate *base)
{
    struct stream_gate *gate = (struct stream_gate *)base;
    for (size_t i = 0; gate->last && i < (size_t)ROWS * SEEN_OF_ROW; i++)
        if (gate->seen[i].info.root)
            bide_stream_info_clear(&gate->seen[i].info);
}

const struct bide_gate_kind bide_gate_stream = {.size = sizeof(struct stream_gate),
    .close = close,
    .look = look,
    .commit = commit,
    .stops = stops,
    .is_stopped = is_stopped,
    .obey = obey};
