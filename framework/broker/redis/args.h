/* broker/redis/args.h: one command being built, already in the form it travels in (RESP).
 *
 * Append freely, check `failed` once (bide_redis_link_append does). Thread-safety: one thread at a time. */
#ifndef BIDE_REDIS_ARGS_H
#define BIDE_REDIS_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "bide/export.h"
#include "broker/redis/commands.h"

struct bide_redis_args {
    struct bide_buffer bytes; /* the arguments, without the count in front */
    size_t n;
    enum bide_redis_kind kind; /* of the command that was begun */
    bool begun;
};

void bide_redis_args_init(struct bide_redis_args *args);
void bide_redis_args_release(struct bide_redis_args *args);
/* Begins a command of the table, or one of a kind whose words follow; the memory is kept. */
void bide_redis_args_begin(struct bide_redis_args *args, enum bide_redis_command_name command);
void bide_redis_args_begin_kind(struct bide_redis_args *args, enum bide_redis_kind kind);

void bide_redis_args_add(struct bide_redis_args *args, const void *bytes, size_t size);
void bide_redis_args_text(struct bide_redis_args *args, const char *text);
void bide_redis_args_int(struct bide_redis_args *args, int64_t value);
/* At most 511 bytes: keys and small texts. */
void bide_redis_args_format(struct bide_redis_args *args, const char *format, ...) BIDE_PRINTF(2, 3);
/* Several texts, ended by NULL. */
void bide_redis_args_texts(struct bide_redis_args *args, const char *const texts[]);

#endif
