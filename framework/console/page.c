/* GET /: the dashboard. */
#include "console/page.h"

#include "console/serving.h"

void bide_serve_page(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)console;
    (void)request;
    reply->type = "text/html; charset=utf-8";
    reply->policy = bide_console_page_policy;
    bide_buffer_add(&reply->body, bide_console_page, bide_console_page_size);
}
