/* bide dead retry, bide dead drop. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands/dead.h"
#include "cli/core/output.h"
#include "keys/admin.h"

struct values {
    bool all;
    struct bide_cli_dead_choice choice;
    int64_t spread_ms; /* of a replay; BIDE_CLI_UNSET or 0: all at once */
};

#define OPTION_ALL                                                                                           \
    {                                                                                                        \
        "all", BIDE_CLI_FLAG, offsetof(struct values, all),                                                  \
            .help = "Every dead letter (that the other options choose), instead of ids."                     \
    }

static const struct bide_cli_option drop_options[] = {
    OPTION_ALL, BIDE_CLI_DEAD_OPTIONS(struct values, choice), {0}};

static const struct bide_cli_option retry_options[] = {
    OPTION_ALL,
    BIDE_CLI_DEAD_OPTIONS(struct values, choice),
    {"spread", BIDE_CLI_DURATION, offsetof(struct values, spread_ms), .value = "DURATION",
        .help = "Due one after another, evenly over so long, instead of all at once: 10m, 2h."},
    {0},
};

static bide_code check_choice(const struct bide_cli *cli, const struct values *values, bide_error *error)
{
    bool chosen = values->all || bide_cli_dead_is_chosen(&values->choice);
    if (chosen && cli->arguments.n)
        return bide_fail(error, BIDE_E_USAGE,
            "ids, or --all and the options that choose (--type, --reason, --search …): not both, an id means "
            "all "
            "that have it");
    if (!chosen && cli->arguments.n == 0)
        return bide_fail(error, BIDE_E_USAGE,
            "which? Give ids, or --all, or options that choose (--type, --queue, --reason, --search, "
            "--since, "
            "--until, --limit)");
    return BIDE_OK;
}

/* ---- ids that nothing has ---- */

struct search {
    const struct bide_cli_list *ids;
    bool *found;
};

static bool mark_found(void *user, const struct bide_dead_letter *letter)
{
    struct search *search = user;
    for (size_t i = 0; i < search->ids->n; i++)
        if (strcmp(search->ids->items[i], letter->message->id) == 0)
            search->found[i] = true;
    return true;
}

/* Says which of the ids are unknown. */
static bide_code count_unknown(
    struct bide_cli *cli, struct bide_admin *admin, size_t *ret_n, bide_error *error)
{
    const struct bide_dead_filter filter = {
        .ids = cli->arguments.items, .n_ids = cli->arguments.n, .without_bodies = true};
    struct search search = {&cli->arguments, bide_calloc(cli->arguments.n + 1, sizeof(bool))};
    *ret_n = 0;
    if (!search.found)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code =
        cli->arguments.n ? admin->ops->dead_each(admin, &filter, mark_found, &search, error) : BIDE_OK;
    for (size_t i = 0; i < cli->arguments.n && code == BIDE_OK; i++)
        if (!search.found[i]) {
            fprintf(stderr, "bide %s: no dead letter has the id '%s'\n", cli->command->name,
                cli->arguments.items[i]);
            ++*ret_n;
        }
    bide_free(search.found);
    return code;
}

/* ---- acting ---- */

static void print_result(const struct bide_cli *cli, const char *key, const char *text, uint64_t n)
{
    if (cli->json)
        printf("{\"%s\":%" PRIu64 "}\n", key, n);
    else
        printf("%" PRIu64 " dead letter%s %s\n", n, n == 1 ? "" : "s", text);
}

static void print_refused(void *user, const char *id, const char *key, const char *holder)
{
    const struct bide_cli *cli = user;
    fprintf(stderr, "bide %s: '%s' stays: its unique key '%s' is held by '%s'\n", cli->command->name, id, key,
        holder);
}

static bide_code retry(struct bide_cli *cli, const struct values *values, struct bide_admin *admin,
    const struct bide_dead_filter *filter, bide_error *error)
{
    struct bide_cli_progress progress;
    struct bide_replay replay = {.filter = filter,
        .spread_ms = values->spread_ms > 0 ? values->spread_ms : 0,
        .progress = bide_cli_progress_visit,
        .progress_user = &progress,
        .refused = print_refused,
        .refused_user = cli};
    bide_cli_progress_init(&progress, "queued again");
    bide_code code = bide_admin_replay(admin, &replay, error);
    bide_cli_progress_end(&progress);
    if (code == BIDE_OK)
        print_result(cli, "retried", "queued again", replay.n);
    if (code == BIDE_OK && replay.n_refused)
        code = bide_fail(error, BIDE_E_NOT_FOUND,
            "%" PRIu64
            " dead letter%s stayed: another message has the unique key (`bide cancel --key` frees one)",
            replay.n_refused, replay.n_refused == 1 ? "" : "s");
    return code;
}

static bide_code drop(
    struct bide_cli *cli, struct bide_admin *admin, const struct bide_dead_filter *filter, bide_error *error)
{
    struct bide_cli_progress progress;
    uint64_t n = 0;
    bide_cli_progress_init(&progress, "dropped");
    bide_code code = admin->ops->dead_drop(admin, filter, bide_cli_progress_visit, &progress, &n, error);
    bide_cli_progress_end(&progress);
    if (code == BIDE_OK)
        print_result(cli, "dropped", "dropped", n);
    return code;
}

static bide_code act_on(struct bide_cli *cli, const struct values *values, struct bide_admin *admin,
    bool retries, bide_error *error)
{
    const struct bide_dead_filter filter = bide_cli_dead_filter(&values->choice, cli);
    size_t n_unknown;
    bide_code code = count_unknown(cli, admin, &n_unknown, error);
    if (code != BIDE_OK)
        return code;
    if (cli->arguments.n && n_unknown == cli->arguments.n)
        print_result(cli, retries ? "retried" : "dropped", retries ? "queued again" : "dropped", 0);
    else
        code = retries ? retry(cli, values, admin, &filter, error) : drop(cli, admin, &filter, error);
    if (code == BIDE_OK && n_unknown)
        code = bide_fail(error, BIDE_E_NOT_FOUND,
            "%zu of %zu ids are unknown: `bide dead list` shows those there are", n_unknown,
            cli->arguments.n);
    return code;
}

static bide_code run(struct bide_cli *cli, const struct values *values, bool retries, bide_error *error)
{
    struct bide_cli_session session;
    struct bide_admin *admin;
    bide_code code = check_choice(cli, values, error);
    if (code == BIDE_OK)
        code = bide_cli_admin_open(cli, &session, &admin, error);
    if (code != BIDE_OK)
        return code;
    bide_admin_take_store(admin, session.config);
    code = act_on(cli, values, admin, retries, error);
    bide_admin_close(admin);
    bide_cli_session_close(&session);
    return code;
}

static bide_code run_retry(struct bide_cli *cli, void *values, bide_error *error)
{
    return run(cli, values, true, error);
}

static bide_code run_drop(struct bide_cli *cli, void *values, bide_error *error)
{
    return run(cli, values, false, error);
}

const struct bide_cli_command bide_cli_dead_retry = {
    .name = "dead retry",
    .usage = "ID… [--spread D] [options]\n[--all] [--type TYPE] [--queue QUEUE] [--reason REASON] "
             "[--search TEXT] [--since D] [--until D] [--limit N] [--spread D] [options]",
    .examples = "bide dead retry order-42\nbide dead retry --all --type mail --reason exhausted\n"
                "bide dead retry --search 'Connection refused' --since 2h\n"
                "bide dead retry --all --type mail --spread 10m   # so that the mail server is not flooded",
    .summary = "Queues dead letters again, due at once or spread over a time, with all their attempts.",
    .details =
        "With --spread D the k-th of n, from 0, is due k/n of D from now, the oldest of a queue first.\n"
        "None is lost between leaving the dead letters and being queued; an interruption leaves the "
        "rest where they are.\nAn id means every copy of it. A letter with a unique key takes it again; "
        "where "
        "another message has the key, the letter\nstays, standard error says who, and the exit status is 65.",
    .options = retry_options,
    .values_size = sizeof(struct values),
    .max_arguments = SIZE_MAX,
    .log_level = BIDE_LOG_WARN,
    .run = run_retry,
};

const struct bide_cli_command bide_cli_dead_drop = {
    .name = "dead drop",
    .usage = "ID… [options]\n[--all] [--type TYPE] [--queue QUEUE] [--reason REASON] [--search TEXT] "
             "[--since D] [--until D] [--limit N] [options]",
    .examples = "bide dead drop --all --type mail --reason rejected\nbide dead drop --until 90d   # what "
                "died more than 90 days ago",
    .summary = "Deletes dead letters for good.",
    .details = "An id means every copy of it. There is no question and no way back.",
    .options = drop_options,
    .values_size = sizeof(struct values),
    .max_arguments = SIZE_MAX,
    .log_level = BIDE_LOG_WARN,
    .run = run_drop,
};
