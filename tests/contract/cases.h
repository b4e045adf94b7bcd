/* tests/contract/cases.h: the contract of framework/broker/broker.h as cases, grouped by noun.
 *
 * A case gets a `struct fixture` in *state, with names that no other case uses. It waits for conditions, each
 * with a deadline. What is awaited may take long on a busy machine, which costs nothing where it comes soon.
 */
#ifndef TESTS_CONTRACT_CASES_H
#define TESTS_CONTRACT_CASES_H

#include "support/broker_fixture.h"
#include "support/test.h"

struct case_group {
    const struct CMUnitTest *cases;
    size_t n;
};

/* A row of a group's table: "noun/what" and its function. */
#define CASE(name, function)                                                                                 \
    {                                                                                                        \
        name, function, fixture_setup, fixture_teardown, NULL                                                \
    }
/* … which asks for a broker outside the process: not for an adapter of one process. */
#define CASE_OF_SERVERS(name, function)                                                                      \
    {                                                                                                        \
        name, function, fixture_setup, fixture_teardown, (void *)name                                        \
    }
#define CASE_GROUP(group, table) const struct case_group group = {table, sizeof table / sizeof table[0]}

extern const struct case_group sending_cases;
extern const struct case_group fields_cases;
extern const struct case_group receiving_cases;
extern const struct case_group limit_cases;
extern const struct case_group waiting_cases;
extern const struct case_group delaying_cases;
extern const struct case_group settling_cases;
extern const struct case_group retrying_cases;
extern const struct case_group releasing_cases;
extern const struct case_group dead_listing_cases;
extern const struct case_group dead_replay_cases;
extern const struct case_group dead_trim_cases;
extern const struct case_group changing_cases;
extern const struct case_group moving_cases;
extern const struct case_group stats_cases;
extern const struct case_group ownership_cases;
extern const struct case_group validation_cases;
extern const struct case_group erasing_cases;
extern const struct case_group starving_cases;
extern const struct case_group topic_cases;
extern const struct case_group ledger_cases;

/* How long a message that may run may take to be handed out, and how late after its due time: on a machine
 * where other suites run, too. How late it really is shows the suite `lateness`, alone. */
enum { SOON_MS = 60000, LATE_MS = 5000, MANY_MS = 60000, QUIET_MS = 300 };

/* Shorthand: what becomes of a delivery. */
#define ACK ((struct bide_settlement){.verdict = BIDE_VERDICT_ACK})
#define RELEASE ((struct bide_settlement){.verdict = BIDE_VERDICT_RELEASE})
struct bide_settlement retry_at(int64_t due_ms, int attempt, const char *error);
struct bide_settlement dead_of(enum bide_reason reason, int attempts, const char *error);
int64_t now_ms(void);

/* What a dead letter listing showed: ids in order, and the fields of the first. */
enum { LISTED_MAX = 1000 };
struct listed {
    size_t n;
    char ids[LISTED_MAX][FIXTURE_ID];
    enum bide_reason reasons[LISTED_MAX];
    int64_t died_ms[LISTED_MAX];
    struct bide_message *first; /* a copy, NULL where nothing was listed */
};
/* Lists; the filter's queue is the case's first one where none is set. listed_clear afterwards. */
void list_dead(struct fixture *fixture, struct bide_dead_filter filter, struct listed *ret_listed);
void listed_clear(struct listed *listed);
/* retry and drop by filter (its queue as above); how many. */
uint64_t retry_dead(struct fixture *fixture, struct bide_dead_filter filter);
uint64_t drop_dead(struct fixture *fixture, struct bide_dead_filter filter);

/* Roles of child processes; see roles.c. */
int play_role(int argc, char **argv);

#endif
