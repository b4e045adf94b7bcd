#include "config/listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

/* Splits "host:port" or "[host]:port"; false for anything else. */
static bool split(const char *text, char host[64], const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    if (size > 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    } else if (memchr(text, ':', size)) {
        return false;
    }
    if (size == 0 || size >= 64 || !colon[1])
        return false;
    snprintf(host, 64, "%.*s", (int)size, text);
    *ret_port = colon + 1;
    return true;
}

bide_code bide_listen_parse(const char *text, struct bide_listen *ret_listen, bide_error *error)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[64];
    const char *port;
    bool whole = split(text, host, &port);
    const char *numeric = whole && strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    int64_t number;
    if (!whole || strspn(port, "0123456789") != strlen(port) ||
        bide_parse_int(port, 0, UINT16_MAX, &number, NULL) != BIDE_OK ||
        getaddrinfo(numeric, port, &hints, &found) != 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "'%.100s' is no address and port to listen on, such as 127.0.0.1:9470 or [::1]:9470", text);
    *ret_listen = (struct bide_listen){.size = found->ai_addrlen, .loopback = is_loopback(found->ai_addr)};
    memcpy(&ret_listen->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return BIDE_OK;
}
