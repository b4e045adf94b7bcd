#include "message/message.h"

enum { ABSENT_TEXT = 0, ABSENT_TIME = 0, ABSENT_COUNT = 1 };

#define ROW(member, kind_, part_, header_, line_, set_)                                                      \
    {.name = #member,                                                                                        \
        .header = header_,                                                                                   \
        .line = line_,                                                                                       \
        .line_size = sizeof line_ - 1,                                                                       \
        .kind = BIDE_KIND_##kind_,                                                                           \
        .part = BIDE_PART_##part_,                                                                           \
        .absent = ABSENT_##kind_,                                                                            \
        .in_message = offsetof(struct bide_message, member),                                                 \
        .in_parts = offsetof(struct bide_message_parts, member),                                             \
        .set = set_},
#define NUMBER(member, kind, part, header, line) ROW(member, kind, part, header, line, NULL)
#define TEXT(member, part, header, line, set) ROW(member, TEXT, part, header, line, set)

const struct bide_field bide_fields[BIDE_N_FIELDS] = {BIDE_FIELDS(NUMBER, TEXT)};
