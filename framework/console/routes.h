/* console/routes.h: what the console answers, and what right each needs. Pure; any thread. */
#ifndef BIDE_CONSOLE_ROUTES_H
#define BIDE_CONSOLE_ROUTES_H

#include "console/access.h"
#include "console/serving.h"

struct bide_route {
    const char *method, *path; /* '*' in it stands for a name */
    enum bide_right right;
    bide_endpoint *serve;
};

/* HEAD is as GET. `name` gets what '*' stands for. NULL: none; *ret_known tells whether by another method. */
const struct bide_route *bide_route_find(
    const char *method, const char *path, char name[BIDE_ID_MAX + 1], bool *ret_known);

#endif
