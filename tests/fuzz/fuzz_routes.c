/* A request to the console, a field a line: method, path, Authorization, Host, Origin, Sec-Fetch-Site. Nobody
 * acts or reads without the token, and no other site's page does. */
#include "fuzz/fuzz.h"

#include "console/server.h"

enum { FIELDS = 6 };
enum { METHOD, PATH, AUTHORIZATION, HOST, ORIGIN, SITE };

static char operate[] = "0123456789abcdef", look[] = "fedcba9876543210";

static void check_access(const char *const fields[FIELDS], enum bide_right right, bool loopback)
{
    static const struct bide_http_config http = {.token = operate, .read_token = look};
    const struct bide_access access = {.loopback = loopback,
        .http = &http,
        .authorization = *fields[AUTHORIZATION] ? fields[AUTHORIZATION] : NULL,
        .host = fields[HOST],
        .origin = *fields[ORIGIN] ? fields[ORIGIN] : NULL,
        .site = *fields[SITE] ? fields[SITE] : NULL};
    struct bide_judgement judgement = bide_access_judge(&access, right);
    bool knows = strstr(fields[AUTHORIZATION], operate), looks = strstr(fields[AUTHORIZATION], look);
    HOLDS((judgement.status == 0) == (judgement.why == NULL));
    if (judgement.status != 0 || right == BIDE_RIGHT_PUBLIC)
        return;
    HOLDS(knows || (looks && right <= BIDE_RIGHT_READ));
    HOLDS(strncasecmp(fields[AUTHORIZATION], "bearer ", 7) == 0 && strlen(fields[AUTHORIZATION]) == 7 + 16);
    HOLDS(!*fields[SITE] || strcmp(fields[SITE], "same-origin") == 0 || strcmp(fields[SITE], "none") == 0);
    HOLDS(right < BIDE_RIGHT_SEND || !*fields[ORIGIN] || strstr(fields[ORIGIN], "://"));
    HOLDS(!loopback || strncasecmp(fields[HOST], "localhost", 9) == 0 ||
          strncmp(fields[HOST], "127.", 4) == 0 || strncmp(fields[HOST], "[::1]", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size), *rest = text, name[BIDE_ID_MAX + 1];
    const char *fields[FIELDS];
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = rest ? strsep(&rest, "\n") : "";
    bool known;
    const struct bide_route *route = bide_route_find(fields[METHOD], fields[PATH], name, &known);
    if (route && strchr(route->path, '*'))
        HOLDS(*name && strstr(fields[PATH], name));
    if (route)
        HOLDS((strcmp(route->method, "POST") == 0) == (route->right >= BIDE_RIGHT_SEND));
    for (enum bide_right right = BIDE_RIGHT_PUBLIC; right <= BIDE_RIGHT_OPERATE; right++)
        for (int loopback = 0; loopback < 2; loopback++)
            check_access(fields, right, loopback);
    free(text);
    return 0;
}
