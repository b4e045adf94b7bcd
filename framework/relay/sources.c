#include <string.h>

#include "relay/source.h"

#define OUTBOX "outbox+sqlite:"

bool bide_source_is_outbox(const char *url)
{
    return strncmp(url, OUTBOX, sizeof OUTBOX - 1) == 0;
}

bide_code bide_source_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error)
{
    return bide_source_is_outbox(options->url) ? bide_outbox_create(options, ret_source, error)
                                               : bide_received_create(options, ret_source, error);
}
