/* broker/risk.h: what is not safe about a broker's URL, for people. Pure; any thread. */
#ifndef BIDE_BROKER_RISK_H
#define BIDE_BROKER_RISK_H

#include "base/url.h"

/* What a stranger on the network could do, in one sentence; NULL: nothing that the URL shows. */
const char *bide_broker_risk(const struct bide_url *url);

#endif
