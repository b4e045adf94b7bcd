/* console/upload.h: a request's body while it comes in: only for who may, and within bounds. On the
 * connection's thread. */
#ifndef BIDE_CONSOLE_UPLOAD_H
#define BIDE_CONSOLE_UPLOAD_H

#include "console/gate.h"

struct bide_upload {
    struct bide_console *console;
    struct bide_reply refusal; /* status 0: none; else the body is read and dropped */
    struct bide_buffer body;
    size_t reserved; /* of the outbox's budget */
};

/* NULL: out of memory. */
struct bide_upload *bide_upload_begin(
    struct bide_server *server, struct MHD_Connection *connection, enum bide_right right);
void bide_upload_add(struct bide_upload *upload, const char *bytes, size_t size);
void bide_upload_end(struct bide_upload *upload);

#endif
