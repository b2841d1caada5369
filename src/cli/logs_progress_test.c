/*
 * cli/logs_progress_test.c - the line in any width, and on a terminal.
 */
#include "cli/logs_int.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define MB UINT64_C(1000000)
#define ERASE "\r\033[K"
#define FRAME_MAX 4096

static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void test_forms(void **state)
{
    static const struct form {
        struct logs_progress_figures figures;
        size_t width;
        bool is_utf8;
        const char *text;
    } forms[] = {
        {{25 * MB, 100 * MB, 2 * MB, 1000},
         100,
         false,
         "[##########------------------------------] 25 %, 25.0 of 100.0 MB, 2.00 M rows/s, 3s "
         "left"},
        {{25 * MB, 100 * MB, 2 * MB, 1000},
         60,
         true,
         "██░░░░░░░░ 25 %, 25.0 of 100.0 MB, 2.00 M rows/s, 3s left"},
        {{25 * MB, 100 * MB, 2 * MB, 1000}, 30, false, "[###----------] 25 %, 3s left"},
        {{25 * MB, 100 * MB, 2 * MB, 1000}, 20, false, "[###---------] 25 %"},
        {{25 * MB, 100 * MB, 2 * MB, 1000}, 10, false, "25 %"},
        {{25 * MB, 100 * MB, 2 * MB, 1000}, 3, false, "25"},
        {{25 * MB, 100 * MB, 2 * MB, 1000}, 1, false, ""},
        {{100 * MB, 100 * MB, 2 * MB, 1000}, 20, true, "███████████ 100 %"},
        {{0, 100 * MB, 0, 1000}, 20, true, "░░░░░░░░░░░░░ 0 %"},
        /* a stream; a file that grew */
        {{25 * MB, 0, 2 * MB, 1000}, 80, true, "25.0 MB, 2.00 M rows/s"},
        {{25 * MB, 24 * MB, 2 * MB, 1000}, 80, true, "25.0 MB, 2.00 M rows/s"},
        {{25 * MB, 0, 2 * MB, 1000}, 10, true, "25.0 MB, "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct buf line = BUF_INIT(FRAME_MAX);

        logs_progress_line(&line, &forms[i].figures, forms[i].width, forms[i].is_utf8);
        assert_string_equal(buf_cstr(&line), forms[i].text);
        buf_done(&line);
    }
}

/* Never as wide as the terminal: the cursor would be in the next line. */
static void test_fits(void **state)
{
    static const struct logs_progress_figures figures[] = {
        {1, UINT64_C(1) << 62, UINT64_C(1) << 62, 500},
        {UINT64_C(1) << 61, UINT64_C(1) << 62, 0, UINT64_C(1) << 40},
        {UINT64_MAX, 0, UINT64_MAX, 0},
        {99 * MB, 100 * MB, 5 * MB, 60000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
        for (size_t width = 0; width < 300; width++) {
            struct buf line = BUF_INIT(FRAME_MAX);

            logs_progress_line(&line, &figures[i], width, width % 2);
            assert_true(buf_len(&line) == 0 || width_of(buf_cstr(&line)) < width);
            buf_done(&line);
        }
    }
}

/* What came since, without waiting. */
static void read_frame(int terminal, char ret[static FRAME_MAX])
{
    struct pollfd ready = {.fd = terminal, .events = POLLIN};
    size_t used = 0;

    while (poll(&ready, 1, 0) > 0 && used < FRAME_MAX - 1) {
        ssize_t n = read(terminal, ret + used, FRAME_MAX - 1 - used);

        assert_true(n > 0);
        used += (size_t)n;
    }
    ret[used] = '\0';
}

static void set_width(int terminal, unsigned short columns)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};

    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
}

/* One after the other as the time goes, in the width that the terminal has by then. */
static void test_on_a_terminal(void **state)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, before = dup(STDERR_FILENO);
    char frames[5][FRAME_MAX];
    struct log_run_config run = {0};
    struct logs_progress p;

    (void)state;
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    assert_int_equal(setenv("LC_ALL", "C.UTF-8", 1), 0);
    set_width(terminal, 20);
    (void)dup2(slave, STDERR_FILENO);
    logs_progress_begin(&p, &run);
    run.progress(run.ctx, 25 * MB, 100 * MB, 1); /* too early */
    read_frame(terminal, frames[0]);
    p.began_ms -= 1000;
    run.progress(run.ctx, 25 * MB, 100 * MB, 1);
    read_frame(terminal, frames[1]);
    p.told_ms -= 1000;
    set_width(terminal, 15);
    run.progress(run.ctx, 50 * MB, 100 * MB, 1);
    read_frame(terminal, frames[2]);
    run.progress(run.ctx, 51 * MB, 100 * MB, 1); /* too soon */
    read_frame(terminal, frames[3]);
    logs_progress_end(&p);
    read_frame(terminal, frames[4]);
    (void)dup2(before, STDERR_FILENO);
    assert_string_equal(frames[0], "");
    assert_string_equal(frames[1], ERASE "███░░░░░░░░░ 25 %");
    assert_string_equal(frames[2], ERASE "50 %");
    assert_string_equal(frames[3], "");
    assert_string_equal(frames[4], ERASE);
    (void)close(before);
    (void)close(slave);
    (void)close(terminal);
}

/* Nobody looks at what is no terminal. */
static void test_on_none(void **state)
{
    int before = dup(STDERR_FILENO), file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct log_run_config run = {0};
    struct logs_progress p;

    (void)state;
    (void)dup2(file, STDERR_FILENO);
    logs_progress_begin(&p, &run);
    logs_progress_end(&p);
    (void)dup2(before, STDERR_FILENO);
    assert_null(run.progress);
    (void)close(before);
    (void)close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_on_a_terminal),
        cmocka_unit_test(test_on_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
