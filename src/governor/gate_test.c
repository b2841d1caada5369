/* governor/gate_test.c - the gate says what it was told, and everything has a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "governor/gate.h"
#include "governor/governor.h"

static void the_gate_says_what_it_was_told(void **state)
{
    struct gate gate;
    struct gate_settings s = {.level = PRESSURE_HIGH, .size_max = 12345, .refuse_at_connect = true};

    (void)state;
    gate_init(&gate);
    for (size_t c = 0; c < MAIL_CLASSES; c++)
        assert_int_equal(gate_ask(&gate, (enum mail_class)c).verdict, GATE_OPEN);
    assert_int_equal(gate_size_max(&gate), UINT64_MAX);
    for (size_t c = 0; c < MAIL_CLASSES; c++)
        s.lines[c] = (struct gate_line){.verdict = (enum gate_verdict)(c % 3),
                                        .delay_ms = UINT32_MAX - (uint32_t)c,
                                        .resource = (uint8_t)(GOVERNOR_RESOURCES - 1 - c)};
    for (int is_short = 0; is_short < 2; is_short++) {
        s.is_memory_short = is_short;
        s.refuse_at_connect = !is_short;
        gate_set(&gate, &s);
        for (size_t c = 0; c < MAIL_CLASSES; c++) {
            struct gate_line l = gate_ask(&gate, (enum mail_class)c);

            assert_int_equal(l.verdict, s.lines[c].verdict);
            assert_int_equal(l.delay_ms, s.lines[c].delay_ms);
            assert_int_equal(l.resource, s.lines[c].resource);
        }
        assert_int_equal(gate_size_max(&gate), 12345);
        assert_int_equal(gate_level(&gate), PRESSURE_HIGH);
        assert_int_equal(gate_is_memory_short(&gate), is_short);
        assert_int_equal(gate_refuses_at_connect(&gate), !is_short);
    }
    assert_string_equal(gate_token(GATE_RESOURCE_SIZE), "size");
    assert_string_equal(gate_token(GATE_RESOURCE_SESSIONS), "sessions");
    assert_string_equal(gate_token(GOVERNOR_SPOOL_INODES), "spool-disk");
    assert_string_equal(gate_token(GOVERNOR_RESOURCES), "");
    assert_string_equal(mail_class_name(MAIL_SECOND_COPY), "second_copy");
}

static void everything_has_a_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;

        assert_true(*governor_resource_name(r) && *governor_resource_exchange_name(r) &&
                    *governor_resource_unit(r) && *gate_token((uint8_t)r));
    }
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++)
        assert_true(*governor_remedy_name((enum governor_remedy)i) &&
                    *governor_remedy_what((enum governor_remedy)i));
    for (size_t i = 0; i < PRESSURE_LEVELS; i++)
        assert_true(*governor_level_name((enum pressure_level)i));
    assert_string_equal(governor_resource_name(GOVERNOR_RESOURCES), "");
    assert_string_equal(governor_resource_exchange_name(GOVERNOR_RESOURCES), "");
    assert_string_equal(governor_resource_unit(GOVERNOR_RESOURCES), "");
    assert_string_equal(governor_remedy_name(GOVERNOR_REMEDIES), "");
    assert_string_equal(governor_remedy_what(GOVERNOR_REMEDIES), "");
    assert_string_equal(governor_level_name(PRESSURE_LEVELS), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gate_says_what_it_was_told),
        cmocka_unit_test(everything_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
