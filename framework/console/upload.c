#include "console/server.h"

#include "base/alloc.h"

struct bide_upload *bide_upload_begin(
    struct bide_server *server, struct MHD_Connection *connection, enum bide_right right)
{
    struct bide_upload *upload = bide_calloc(1, sizeof *upload);
    if (!upload)
        return NULL;
    upload->console = server->console;
    bide_buffer_init(&upload->body);
    bide_buffer_init(&upload->refusal.body);
    bide_gate_pass(server, connection, right, &upload->role, &upload->refusal);
    atomic_fetch_add(&server->console->uploads, 1);
    return upload;
}

static void drop(struct bide_upload *upload)
{
    bide_buffer_release(&upload->body);
    bide_buffer_init(&upload->body);
    bide_outbox_release(&upload->console->outbox, upload->reserved);
    upload->reserved = 0;
}

static void refuse(struct bide_upload *upload, unsigned status, const char *why)
{
    drop(upload);
    bide_reply_error(&upload->refusal, status, why);
}

void bide_upload_add(struct bide_upload *upload, const char *bytes, size_t size)
{
    struct bide_outbox *outbox = &upload->console->outbox;
    if (upload->refusal.status)
        return;
    if (size > outbox->longest - upload->body.size) {
        refuse(upload, 413, "a request of this size is too much: send several");
    } else if (!bide_outbox_reserve(outbox, size)) {
        refuse(upload, 429, "too much waits to be sent: try again");
    } else {
        upload->reserved += size;
        bide_buffer_add(&upload->body, bytes, size);
        if (upload->body.failed)
            refuse(upload, 503, "out of memory");
    }
}

void bide_upload_end(struct bide_upload *upload)
{
    atomic_fetch_sub(&upload->console->uploads, 1);
    drop(upload);
    bide_buffer_release(&upload->body);
    bide_buffer_release(&upload->refusal.body);
    bide_free(upload);
}
