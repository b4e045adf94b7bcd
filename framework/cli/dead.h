/* cli/dead.h: what the `bide dead` commands share: which dead letters are meant. */
#ifndef BIDE_CLI_DEAD_H
#define BIDE_CLI_DEAD_H

#include "cli/session.h"

/* Options that choose. */
struct bide_cli_dead_choice {
    const char *type, *queue;
    int reason;    /* the place in BIDE_CLI_DEAD_REASONS; -1: any */
    int64_t limit; /* 0: all */
};

/* The names of BIDE_REASONS; those a message can have follow the first. */
extern const char *const bide_cli_dead_reasons[];
#define BIDE_CLI_DEAD_REASONS (bide_cli_dead_reasons + 1)

/* The rows of the options, for a struct whose member `member` is a bide_cli_dead_choice. */
#define BIDE_CLI_DEAD_OPTIONS(type_of, member)                                                               \
    {"type", BIDE_CLI_TEXT, offsetof(type_of, member.type), .value = "TYPE", .help = "Only of this type."},  \
        {"queue", BIDE_CLI_TEXT, offsetof(type_of, member.queue), .value = "QUEUE",                          \
            .help = "Only of this queue."},                                                                  \
        {"reason", BIDE_CLI_CHOICE, offsetof(type_of, member.reason), .value = "REASON",                     \
            .choices = BIDE_CLI_DEAD_REASONS, .help = "Only for this reason"},                               \
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
