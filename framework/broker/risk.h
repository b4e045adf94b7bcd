/* broker/risk.h: what is not safe about a broker's URL, for people. Any thread. */
#ifndef BIDE_BROKER_RISK_H
#define BIDE_BROKER_RISK_H

#include <stdbool.h>

#include "base/url.h"
#include "bide/error.h"

/* For adapters whose connection has no TLS: would somebody on the way read the password? Not on this host. */
bool bide_broker_shows_password(const struct bide_url *url);

/* What a stranger on the network could do, in one sentence; NULL: nothing that the URL shows. */
const char *bide_broker_risk(const struct bide_url *url);

/* Whoever can change a CA's file decides which broker is believed, and a key's file is a secret:
 * BIDE_E_CONFIG where others can (base/trust.h). NULL, and what is not there, is for the TLS library to
 * refuse. */
bide_code bide_broker_check_file(const char *what, const char *path, bide_error *error);

#endif
