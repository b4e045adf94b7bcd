/* What a server that the webhook plugin asks may answer: any bytes, then the connection's end. The run ends
 * at once, as its status says, and what is kept of the answer is one line. */
#include "fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "dispatch/context.h"
#include "dispatch/handler.h"
#include "dispatch/job.h"
#include "dispatch/settings.h"
#include "message/message.h"
#include "webhook.h"

static int answered = -1; /* the connection that libcurl gets next */

static curl_socket_t take_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    (void)address;
    int fd = answered;
    answered = -1;
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int is_connected(void *user, curl_socket_t fd, curlsocktype purpose)
{
    (void)user;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static struct bide_setting_value url = {
    .name = (char[]){"url"}, .kind = BIDE_VALUE_STRING, .text = (char[]){"http://127.0.0.1:9/hook"}};
static struct bide_handler_config config = {.type = (char[]){"t"},
    .plugin = (char[]){"webhook"},
    .timeout_ms = 5000,
    .settings = &url,
    .n_settings = 1};

static struct webhook *open_webhook(void)
{
    bide_settings *settings;
    void *webhook;
    HOLDS(bide_settings_create(&config, bide_plugin.settings, "f", "/", &settings, NULL) == BIDE_OK);
    HOLDS(bide_plugin.open(settings, &webhook, NULL) == BIDE_OK);
    bide_settings_destroy(settings);
    CURL *easy = ((struct webhook *)webhook)->easy;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, take_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, is_connected);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    return webhook;
}

/* The status of the first line that is one; 0: none. */
static int first_status(const char *text)
{
    int status = 0;
    return sscanf(text, "HTTP/1.%*1[01] %3d", &status) == 1 ? status : 0;
}

static void check(struct webhook *webhook, bide_message *message, int status)
{
    const struct bide_clock *clock = bide_clock_system();
    struct bide_handler handler = {.config = &config};
    struct bide_delivery delivery = {.message = message};
    struct bide_job job = {.delivery = &delivery, .handler = &handler};
    struct bide_context context;
    bide_context_init(&context, clock);
    bide_context_begin(&context, &job, bide_wall_us(clock), bide_mono_us(clock));
    bide_outcome outcome = bide_plugin.handle(webhook, message, &context);
    HOLDS(!bide_cancelled(&context));
    HOLDS(outcome == BIDE_DONE || (job.run.error && *job.run.error));
    HOLDS(outcome != BIDE_DONE || !status || status < 300);
    HOLDS(!job.run.error || !strpbrk(job.run.error, "\r\n\x1b\x7f"));
    HOLDS(job.run.delay_ms >= -1 && job.run.delay_ms <= 3600 * 1000);
    bide_context_end(&context, &job, outcome);
    bide_run_release(&job.run);
    bide_context_close(&context);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct webhook *webhook;
    int ends[2];
    if (!webhook)
        webhook = open_webhook();
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    HOLDS(write(ends[1], bytes, size) == (ssize_t)size && shutdown(ends[1], SHUT_WR) == 0);
    answered = ends[0];
    bide_message *message;
    HOLDS(bide_message_create("t", &message, NULL) == BIDE_OK);
    HOLDS(bide_message_set_id(message, "id-1", NULL) == BIDE_OK);
    char *text = text_of_input(bytes, size);
    check(webhook, message, first_status(text));
    free(text);
    bide_message_destroy(message);
    if (answered >= 0)
        close(answered);
    answered = -1;
    close(ends[1]);
    return 0;
}
