/* config/listen.h: an address to listen on. Any thread. */
#ifndef BIDE_CONFIG_LISTEN_H
#define BIDE_CONFIG_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "bide/error.h"

struct bide_listen {
    struct sockaddr_storage address;
    socklen_t size;
    bool loopback; /* other machines cannot reach it */
};

/* "127.0.0.1:9470", "[::1]:9470", "localhost:9470", "0.0.0.0:9470"; numbers, no names but localhost. */
bide_code bide_listen_parse(const char *text, struct bide_listen *ret_listen, bide_error *error);

#endif
