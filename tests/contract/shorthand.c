/* What many cases share beyond the fixture: settlements and dead letters. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "contract/cases.h"
#include "support/message_copy.h"

struct bide_settlement retry_at(int64_t due_ms, int attempt, const char *error)
{
    return (struct bide_settlement){
        .verdict = BIDE_VERDICT_RETRY,
        .due_ms = due_ms,
        .attempt = attempt,
        .error = error ? bide_strdup(error) : NULL,
    };
}

struct bide_settlement dead_of(enum bide_reason reason, int attempts, const char *error)
{
    return (struct bide_settlement){
        .verdict = BIDE_VERDICT_DEAD,
        .reason = reason,
        .attempt = attempts,
        .error = error ? bide_strdup(error) : NULL,
    };
}

int64_t now_ms(void)
{
    return bide_wall_ms(bide_clock_system());
}

static bool note_letter(void *user, const struct bide_dead_letter *letter)
{
    struct listed *listed = user;
    if (listed->n == LISTED_MAX)
        return false;
    if (listed->n == 0)
        listed->first = message_copy(letter->message);
    snprintf(listed->ids[listed->n], FIXTURE_ID, "%s", letter->message->id);
    listed->reasons[listed->n] = letter->reason;
    listed->died_ms[listed->n] = letter->died_ms;
    listed->n++;
    return true;
}

/* A case looks at its own queue only, unless it says otherwise. */
static struct bide_dead_filter own(const struct fixture *fixture, struct bide_dead_filter filter)
{
    if (!filter.queue)
        filter.queue = fixture->queues[0];
    return filter;
}

void list_dead(struct fixture *fixture, struct bide_dead_filter filter, struct listed *ret_listed)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_dead_filter which = own(fixture, filter);
    bide_error error;
    memset(ret_listed, 0, sizeof *ret_listed);
    assert_ok(admin->ops->dead_each(admin, &which, note_letter, ret_listed, &error), &error);
}

void listed_clear(struct listed *listed)
{
    bide_message_destroy(listed->first);
    listed->first = NULL;
}

uint64_t retry_dead(struct fixture *fixture, struct bide_dead_filter filter)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_dead_filter which = own(fixture, filter);
    bide_error error;
    uint64_t n = 0;
    assert_ok(admin->ops->dead_retry(admin, &which, NULL, NULL, &n, &error), &error);
    return n;
}

uint64_t drop_dead(struct fixture *fixture, struct bide_dead_filter filter)
{
    struct bide_admin *admin = fixture_admin(fixture);
    struct bide_dead_filter which = own(fixture, filter);
    bide_error error;
    uint64_t n = 0;
    assert_ok(admin->ops->dead_drop(admin, &which, NULL, NULL, &n, &error), &error);
    return n;
}
