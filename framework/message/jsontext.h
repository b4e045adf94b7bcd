/* message/jsontext.h: cutting a value out of JSON text that a parser has found valid.
 *
 * Taking a body over as it was written is faster than writing it anew, and keeps numbers digit for digit. On
 * text that is not valid JSON the result is meaningless but within its bounds. Any thread. */
#ifndef BIDE_MESSAGE_JSONTEXT_H
#define BIDE_MESSAGE_JSONTEXT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "message/message.h"

/* The value of a member of the object that `text` is; false where no key is written exactly as `name` (which
 * may then still be there with escapes). */
bool bide_json_member(const char *text, size_t size, const char *name, struct bide_slice *ret_value);
/* True if it is a whole JSON string, valid, and what is between its quotes stands for itself: no escapes. Any
 * text may be asked about. */
bool bide_json_plain_string(const char *text, size_t size);
/* Appends JSON text without the white space between its tokens. */
void bide_json_add_compact(struct bide_buffer *to, const char *text, size_t size);

#endif
