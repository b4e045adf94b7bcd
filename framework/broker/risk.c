#include "broker/risk.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/trust.h"
#include "broker/broker.h"

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

bool bide_broker_shows_password(const struct bide_url *url)
{
    bool away = false;
    for (size_t i = 0; i < url->n_hosts; i++)
        away = away || (url->hosts[i].name && !is_loopback(url->hosts[i].name));
    return away && url->password;
}

const char *bide_broker_risk(const struct bide_url *url)
{
    const struct bide_adapter *adapter;
    bool known = bide_adapter_find(url, &adapter, NULL) == BIDE_OK;
    return known && adapter->risk ? adapter->risk(url) : NULL;
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
