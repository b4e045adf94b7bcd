/* config/options.h: every configuration key as one row. For config/ and its documentation only.
 *
 * From the rows come the parser, the refusal of unknown keys, the defaults, docs/configuration.md and the
 * commented sample. Thread-safety: constant data. */
#ifndef BIDE_CONFIG_OPTIONS_H
#define BIDE_CONFIG_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum bide_option_kind {
    BIDE_OPTION_STRING,       /* char *, never empty */
    BIDE_OPTION_STRINGS,      /* char **, ended by NULL; one string, or a list of them; NULL: unset */
    BIDE_OPTION_TYPE,         /* char *, a message type */
    BIDE_OPTION_QUEUE,        /* char *, a queue's name */
    BIDE_OPTION_ADDRESS,      /* char *, a queue's name, or "@TOPIC" */
    BIDE_OPTION_TOPIC,        /* char *, a topic's name */
    BIDE_OPTION_SUBSCRIPTION, /* char *, "SUB@TOPIC" */
    BIDE_OPTION_NAMESPACE,    /* char * */
    BIDE_OPTION_INT,          /* int, min … max */
    BIDE_OPTION_BOOL,         /* bool */
    BIDE_OPTION_FRACTION,     /* double, 0 … 1 */
    BIDE_OPTION_DURATION,     /* int64_t ms, min … max */
    BIDE_OPTION_RATE,         /* struct bide_rate */
    BIDE_OPTION_SIZE,         /* int64_t bytes, min … max */
    BIDE_OPTION_CHOICE,       /* int or enum: the index in `choices` */
    BIDE_OPTION_WORD,         /* char *, one of `choices`; NULL: unset */
    BIDE_OPTION_BACKOFF,  /* a choice or a list of durations: backoff, list_ms, n_list of bide_retry_config */
    BIDE_OPTION_GROUP,    /* the struct of `section`, in place */
    BIDE_OPTION_LIST,     /* pointer to the structs of `section`; their number at `count_offset` */
    BIDE_OPTION_SETTINGS, /* settings, n_settings of bide_handler_config: any settings of a plugin */
};

struct bide_option_section;

struct bide_option {
    const char *key; /* NULL ends a table */
    enum bide_option_kind kind;
    size_t offset;        /* of the member in the section's struct */
    size_t count_offset;  /* LIST */
    const char *fallback; /* as in the file, without quotes; "": unset (computed, or empty); NULL: required */
    const char *sample;   /* what the sample file shows instead of the fallback */
    int64_t min, max;
    const char *const *choices; /* ended by NULL */
    const struct bide_option_section *section;
    const char *help;
};

struct bide_option_section {
    const char *name; /* "handlers.retry": for headings and messages */
    size_t size;      /* of the struct */
    const char *help;
    const struct bide_option *options;
};

/* The top level: struct bide_config. */
const struct bide_option_section *bide_option_root(void);

/* Writes the size as in the file, without quotes: "64MiB", 1000. */
void bide_option_add_size(struct bide_buffer *to, int64_t bytes);

#endif
