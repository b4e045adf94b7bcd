/* URLs: what is taken keeps to the rules of base/url.h, and nowhere is a password shown. */
#include "fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/url.h"

/* Between the first ':' of the authority and the last '@' nothing but the stars is left. */
static void check_redacted(const struct bide_url *url)
{
    if (!url->password)
        return;
    const char *user = strstr(url->redacted, "://");
    HOLDS(user);
    const char *colon = strchr(user + 3, ':'), *at = strrchr(url->redacted, '@');
    HOLDS(colon && at && at - colon == 4 && memcmp(colon, ":***@", 5) == 0);
}

static void check_taken(const struct bide_url *url)
{
    HOLDS(url->scheme && *url->scheme >= 'a' && *url->scheme <= 'z');
    HOLDS(!url->password || url->user);
    HOLDS(url->n_hosts <= BIDE_URL_HOSTS_MAX && url->n_params <= BIDE_URL_PARAMS_MAX);
    for (size_t i = 0; i < url->n_hosts; i++)
        HOLDS(url->hosts[i].name && *url->hosts[i].name && url->hosts[i].port >= 0 &&
              url->hosts[i].port <= 65535);
    for (size_t i = 0; i < url->n_params; i++) {
        HOLDS(*url->params[i].name && url->params[i].value);
        HOLDS(bide_url_param(url, url->params[i].name));
    }
    check_redacted(url);
}

/* The same password between other things: must not be seen in the redacted text, however the rest looks. */
static void check_planted_password(const char *text)
{
    size_t middle = strlen(text) / 2;
    char *planted = bide_asprintf("amqp://u:%.*s"
                                  "pAsSwOrD"
                                  "%s@host/v",
        (int)middle, text, text + middle);
    HOLDS(planted);
    char *redacted = bide_url_redact(planted);
    HOLDS(redacted && !strstr(redacted, "pAsSwOrD"));
    struct bide_url url;
    bide_error error = {.text = ""};
    if (bide_url_parse(planted, &url, &error) == BIDE_OK)
        bide_url_clear(&url);
    HOLDS(!strstr(error.text, "pAsSwOrD"));
    bide_free(redacted);
    bide_free(planted);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    struct bide_url url;
    bide_error error = {.text = ""};
    bide_code code = bide_url_parse(text, &url, &error);
    HOLDS(code == BIDE_OK || (code == BIDE_E_CONFIG && error.text[0]));
    if (code == BIDE_OK) {
        check_taken(&url);
        bide_url_clear(&url);
    }
    check_planted_password(text);
    free(text);
    return 0;
}
