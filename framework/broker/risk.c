#include "broker/risk.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/trust.h"

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

const char *bide_broker_risk(const struct bide_url *url)
{
    const char *verify = bide_url_param(url, "verify");
    bool clear = strcmp(url->scheme, "amqp") == 0 || strcmp(url->scheme, "redis") == 0, away = false;
    for (size_t i = 0; i < url->n_hosts; i++)
        away = away || (url->hosts[i].name && !is_loopback(url->hosts[i].name));
    if (verify && (strcmp(verify, "none") == 0 || strcmp(verify, "verify_none") == 0))
        return "verify=none: the broker's certificate is not checked, so that anybody on the way can read "
               "the "
               "password and the messages: give cacertfile=… instead";
    if (clear && away && url->password)
        return "the password goes over the network in clear text: use amqps:// or rediss://";
    return NULL;
}

bide_code bide_broker_check_file(const char *what, const char *path, bide_error *error)
{
    int fd;
    if (!path || access(path, F_OK) != 0)
        return BIDE_OK;
    bide_code code = bide_trust_open(what, path, &fd, error);
    if (code == BIDE_OK)
        close(fd);
    return code;
}
