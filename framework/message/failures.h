/* message/failures.h: what went wrong with a message, run by run, as a text that brokers carry beside the
 * last error.
 *
 * The text is a JSON array, oldest first: [{"attempt":1,"at_ms":1734000000000,"error":"…"}, …]; "" is none.
 * It travels in headers, so it is kept short: the newest BIDE_FAILURES_MAX, of each error the last
 * some hundred bytes, and less of them where they are longer than a few thousand together. A text that cannot
 * be read (a foreign producer's) is as none. Any thread. */
#ifndef BIDE_MESSAGE_FAILURES_H
#define BIDE_MESSAGE_FAILURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    BIDE_FAILURES_MAX = 10,
    BIDE_FAILURES_TEXT_MAX = 4000, /* bytes */
};

struct bide_failure {
    int attempt;
    int64_t at_ms;
    const char *error; /* never NULL */
};

struct bide_failures {
    struct bide_failure items[BIDE_FAILURES_MAX];
    size_t n;
    void *root; /* what the errors point into */
};

void bide_failures_read(struct bide_failures *ret_failures, const char *text);
void bide_failures_release(struct bide_failures *failures);

/* The text with one more; the caller's (bide_free). NULL where there is no memory. */
char *bide_failures_add(const char *text, const struct bide_failure *failure);

/* What a list shows of an error: its last line that is not blank. */
const char *bide_failure_headline(const char *error, size_t *ret_size);

/* Appends the array, as it was read: valid JSON whatever the text was. */
void bide_failures_write(struct bide_buffer *to, const char *text);

#endif
