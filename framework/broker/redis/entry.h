/* broker/redis/entry.h: what a stream or a hash answers, as a message being read. Any thread, a wire at a
 * time. */
#ifndef BIDE_REDIS_ENTRY_H
#define BIDE_REDIS_ENTRY_H

#include <hiredis/hiredis.h>

#include "broker/redis/wire.h"

/* A stream's entry [id, [field, value, …]]: ours or a foreign producer's; changes the reply's texts. False
 * where the reply is none; then nothing is returned. Returns the bytes of its values in ret_size (may be
 * NULL). */
bool bide_redis_entry_read(struct bide_redis_wire *wire, const redisReply *entry, size_t *ret_size);
/* A message from `held`, due when its set says; changes the text. False where these are not three texts. */
bool bide_redis_held_read(
    struct bide_redis_wire *wire, const redisReply *token, const redisReply *due, redisReply *text);
/* What a message does not say about itself: its id is where it lay (`source`), and its due time when it was
 * sent, or now. One that is due absurdly late is malformed. `queue` and `source` are borrowed by the wire's
 * parts. */
void bide_redis_wire_complete(
    struct bide_redis_wire *wire, const char *queue, const char *source, int64_t now_ms);

#endif
