#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const char *const names[] = {"BIDE_ID=", "BIDE_TYPE=", "BIDE_QUEUE=", "BIDE_CONTENT_TYPE=",
    "BIDE_ATTEMPT=", "BIDE_ATTEMPTS=", "BIDE_DUE_MS=", "BIDE_SENT_MS=", "BIDE_LAST_ERROR=", "BIDE_HEADER_",
    "TRACEPARENT=", "TRACESTATE="};

/* Where programs look for their trace by convention; what of these the worker itself has is not the
 * message's. */
static const struct {
    const char *header, *variable;
} traces[] = {{"traceparent", "TRACEPARENT"}, {"tracestate", "TRACESTATE"}};

enum { N_FIELDS = 9 };

bool environment_is_ours(const char *entry)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* x-request-id becomes BIDE_HEADER_X_REQUEST_ID. */
static void write_header(FILE *to, const char *name, const char *value)
{
    fputs("BIDE_HEADER_", to);
    for (; *name; name++)
        fputc(isascii(*name) && isalnum((unsigned char)*name) ? toupper((unsigned char)*name) : '_', to);
    fprintf(to, "=%s%c", value, '\0');
}

static size_t write_traces(FILE *to, const bide_message *message)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        const char *value = bide_message_header(message, traces[i].header);
        if (value)
            fprintf(to, "%s=%s%c", traces[i].variable, value, '\0');
        n += value != NULL;
    }
    return n;
}

/* All strings, each with its NUL, one behind another. */
static size_t write_block(FILE *to, const bide_message *message, const bide_context *context)
{
    fprintf(to, "BIDE_ID=%s%c", bide_message_id(message), '\0');
    fprintf(to, "BIDE_TYPE=%s%c", bide_message_type(message), '\0');
    fprintf(to, "BIDE_QUEUE=%s%c", bide_message_queue(message), '\0');
    fprintf(to, "BIDE_CONTENT_TYPE=%s%c", bide_message_content_type(message), '\0');
    fprintf(to, "BIDE_ATTEMPT=%d%c", bide_message_attempt(message), '\0');
    fprintf(to, "BIDE_ATTEMPTS=%d%c", bide_attempts(context), '\0');
    fprintf(to, "BIDE_DUE_MS=%lld%c", (long long)bide_message_due_ms(message), '\0');
    fprintf(to, "BIDE_SENT_MS=%lld%c", (long long)bide_message_sent_ms(message), '\0');
    fprintf(to, "BIDE_LAST_ERROR=%s%c", bide_message_error(message), '\0');
    size_t n_headers = bide_message_header_count(message);
    for (size_t i = 0; i < n_headers; i++)
        write_header(to, bide_message_header_name(message, i), bide_message_header_value(message, i));
    return N_FIELDS + write_traces(to, message) + n_headers;
}

bool environment_make(struct environment *environment, const struct command *command,
    const bide_message *message, const bide_context *context)
{
    size_t size;
    *environment = (struct environment){0};
    FILE *stream = open_memstream(&environment->block, &size);
    if (!stream)
        return false;
    size_t n_ours = write_block(stream, message, context);
    if (fclose(stream) != 0) /* also where memory ran out on the way */
        return false;
    environment->list = calloc(n_ours + command->n_environment + 1, sizeof *environment->list);
    if (!environment->list)
        return false;
    char *at = environment->block;
    for (size_t i = 0; i < n_ours; i++, at += strlen(at) + 1)
        environment->list[i] = at;
    for (size_t i = 0; i < command->n_environment; i++)
        environment->list[n_ours + i] = command->environment[i];
    return true;
}

void environment_clear(struct environment *environment)
{
    free(environment->list);
    free(environment->block);
}
