/* Queueing dead letters again. A letter with a unique key takes it first, so that a sender finds it taken
 * before a worker finds the letter. A process that dies in between leaves the key with a letter that is dead:
 * the same replay again finds it so and goes on; bide_admin_cancel_key frees it. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "keys/admin.h"
#include "keys/errand.h"
#include "keys/mark.h"

/* ids, as the adapters' filters take them. */
struct ids {
    const char **items; /* the pointers are owned, the texts lie in the arena */
    size_t n, room;
    struct bide_arena arena;
};

enum { UNMARKED_AT_ONCE = 100 };

struct looking {
    struct bide_key_errands keyed; /* the letters that have a key */
    int64_t due_ms;
    uint64_t n;
    struct bide_store
        *marks;        /* where letters' ids lose the marks of an earlier `cancel`; NULL: there are none */
    struct ids marked; /* that are still to lose them */
    bide_code code;    /* of that */
    bide_error *error;
    struct ids wanted;         /* second look: all ids but … */
    const struct ids *refused; /* … these, which ascend */
    bool no_memory;
};

/* ---- the letters ---- */

static bool add_id(struct ids *ids, const char *id)
{
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 64;
        const char **grown = bide_realloc(ids->items, room * sizeof *grown);
        if (!grown)
            return false;
        ids->items = grown;
        ids->room = room;
    }
    const char *copy = bide_arena_copy(&ids->arena, id, strlen(id));
    if (copy)
        ids->items[ids->n++] = copy;
    return copy != NULL;
}

static void release_ids(struct ids *ids)
{
    bide_free(ids->items);
    bide_arena_release(&ids->arena);
}

/* What is replayed was not meant by a `cancel` before it: it would be dropped when it comes again. */
static void remove_marks(struct looking *looking)
{
    struct ids *marked = &looking->marked;
    looking->code =
        bide_marks_put(looking->marks, marked->items, marked->n, BIDE_MARK_NONE, 0, looking->error);
    bide_arena_release(&marked->arena);
    marked->n = 0;
}

static bool look_for_keys(void *user, const struct bide_dead_letter *letter)
{
    struct looking *looking = user;
    const struct bide_message *message = letter->message;
    const struct bide_copy copy = {message->id, message->unique, message->generation};
    looking->n++;
    if (*copy.unique && !bide_key_errands_add(&looking->keyed, &copy, looking->due_ms))
        looking->no_memory = true;
    if (looking->marks && *copy.id)
        looking->no_memory |= !add_id(&looking->marked, copy.id);
    if (looking->marked.n == UNMARKED_AT_ONCE)
        remove_marks(looking);
    return !looking->no_memory && looking->code == BIDE_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_refused(const struct ids *refused, const char *id)
{
    return refused->n && bsearch(&id, refused->items, refused->n, sizeof id, by_text) != NULL;
}

static bool look_for_others(void *user, const struct bide_dead_letter *letter)
{
    struct looking *looking = user;
    const char *id = letter->message->id;
    if (is_refused(looking->refused, id))
        return true;
    looking->no_memory = !add_id(&looking->wanted, id);
    return !looking->no_memory;
}

static bide_code look(struct bide_admin *admin, const struct bide_dead_filter *given, bide_dead_visit *visit,
    struct looking *looking, bide_error *error)
{
    struct bide_dead_filter filter = *given;
    filter.without_bodies = true;
    bide_code code = admin->ops->dead_each(admin, &filter, visit, looking, error);
    if (code == BIDE_OK && looking->no_memory)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK && looking->code == BIDE_OK && looking->marked.n)
        remove_marks(looking);
    return code == BIDE_OK ? looking->code : code;
}

/* ---- their keys ---- */

static enum bide_key_says take_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next)
{
    return bide_key_retake(slot, errand->message, errand->due_ms, next);
}

static enum bide_key_says give_back_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next)
{
    return bide_key_end(slot, errand->message, BIDE_KEY_END_DEAD, 0, next);
}

static bide_code tell_refused(
    struct bide_replay *replay, const struct bide_key_errands *keyed, struct ids *refused, bide_error *error)
{
    for (size_t i = 0; i < keyed->n; i++) {
        const struct bide_key_errand *errand = &keyed->items[i];
        if (errand->says != BIDE_KEY_TAKEN)
            continue;
        if (!add_id(refused, errand->message->id))
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        replay->n_refused++;
        if (replay->refused)
            replay->refused(replay->refused_user, errand->message->id, errand->key, errand->id);
    }
    if (refused->n)
        qsort(refused->items, refused->n, sizeof *refused->items, by_text);
    return BIDE_OK;
}

/* Gives back the keys that were taken just now, of letters that are not queued again: another of the same id
 * is refused, or (all) somebody else has removed them. */
static bide_code give_back(struct bide_admin *admin, struct bide_key_errands *keyed,
    const struct ids *refused, bool all, bide_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < keyed->n; i++) {
        const struct bide_key_errand *errand = &keyed->items[i];
        if (errand->says == BIDE_KEY_WRITE && (all || is_refused(refused, errand->message->id)))
            keyed->items[n++] = *errand;
    }
    return n ? bide_key_run_errands(admin->store, give_back_step, keyed->items, n, error) : BIDE_OK;
}

/* ---- queueing ---- */

static bide_code queue_again(struct bide_admin *admin, struct bide_replay *replay,
    struct bide_dead_filter *filter, struct looking *looking, bide_error *error)
{
    if (looking->refused->n) {
        bide_code code = look(admin, filter, look_for_others, looking, error);
        if (code != BIDE_OK || looking->wanted.n == 0)
            return code;
        filter->ids = looking->wanted.items;
        filter->n_ids = looking->wanted.n;
    }
    filter->spread.n = looking->n - replay->n_refused;
    return admin->ops->dead_retry(admin, filter, replay->progress, replay->progress_user, &replay->n, error);
}

bide_code bide_admin_replay(struct bide_admin *admin, struct bide_replay *replay, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    struct bide_dead_filter filter = *replay->filter;
    struct ids refused = {0};
    struct looking looking = {.due_ms = now_ms + replay->spread_ms,
        .refused = &refused,
        .marks = admin->ops->change ? NULL : admin->store,
        .error = error};
    bide_code code = BIDE_OK;
    replay->n = replay->n_refused = 0;
    filter.spread = (struct bide_dead_spread){now_ms, replay->spread_ms, 0};
    if (admin->store || replay->spread_ms > 0)
        code = look(admin, &filter, look_for_keys, &looking, error);
    struct bide_key_errands *keyed = &looking.keyed;
    if (code == BIDE_OK && admin->store && keyed->n)
        code = bide_key_run_errands(admin->store, take_step, keyed->items, keyed->n, error);
    if (code == BIDE_OK)
        code = tell_refused(replay, keyed, &refused, error);
    if (code == BIDE_OK && refused.n)
        code = give_back(admin, keyed, &refused, false, error);
    if (code == BIDE_OK)
        code = queue_again(admin, replay, &filter, &looking, error);
    if (code == BIDE_OK && replay->n == 0 && keyed->n && !refused.n)
        code = give_back(admin, keyed, &refused, true, error);
    bide_key_errands_clear(keyed);
    release_ids(&refused);
    release_ids(&looking.wanted);
    release_ids(&looking.marked);
    return code;
}
