/* cli/core/command.h: a subcommand as one row, and what it is run with. Main thread. */
#ifndef BIDE_CLI_CORE_COMMAND_H
#define BIDE_CLI_CORE_COMMAND_H

#include "bide/log.h"
#include "cli/core/home.h"
#include "cli/core/option.h"

/* What every command takes, and its arguments. */
struct bide_cli {
    const struct bide_cli_command *command;
    const char *config_path; /* NULL: not given */
    const char *broker;      /* NULL: not given */
    bool json;
    int log_level; /* bide_log_level; -1: the command's own */
    bool help;
    bool version;
    struct bide_cli_list arguments;
    struct bide_buffer broker_url;   /* what `broker` became, see cli/core/session.h */
    char dev_config[BIDE_HOME_PATH]; /* of a running `bide dev`, likewise */
    int status; /* of the program where a command succeeds: that of a child which said itself what is wrong */
};

struct bide_cli_command {
    const char *name;     /* "dead list" */
    const char *usage;    /* "ID… [options]", several forms on a line each; behind the name */
    const char *summary;  /* for `bide --help` */
    const char *details;  /* more, or NULL */
    const char *examples; /* what to type, a line each */
    const struct bide_cli_option *options;
    size_t values_size;
    size_t min_arguments, max_arguments;
    bide_log_level log_level;
    /* BIDE_OK, or an error that main prints. values: the struct of `options`. */
    bide_code (*run)(struct bide_cli *cli, void *values, bide_error *error);
};

extern const struct bide_cli_command bide_cli_worker, bide_cli_pause, bide_cli_resume, bide_cli_tail,
    bide_cli_top, bide_cli_send, bide_cli_status, bide_cli_show, bide_cli_list, bide_cli_cancel,
    bide_cli_reschedule, bide_cli_dead_list, bide_cli_dead_show, bide_cli_dead_retry, bide_cli_dead_drop,
    bide_cli_check, bide_cli_explain, bide_cli_handlers, bide_cli_handlers_new, bide_cli_limits,
    bide_cli_limits_set, bide_cli_limits_reset, bide_cli_move, bide_cli_dev, bide_cli_cron_list,
    bide_cli_cron_next, bide_cli_cron_add, bide_cli_cron_remove, bide_cli_cron_pause, bide_cli_cron_resume,
    bide_cli_cron_run, bide_cli_bench_throughput, bide_cli_bench_delay, bide_cli_topic_list,
    bide_cli_topic_join, bide_cli_topic_leave, bide_cli_stream_send, bide_cli_stream_list,
    bide_cli_stream_show, bide_cli_stream_cancel, bide_cli_relay, bide_cli_schema,
    bide_cli_transaction_prepare, bide_cli_transaction_list, bide_cli_transaction_show,
    bide_cli_transaction_commit, bide_cli_transaction_abort;

/* All rows, ended by NULL, and the options of every command: for help, the manual page and completions. */
const struct bide_cli_command *const *bide_cli_commands(void);
const struct bide_cli_option *bide_cli_global_options(void);

/* The row of "dead" "list" or of "send"; *ret_words: how many words that was. */
bide_code bide_cli_find(
    char *const *argv, const struct bide_cli_command **ret_command, size_t *ret_words, bide_error *error);

void bide_cli_help_all(struct bide_buffer *to);
/* Of a first word that is no command without a second, such as "dead"; false: `word` is none such. */
bool bide_cli_help_group(struct bide_buffer *to, const char *word);
void bide_cli_help_command(struct bide_buffer *to, const struct bide_cli_command *command);

/* "bide COMMAND: text" on standard error. */
void bide_cli_print_error(const struct bide_cli *cli, const bide_error *error);

/* The whole program: runs a command line, prints its error, returns the exit status. */
int bide_cli_main(int argc, char *const *argv);

#endif
