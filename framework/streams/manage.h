/* streams/manage.h: what senders and operators do with streams in the store. Each call waits for it; one
 * thread at a time. */
#ifndef BIDE_STREAMS_MANAGE_H
#define BIDE_STREAMS_MANAGE_H

#include "bide/stream.h"
#include "streams/stream.h"

/* Before the first message is sent. */
bide_code bide_stream_record(
    struct bide_store *store, const struct bide_stream_info *info, bide_error *error);
/* All members but the last ones are sent: so many there are. age_ms: for how long the stream has been there.
 * total 0: its ends are reached at now_ms, and it is complete. BIDE_E_BROKER: the store has lost it. */
bide_code bide_stream_record_total(struct bide_store *store, const struct bide_stream_info *info,
    int64_t total, int64_t age_ms, int64_t now_ms, bide_error *error);
bide_code bide_stream_read_state(
    struct bide_store *store, const char *id, enum bide_stream_state *ret_state, bide_error *error);

/* bide_stream_cancel, bide_stream_show, bide_stream_list, with a store. */
bide_code bide_stream_record_cancel(struct bide_store *store, const char *id, bide_error *error);
bide_code bide_stream_see(
    struct bide_store *store, const char *id, bide_stream_visit *visit, void *user, bide_error *error);
bide_code bide_stream_see_all(
    struct bide_store *store, bide_stream_visit *visit, void *user, bide_error *error);

/* Will nothing more become of it? */
bool bide_stream_view_is_over(const bide_stream_view *view);
/* The members of its JSON object, without the braces. */
void bide_stream_report(struct bide_buffer *to, const bide_stream_view *view);

#endif
