/* broker/rabbitmq/api.h: rabbitmq-c's headers, wherever this version keeps them, and its byte strings.
 *
 * rabbitmq-c 0.11 has <amqp.h>; since 0.12 the headers lie in a folder. Any thread. */
#ifndef BIDE_BROKER_RABBITMQ_API_H
#define BIDE_BROKER_RABBITMQ_API_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

/* rabbitmq-c takes void * also where it only reads. Borrowed. */
static inline amqp_bytes_t bide_rmq_bytes(const void *bytes, size_t size)
{
    return (amqp_bytes_t){size, (void *)(uintptr_t)bytes};
}

static inline amqp_bytes_t bide_rmq_text(const char *text)
{
    return bide_rmq_bytes(text, strlen(text));
}

static inline bool bide_rmq_bytes_are(amqp_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

static inline bool bide_rmq_bytes_begin(amqp_bytes_t bytes, const char *text)
{
    size_t size = strlen(text);
    return bytes.len >= size && memcmp(bytes.bytes, text, size) == 0;
}

static inline struct timeval bide_rmq_timeval(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

#endif
