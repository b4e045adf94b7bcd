/* handlers/webhook against a real HTTP server on loopback. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/deadline.h"
#include "support/plugin_run.h"
#include "unit.h"

struct server {
    struct temp_dir dir;
    char log[TEMP_DIR_PATH + 8];
    pid_t pid;
    int port;
};

static int start_server(void **state)
{
    static struct server server;
    char programs[TEMP_DIR_PATH], program[TEMP_DIR_PATH + 32];
    int ends[2];
    test_program_dir(programs);
    snprintf(program, sizeof program, "%s/http_target", programs);
    assert_int_equal(temp_dir_create(&server.dir), 0);
    snprintf(server.log, sizeof server.log, "%s/log", server.dir.path);
    assert_int_equal(pipe(ends), 0);
    server.pid = fork();
    if (server.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(program, program, server.log, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    assert_int_equal(fscanf(output, "port %d", &server.port), 1);
    fclose(output);
    setenv("no_proxy", "127.0.0.1", 1);
    *state = &server;
    return 0;
}

static int stop_server(void **state)
{
    struct server *server = *state;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    return temp_dir_remove(&server->dir);
}

static void open_hook(struct plugin_run *run, const struct server *server, const char *path, const char *more)
{
    char settings[1024];
    bide_error error;
    snprintf(settings, sizeof settings, "url = \"http://127.0.0.1:%d%s\"; %s", server->port, path, more);
    assert_ok(plugin_run_open(run, "webhook", "30s", settings, &error), &error);
    plugin_run_body(run, "{\"a\":1}", 7);
}

/* What the server noted about the last request. */
static json_t *last_request(const struct server *server)
{
    char line[16384] = "";
    FILE *log = fopen(server->log, "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log))
        ;
    fclose(log);
    json_t *request = json_loads(line, 0, NULL);
    assert_non_null(request);
    return request;
}

static void assert_noted(const struct server *server, const char *key, const char *value)
{
    json_t *request = last_request(server);
    assert_string_equal(json_string_value(json_object_get(request, key)), value);
    json_decref(request);
}

static void test_answer_decides(void **state)
{
    static const struct {
        const char *path;
        bide_outcome outcome;
        int64_t delay_ms;
        const char *text;
    } rows[] = {
        {"/ok", BIDE_DONE, -1, ""},
        {"/busy", BIDE_RETRY, 1000, "/busy answered 429: busy, come back in a second"},
        {"/busy", BIDE_DONE, -1, ""},
        {"/broken", BIDE_RETRY, -1, "/broken answered 500: something broke here"},
        {"/broken", BIDE_RETRY, -1, "answered 500"},
        {"/broken", BIDE_DONE, -1, ""},
        {"/gone", BIDE_DEAD, -1, "/gone answered 404: no such hook"},
        {"/moved", BIDE_DEAD, -1, "answered 302: redirects are not followed"},
        {"/repair", BIDE_DONE, -1, ""},
        {"/gone", BIDE_DONE, -1, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct plugin_run run;
        open_hook(&run, *state, rows[i].path, "");
        assert_int_equal(plugin_run_handle(&run), rows[i].outcome);
        assert_int_equal(run.delay_ms, rows[i].delay_ms);
        assert_non_null(strstr(run.error, rows[i].text));
        plugin_run_close(&run);
    }
}

static void test_retry_after_is_capped(void **state)
{
    struct plugin_run run;
    open_hook(&run, *state, "/busy", "retry_after_max = \"0ms\";");
    assert_ok(bide_message_set_id(run.message, "not obeyed", NULL), NULL);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_int_equal(run.delay_ms, BIDE_BY_POLICY);
    plugin_run_close(&run);
    open_hook(&run, *state, "/busy", "retry_after_max = \"250ms\";");
    assert_ok(bide_message_set_id(run.message, "capped", NULL), NULL);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_int_equal(run.delay_ms, 250);
    plugin_run_close(&run);
}

static void test_request_carries_the_message(void **state)
{
    struct plugin_run run;
    open_hook(&run, *state, "/ok", "headers = [\"X-Extra: configured\"];");
    assert_ok(bide_message_set_content_type(run.message, "application/json", NULL), NULL);
    assert_ok(bide_message_set_header(run.message, "traceparent", "00-ab-cd-01", NULL), NULL);
    assert_ok(bide_message_set_header(run.message, "X-Extra", "of the message", NULL), NULL);
    assert_ok(bide_message_set_header(run.message, "Content-Length", "3", NULL), NULL);
    plugin_run_attempt(&run, 3);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    assert_noted(*state, "id", "id-1");
    assert_noted(*state, "idempotency_key", "id-1");
    assert_noted(*state, "type", "test");
    assert_noted(*state, "attempt", "3");
    assert_noted(*state, "content_type", "application/json");
    assert_noted(*state, "traceparent", "00-ab-cd-01");
    assert_noted(*state, "extra", "configured");
    assert_noted(*state, "signature", "");
    json_t *request = last_request(*state);
    assert_int_equal(json_integer_value(json_object_get(request, "body_bytes")), 7);
    json_decref(request);
    plugin_run_close(&run);
}

static void test_headers_cannot_be_smuggled(void **state)
{
    struct plugin_run run;
    open_hook(&run, *state, "/ok", "");
    run.message->headers = (struct bide_header[]){
        {"traceparent", "x\r\nX-Extra: smuggled"}, {"X-Extra: a\r\nX-Extra", "b"}, {"bide-Type", "forged"}};
    run.message->n_headers = 3;
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    assert_noted(*state, "extra", "");
    assert_noted(*state, "traceparent", "");
    assert_noted(*state, "type", "test");
    plugin_run_close(&run);
}

/* A header may give rights to who sends it. */
static void test_headers_are_forwarded_by_name(void **state)
{
    struct plugin_run run;
    for (int named = 0; named < 2; named++) {
        open_hook(&run, *state, "/ok", named ? "forward_headers = [\"x-extra\"];" : "");
        run.message->headers = (struct bide_header[]){
            {"authorization", "Bearer stolen"}, {"X-Extra", "mine"}, {"traceparent", "00-ab-cd-01"}};
        run.message->n_headers = 3;
        assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
        assert_noted(*state, "authorization", "");
        assert_noted(*state, "extra", named ? "mine" : "");
        assert_noted(*state, "traceparent", "00-ab-cd-01");
        plugin_run_close(&run);
    }
}

static void test_configured_headers_replace_ours(void **state)
{
    struct plugin_run run;
    open_hook(&run, *state, "/ok", "headers = [\"content-type: text/x\", \"Bide-Attempt: none\"];");
    assert_ok(bide_message_set_content_type(run.message, "application/json", NULL), NULL);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    assert_noted(*state, "content_type", "text/x");
    assert_noted(*state, "attempt", "none");
    plugin_run_close(&run);
}

static void test_a_cut_answer_is_an_answer(void **state)
{
    struct plugin_run run;
    open_hook(&run, *state, "/cut", "");
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    plugin_run_close(&run);
}

static void test_signature_can_be_checked(void **state)
{
    struct plugin_run run;
    char signed_text[64], expected[200], mac_hex[65];
    unsigned char mac[32];
    open_hook(&run, *state, "/ok", "secret = \"top secret\";");
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    json_t *request = last_request(*state);
    const char *signature = json_string_value(json_object_get(request, "signature"));
    long long time = 0;
    assert_int_equal(sscanf(signature, "t=%lld,v2=", &time), 1);
    int size = snprintf(signed_text, sizeof signed_text, "%lld\nid-1\ntest\n{\"a\":1}", time);
    assert_non_null(
        HMAC(EVP_sha256(), "top secret", 10, (unsigned char *)signed_text, (size_t)size, mac, NULL));
    for (size_t i = 0; i < sizeof mac; i++)
        snprintf(mac_hex + 2 * i, 3, "%02x", mac[i]);
    snprintf(expected, sizeof expected, "t=%lld,v2=%s", time, mac_hex);
    assert_string_equal(signature, expected);
    json_decref(request);
    plugin_run_close(&run);
}

/* The example of handlers/README.md, run with what a request carried: 0 and 1 as its exit code. */
static int check_by_readme(const struct plugin_run *run, const char *signature, const char *id)
{
    char command[512];
    snprintf(command, sizeof command,
        "cd '%s' && sed -n '/^```python/,/^```$/p' '%s/handlers/README.md' | grep -v '```' > check.py && "
        "echo 'import sys; sys.exit(not is_genuine(b\"top secret\", sys.argv[1], sys.argv[2], \"test\", "
        "b\"{\\\"a\\\":1}\"))' >> check.py && python3 check.py '%s' '%s'",
        run->dir.path, BIDE_SOURCE_DIR, signature, id);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_signature_by_the_readme(void **state)
{
    struct plugin_run run;
    char old[300];
    open_hook(&run, *state, "/ok", "secret = \"top secret\";");
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    json_t *request = last_request(*state);
    const char *signature = json_string_value(json_object_get(request, "signature"));
    assert_int_equal(check_by_readme(&run, signature, "id-1"), 0);
    assert_int_equal(check_by_readme(&run, signature, "id-2"), 1); /* of another message */
    snprintf(old, sizeof old, "t=1766599200%s", strchr(signature, ','));
    assert_int_equal(check_by_readme(&run, old, "id-1"), 1); /* repeated later */
    json_decref(request);
    plugin_run_close(&run);
}

/* ---- libcurl's surroundings: these stand before those of the libraries ---- */

static sem_t resolver_may_go;
static _Atomic int resolvers;
static _Atomic bool only_ca_file; /* CURLOPT_CAPATH was set to nothing */

/* A name server that does not answer. libcurl 8.22 asks it in two threads at once, for each kind of address.
 */
__attribute__((visibility("default"))) int getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (typeof(real))dlsym(RTLD_NEXT, "getaddrinfo");
    if (!node || strcmp(node, "stalls.example") != 0)
        return real(node, service, hints, result);
    struct timespec until;
    atomic_fetch_add(&resolvers, 1);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    while (sem_timedwait(&resolver_may_go, &until) != 0 && errno == EINTR)
        ;
    sem_post(&resolver_may_go); /* for the next */
    atomic_fetch_sub(&resolvers, 1);
    return EAI_AGAIN;
}

#undef curl_easy_setopt
__attribute__((visibility("default"))) CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    CURLcode (*real)(CURL *, CURLoption, ...) =
        (typeof(real))dlsym(dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD), "curl_easy_setopt");
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *); /* long, curl_off_t and pointers are of one size here */
    va_end(args);
    if (option == CURLOPT_CAPATH)
        atomic_store(&only_ca_file, value == NULL);
    return real(easy, option, value);
}

static bool no_resolver(void *user)
{
    (void)user;
    return atomic_load(&resolvers) == 0;
}

static bool a_resolver(void *user)
{
    (void)user;
    return atomic_load(&resolvers) > 0;
}

static void test_a_silent_name_server_holds_nobody(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    assert_int_equal(sem_init(&resolver_may_go, 0, 0), 0);
    assert_ok(plugin_run_open(&run, "webhook", "200ms", "url = \"http://stalls.example/\";", &error), &error);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_between(run.took_ms, 195, 60000); /* libcurl counts whole milliseconds, and rounds down */
    assert_true(
        wait_until(a_resolver, NULL, 60000)); /* it asks still, or has not come to it on a busy machine */
    plugin_run_close(&run);
    assert_int_equal(sem_post(&resolver_may_go), 0);
    assert_true(wait_until(no_resolver, NULL, 60000));
}

static void test_ca_file_replaces_the_authorities(void **state)
{
    (void)state;
    struct plugin_run run;
    struct temp_dir dir;
    bide_error error;
    char path[TEMP_DIR_PATH], settings[TEMP_DIR_PATH + 100];
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(temp_dir_write(&dir, "own.pem", "", path), 0);
    assert_ok(plugin_run_open(&run, "webhook", "1s", "url = \"https://127.0.0.1:1/\";", &error), &error);
    assert_false(atomic_load(&only_ca_file));
    plugin_run_close(&run);
    snprintf(settings, sizeof settings, "url = \"https://127.0.0.1:1/\"; ca_file = \"%s\";", path);
    assert_ok(plugin_run_open(&run, "webhook", "1s", settings, &error), &error);
    assert_true(atomic_load(&only_ca_file));
    plugin_run_close(&run);
    assert_int_equal(chmod(path, 0666), 0); /* who can change it decides whom to believe */
    assert_int_equal(plugin_run_open(&run, "webhook", "1s", settings, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "'ca_file'"));
    plugin_run_close(&run);
    temp_dir_remove(&dir);
}

static void test_no_answer_is_tried_again(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    assert_ok(plugin_run_open(&run, "webhook", "30s",
                  "url = \"http://user:secret@127.0.0.1:1/hook?token=hidden\";", &error),
        &error);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_non_null(strstr(run.error, "cannot deliver to http://127.0.0.1:1/hook: "));
    assert_null(strstr(run.error, "secret"));
    assert_null(strstr(run.error, "hidden"));
    plugin_run_close(&run);
}

static void test_slow_answers_are_given_up(void **state)
{
    struct server *server = *state;
    struct plugin_run run;
    char settings[200];
    bide_error error;
    snprintf(settings, sizeof settings, "url = \"http://127.0.0.1:%d/slow\";", server->port);
    assert_ok(plugin_run_open(&run, "webhook", "100ms", settings, &error), &error);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_between(run.took_ms, 99, 60000);
    plugin_run_close(&run);
}

struct canceller {
    const struct server *server;
    struct plugin_run *run;
};

static bool was_asked(void *user)
{
    struct stat info;
    return stat(((const struct server *)user)->log, &info) == 0 && info.st_size > 0;
}

static void *cancel_when_asked(void *user)
{
    struct canceller *canceller = user;
    struct server server = *canceller->server;
    wait_until(was_asked, &server, 60000);
    plugin_run_cancel(canceller->run);
    return NULL;
}

static void test_cancelling_wakes_it(void **state)
{
    struct plugin_run run;
    pthread_t thread;
    struct canceller canceller = {*state, &run};
    open_hook(&run, *state, "/slow", "");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, &canceller), 0);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    pthread_join(thread, NULL);
    assert_between(run.took_ms, 0, 60000);
    assert_non_null(strstr(run.error, "was cancelled"));
    plugin_run_close(&run);
}

static void test_settings_are_checked_at_the_start(void **state)
{
    (void)state;
    static const struct plugin_refusal rows[] = {
        {"url = \"ftp://example.org/\";", "http:// or https://"},
        {"url = \"file:///etc/passwd\";", "http:// or https://"},
        {"url = \"http://\";", "'url'"},
        {"url = \"http://x/\"; headers = [\"no colon\"];", "'headers': item 1"},
        {"url = \"http://x/\"; forward_headers = [\"Host\"];", "'forward_headers': 'Host'"},
        {"url = \"http://x/\"; forward_headers = [\"bide-id\"];", "'forward_headers': 'bide-id'"},
        {"url = \"http://x/\"; forward_headers = [\"a b\"];", "'forward_headers': 'a b'"},
        {"url = \"http://x/\"; secret = \"a\"; secret_file = \"b\";", "exclude each other"},
        {"url = \"http://x/\"; secret_file = \"missing\";", "'secret_file': cannot read"},
    };
    plugin_run_check_refusals("webhook", rows, COUNT_OF(rows));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_answer_decides, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_retry_after_is_capped, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_request_carries_the_message, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_headers_cannot_be_smuggled, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_headers_are_forwarded_by_name, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_configured_headers_replace_ours, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_a_cut_answer_is_an_answer, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_signature_can_be_checked, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_signature_by_the_readme, start_server, stop_server),
    cmocka_unit_test(test_a_silent_name_server_holds_nobody),
    cmocka_unit_test(test_ca_file_replaces_the_authorities),
    cmocka_unit_test(test_no_answer_is_tried_again),
    cmocka_unit_test_setup_teardown(test_slow_answers_are_given_up, start_server, stop_server),
    cmocka_unit_test_setup_teardown(test_cancelling_wakes_it, start_server, stop_server),
    cmocka_unit_test(test_settings_are_checked_at_the_start),
};

UNIT_MAIN(tests)
