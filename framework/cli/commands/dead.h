/* cli/commands/dead.h: what the `bide dead` commands share: which dead letters are meant. */
#ifndef BIDE_CLI_COMMANDS_DEAD_H
#define BIDE_CLI_COMMANDS_DEAD_H

#include "cli/core/session.h"

/* Options that choose. */
struct bide_cli_dead_choice {
    const char *type, *queue, *search;
    int reason;                 /* the place in BIDE_CLI_DEAD_REASONS; -1: any */
    int64_t since_ms, until_ms; /* how long ago; BIDE_CLI_UNSET: any time */
    int64_t limit;              /* 0: all */
};

/* The names of BIDE_REASONS; those a message can have follow the first. */
extern const char *const bide_cli_dead_reasons[];
#define BIDE_CLI_DEAD_REASONS (bide_cli_dead_reasons + 1)

/* Does any option choose? */
bool bide_cli_dead_is_chosen(const struct bide_cli_dead_choice *choice);

/* The rows of the options, for a struct whose member `member` is a bide_cli_dead_choice. */
#define BIDE_CLI_DEAD_OPTIONS(type_of, member)                                                               \
    {"type", BIDE_CLI_TEXT, offsetof(type_of, member.type), .value = "TYPE", .help = "Only of this type."},  \
        {"queue", BIDE_CLI_TEXT, offsetof(type_of, member.queue), .value = "QUEUE",                          \
            .help = "Only of this queue."},                                                                  \
        {"reason", BIDE_CLI_CHOICE, offsetof(type_of, member.reason), .value = "REASON",                     \
            .choices = BIDE_CLI_DEAD_REASONS, .help = "Only for this reason"},                               \
        {"search", BIDE_CLI_TEXT, offsetof(type_of, member.search), .value = "TEXT",                         \
            .help = "Only with this text in the id, type or error, in capital letters or not."},             \
        {"since", BIDE_CLI_DURATION, offsetof(type_of, member.since_ms), .value = "DURATION",                \
            .help = "Only what died within the last DURATION: 90m, 2d."},                                    \
        {"until", BIDE_CLI_DURATION, offsetof(type_of, member.until_ms), .value = "DURATION",                \
            .help = "Only what died longer than DURATION ago."},                                             \
    {                                                                                                        \
        "limit", BIDE_CLI_INT, offsetof(type_of, member.limit), .value = "N", .fallback = "0", .min = 0,     \
                                                                .max = 1000000000,                           \
                                                                .help = "The newest so many; 0: all."        \
    }

struct bide_dead_filter bide_cli_dead_filter(
    const struct bide_cli_dead_choice *choice, const struct bide_cli *cli);

/* A whole dead letter as people read it. */
void bide_cli_dead_text(struct bide_buffer *to, const struct bide_dead_letter *letter);

#endif
