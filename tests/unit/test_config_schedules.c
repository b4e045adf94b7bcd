/* The configuration loader: `schedules`. */
#include "unit/config_folder.h"

static void good_schedules(void **state)
{
    (void)state;
    struct bide_config *config =
        load("handlers = ( { type = \"mail\"; plugin = \"p\"; queue = \"slow\"; } );"
             "schedules = ( { name = \"a\"; cron = \"30 2 * * *\"; type = \"mail\"; },"
             "{ name = \"b\"; every = \"30s\"; type = \"ping\"; overlap = \"skip\"; } );");
    assert_int_equal(config->n_schedules, 2);
    assert_ptr_equal(bide_config_schedule(config, "b"), &config->schedules[1]);
    assert_null(bide_config_schedule(config, "c"));
    assert_string_equal(config->schedules[0].queue, "slow"); /* its handler's */
    assert_string_equal(config->schedules[0].timezone, "UTC");
    assert_int_equal(config->schedules[0].catch_up, BIDE_CATCH_UP_LAST);
    assert_string_equal(config->schedules[1].queue, "default");
    assert_int_equal(config->schedules[1].every_ms, 30000);
    assert_int_equal(config->schedules[1].overlap, BIDE_OVERLAP_SKIP);
    bide_config_destroy(config);
    config = load("schedules = ( );"); /* not the same as none: there is a clock */
    assert_non_null(config->schedules);
    bide_config_destroy(config);
    config = load("namespace = \"x\";");
    assert_null(config->schedules);
    bide_config_destroy(config);
}

#define SCHEDULE(more) "schedules = (\n { name = \"s\"; type = \"t\"; " more " } );"

static const struct {
    const char *text, *expected;
} bad_files[] = {
    {SCHEDULE("cron = \"61 * * * *\";"),
        "a.conf:2: schedule 's': cron \"61 * * * *\": minute, column 1: a number must lie from 0 to 59"},
    {SCHEDULE("type = \"u\";"), "a.conf:2: duplicate setting name"},
    {SCHEDULE("\n cron = \"0 2 * * *\"; timezone = \"Europe/Atlantis\";"),
        "a.conf:3: schedule 's': there is no time zone 'Europe/Atlantis' on this machine: write a name such "
        "as "
        "\"Europe/Berlin\" (`timedatectl list-timezones`; the files come with the package tzdata)"},
    {SCHEDULE(""), "a.conf:2: schedule 's' needs `cron` or `every`, one of the two"},
    {SCHEDULE("every = \"1s\"; cron = \"@daily\";"),
        "a.conf:2: schedule 's' needs `cron` or `every`, one of the two"},
    {SCHEDULE("every = \"1500ms\";"), "a.conf:2: every of schedule 's' must be whole seconds"},
    {SCHEDULE("every = \"1s\"; timezone = \"UTC\";"),
        "a.conf:2: timezone of schedule 's': `every` counts from 1970 (UTC) and has none"},
    {SCHEDULE("every = \"1s\"; body = \"\\xFF\";"),
        "a.conf:2: body of schedule 's' must be UTF-8 of at most 65536 bytes"},
    {SCHEDULE("every = \"1s\"; overlap = \"stop\";"),
        "a.conf:2: overlap is 'stop' (did you mean 'skip'?): it must be \"allow\" or \"skip\""},
    {"schedules = ( { name = \"s\"; type = \"t\"; every = \"1s\"; },\n{ name = \"s\"; type = \"t\"; every = "
     "\"1s\"; } );",
        "a.conf:2: schedule 's' is listed twice"},
};

static void bad_schedules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct bide_config *config = NULL;
        bide_error error = {0};
        write_file("a.conf", bad_files[i].text);
        assert_int_equal(bide_config_load("a.conf", &config, &error), BIDE_E_CONFIG);
        assert_null(config);
        assert_string_equal(error.text, bad_files[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_schedules, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(bad_schedules, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests_name("config_schedules", tests, NULL, NULL);
}
