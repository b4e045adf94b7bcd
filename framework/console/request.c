/* What endpoints ask of a request, and how they refuse it. */
#include <microhttpd.h>
#include <string.h>

#include "base/json.h"
#include "console/server.h"

const char *bide_server_header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

int bide_server_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

const struct sockaddr *bide_server_address(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

const char *bide_request_query(const struct bide_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool bide_request_has(const struct bide_request *request, const char *name)
{
    const char *value;
    return MHD_lookup_connection_value_n(
               request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL) == MHD_YES;
}

size_t bide_request_queries(const struct bide_request *request)
{
    return (size_t)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, NULL, NULL);
}

const char *bide_request_header(const struct bide_request *request, const char *name)
{
    return bide_server_header(request->connection, name);
}

void bide_reply_error(struct bide_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->type = "application/json";
    bide_buffer_clear(&reply->body);
    bide_buffer_char(&reply->body, '{');
    bide_json_text(&reply->body, "error", text);
    bide_buffer_char(&reply->body, '}');
}

void bide_reply_failure(struct bide_reply *reply, bide_code code, const bide_error *error)
{
    static const unsigned statuses[] = {
        [BIDE_E_NOT_FOUND] = 404, [BIDE_E_BROKER] = 503, [BIDE_E_TIMEOUT] = 504, [BIDE_E_CONFIG] = 503};
    size_t n = sizeof statuses / sizeof statuses[0];
    unsigned status = (size_t)code < n && statuses[code] ? statuses[code] : 500;
    bide_reply_error(reply, status, error->text);
}
