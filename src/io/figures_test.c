/* io/figures_test.c - the kernel's texts, whole and cut anywhere, and a kernel made of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/figures.h"

#define NOTHING 12345 /* what must still be there when a parser refuses */

/* ---- parsers ---- */

static const char meminfo[] = "MemTotal:       24686568 kB\nMemFree:         1000 kB\n"
                              "MemAvailable:   20000000 kB\nHugePages_Total:       7\n";

static void lines_are_found_by_their_key(void **state)
{
    static const struct {
        const char *text, *key;
        uint64_t value; /* NOTHING: refused */
    } cases[] = {
        {meminfo, "MemTotal:", 24686568ull << 10},
        {meminfo, "MemAvailable:", 20000000ull << 10},
        {meminfo, "HugePages_Total:", 7},
        {meminfo, "MemTota", NOTHING},
        {meminfo, "MemTotal", NOTHING},
        {meminfo, "SwapTotal:", NOTHING},
        {"inactive_file 4096\nactive_file 1\n", "inactive_file", 4096},
        {"inactive_file 4096\nactive_file 1\n", "active_file", 1},
        {"a:\t17 kB\n", "a:", 17 << 10},
        {"a: 17 MB\n", "a:", NOTHING},
        {"a: x\n", "a:", NOTHING},
        {"a:\n", "a:", NOTHING},
        {"a: -1\n", "a:", NOTHING},
        {"a: 99999999999999999999 kB\n", "a:", NOTHING},
        {"a: 18446744073709551615 kB\n", "a:", NOTHING},
        {"", "a:", NOTHING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice text = slice_str(cases[i].text);
        bool good = cases[i].value != NOTHING;

        for (size_t cut = 0; cut <= text.len; cut++) {
            uint64_t value = NOTHING;
            int r = figures_parse_line(slice_sub(text, 0, cut), slice_str(cases[i].key), &value);

            assert_true(r == 0 || r == -EINVAL);
            if (r == 0) /* a number cut short never passes for another */
                assert_int_equal(value, cases[i].value);
            else
                assert_int_equal(value, NOTHING);
            if (cut == text.len)
                assert_int_equal(r == 0, good);
        }
    }
}

static void limits_are_numbers_or_max(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } cases[] = {
        {"max\n", FIGURES_NO_LIMIT},
        {"268435456\n", 268435456},
        {"0\n", 0},
        {"9223372036854771712\n", FIGURES_NO_LIMIT}, /* version 1's word for none */
        {"18446744073709551615\n", FIGURES_NO_LIMIT},
        {"18446744073709551616\n", NOTHING},
        {"maximum\n", NOTHING},
        {"-1\n", NOTHING},
        {"1 2\n", NOTHING},
        {"\n", NOTHING},
        {"", NOTHING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice text = slice_str(cases[i].text);

        for (size_t cut = 0; cut <= text.len; cut++) {
            uint64_t value = NOTHING;
            int r = figures_parse_limit(slice_sub(text, 0, cut), &value);

            assert_int_equal(r == 0, cut == text.len && cases[i].value != NOTHING);
            assert_int_equal(value, r == 0 ? cases[i].value : NOTHING);
        }
    }
}

static void stalls_are_hundredths(void **state)
{
    static const char text[] = "some avg10=56.17 avg60=15.97 avg300=6.46 total=5129345192\n"
                               "full avg10=0.03 avg60=0.00 avg300=0.00 total=0\n";
    static const struct {
        const char *text, *which;
        uint64_t value;
    } cases[] = {
        {text, "some", 5617},
        {text, "full", 3},
        {text, "none", NOTHING},
        {"some avg10=100.00 avg60=1.00\n", "some", 10000},
        {"some avg10=100.00 avg60=1.00\n", "full", NOTHING}, /* cpu before Linux 5.13 */
        {"some avg60=1.00\n", "some", NOTHING},
        {"some avg10=1.0\n", "some", NOTHING},
        {"some avg10=1\n", "some", NOTHING},
        {"some avg10=.10\n", "some", NOTHING},
        {"some avg10=x.10\n", "some", NOTHING},
        {"some\n", "some", NOTHING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice s = slice_str(cases[i].text);

        for (size_t cut = 0; cut <= s.len; cut++) {
            uint64_t value = NOTHING;
            int r = figures_parse_stall(slice_sub(s, 0, cut), slice_str(cases[i].which), &value);

            assert_int_equal(value, r == 0 ? cases[i].value : NOTHING);
            if (cut == s.len)
                assert_int_equal(r == 0, cases[i].value != NOTHING);
        }
    }
}

static void groups_are_found_by_controller(void **state)
{
    static const char hybrid[] = "9:name=systemd:/\n5:devices,memory:/jobs/a:b\n0::/user.slice\n";
    static const struct {
        const char *text, *controller, *path; /* NULL: refused */
    } cases[] = {
        {hybrid, "memory", "/jobs/a:b"},
        {hybrid, "devices", "/jobs/a:b"},
        {hybrid, "", "/user.slice"},
        {hybrid, "mem", NULL},
        {hybrid, "cpu", NULL},
        {"0::/\n", "", "/"},
        {"0::\n", "", NULL},
        {"0:memory\n", "memory", NULL},
        {"nonsense\n0::/x\n", "", "/x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice s = slice_str(cases[i].text), path;

        for (size_t cut = 0; cut <= s.len; cut++) {
            int r =
                figures_parse_group(slice_sub(s, 0, cut), slice_str(cases[i].controller), &path);

            if (r == 0)
                assert_true(cases[i].path && slice_eq(path, slice_str(cases[i].path)));
            if (cut == s.len)
                assert_int_equal(r == 0, cases[i].path != NULL);
        }
    }
}

static const char mounts[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "30 24 0:26 / /bad\\040place rw - cgroup cgroup rw,memory\n"
    "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw shared:4 master:1 - cgroup2 cgroup2 rw\n";

static void mounts_are_found_by_controller(void **state)
{
    static const struct {
        const char *controller, *part, *point;
    } cases[] = {
        {"memory", "/docker/x", "/sys/fs/cgroup/memory"},
        {"", "/", "/sys/fs/cgroup/unified"},
        {"cpu", NULL, NULL},
    };
    struct slice s = slice_str(mounts), part, point;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (size_t cut = 0; cut <= s.len; cut++) {
            int r = figures_parse_mount(slice_sub(s, 0, cut), slice_str(cases[i].controller), &part,
                                        &point);

            if (r == 0) {
                assert_non_null(cases[i].part);
                assert_true(slice_eq(part, slice_str(cases[i].part)));
                assert_true(slice_eq(point, slice_str(cases[i].point)));
            }
            if (cut == s.len)
                assert_int_equal(r == 0, cases[i].part != NULL);
        }
}

/* ---- a kernel of files ---- */

struct kernel {
    char root[64];
    struct figures *figures;
    struct figures_sample now;
};

static void put(struct kernel *k, const char *path, const char *text)
{
    char full[512];
    int fd;

    (void)snprintf(full, sizeof(full), "%s%s", k->root, path);
    for (char *slash = full + strlen(k->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void kernel_open(struct kernel *k)
{
    *k = (struct kernel){.root = "/tmp/penstock-figures-XXXXXX"};
    assert_non_null(mkdtemp(k->root));
}

static void kernel_close(struct kernel *k)
{
    figures_free(&k->figures);
    assert_int_equal(nftw(k->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void sample(struct kernel *k)
{
    if (!k->figures)
        assert_int_equal(figures_new(&k->figures, k->root), 0);
    figures_take(k->figures, &k->now);
}

static void assert_known(struct figure f, uint64_t value)
{
    assert_true(f.is_known);
    assert_int_equal(f.value, value);
}

static void assert_unknown(struct figure f, const char *why)
{
    assert_false(f.is_known);
    assert_string_equal(f.why, why);
}

static void put_process(struct kernel *k)
{
    put(k, "/proc/self/status",
        "Name:\tpenstock\nVmSize:\t  3000 kB\nRssAnon:\t  100 kB\nRssFile:\t 1596 kB\n"
        "RssShmem:\t   28 kB\n");
    put(k, "/proc/meminfo", meminfo);
    put(k, "/proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put(k, "/proc/self/cgroup", "0::/system.slice/penstock.service\n");
    put(k, "/proc/self/fd/0", "");
    put(k, "/proc/self/fd/1", "");
}

static void put_group(struct kernel *k, const char *folder, const char *max, const char *high,
                      const char *current)
{
    const struct {
        const char *file, *text;
    } files[] = {{"memory.max", max},
                 {"memory.high", high},
                 {"memory.current", current},
                 {"memory.stat", "anon 50\ninactive_file 1000\nactive_file 5\n"}};
    char path[256];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", folder, files[i].file);
        put(k, path, files[i].text);
    }
}

static void a_sample_is_of_now(void **state)
{
    struct kernel k;

    (void)state;
    kernel_open(&k);
    put_process(&k);
    put_group(&k, "/system.slice/penstock.service", "9000\n", "max\n", "5000\n");
    put_group(&k, "/system.slice", "max\n", "max\n", "70000\n");
    sample(&k);
    assert_known(k.now.process, 128 << 10);
    assert_known(k.now.address_space, 3000 << 10);
    assert_known(k.now.total, 24686568ull << 10);
    assert_known(k.now.available, 20000000ull << 10);
    assert_known(figures_process_memory(k.figures), 128 << 10);
    assert_known(k.now.group_max, 9000);
    assert_known(k.now.group_high, FIGURES_NO_LIMIT);
    assert_known(k.now.group_used, 4000); /* page cache that nobody uses is not used memory */
    assert_string_equal(k.now.group, "/sys/fs/cgroup/system.slice/penstock.service");
    assert_true(k.now.descriptors.is_known && k.now.descriptors.value > 0);
    assert_true(k.now.descriptors_max.is_known);

    /* The files are the same ones; what they say is new. */
    put_group(&k, "/system.slice/penstock.service", "max\n", "max\n", "5000\n");
    put_group(&k, "/system.slice", "8000\n", "7500\n", "6000\n");
    sample(&k);
    assert_known(k.now.group_max, 8000);
    assert_known(k.now.group_high, 7500);
    assert_known(k.now.group_used, 5000);
    assert_string_equal(k.now.group, "/sys/fs/cgroup/system.slice");
    kernel_close(&k);
}

static void a_process_that_moves_is_followed(void **state)
{
    struct kernel k;

    (void)state;
    kernel_open(&k);
    put_process(&k);
    put_group(&k, "/system.slice/penstock.service", "9000\n", "max\n", "5000\n");
    put_group(&k, "/other", "100\n", "max\n", "50\n");
    sample(&k);
    assert_known(k.now.group_max, 9000);
    put(&k, "/proc/self/cgroup", "0::/other\n");
    sample(&k);
    assert_known(k.now.group_max, 100);
    assert_known(k.now.group_used, 0);
    put(&k, "/proc/self/cgroup", "0::/gone\n");
    sample(&k);
    assert_unknown(k.now.group_max, "no control group of this process limits memory");
    kernel_close(&k);
}

static void version_1_is_understood(void **state)
{
    struct kernel k;

    (void)state;
    kernel_open(&k);
    put_process(&k);
    put(&k, "/proc/self/mountinfo", mounts);
    put(&k, "/proc/self/cgroup", "4:memory:/docker/x/a\n0::/\n");
    put(&k, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    put(&k, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    put(&k, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n");
    put(&k, "/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
    sample(&k);
    assert_known(k.now.group_max, 4096);
    assert_known(k.now.group_used, 2500);
    assert_unknown(k.now.group_high, "version 1 of control groups has no memory.high");
    assert_string_equal(k.now.group, "/sys/fs/cgroup/memory");
    kernel_close(&k);
}

static void stalls_are_our_own_where_there_are_such(void **state)
{
    static const char theirs[] = "some avg10=50.00 avg60=1.00\nfull avg10=40.00 avg60=1.00\n";
    static const char ours[] = "some avg10=3.25 avg60=1.00\nfull avg10=2.00 avg60=1.00\n";
    static const char *const names[] = {"cpu", "memory", "io"};
    struct kernel k;
    char path[128];

    (void)state;
    kernel_open(&k);
    put_process(&k);
    sample(&k);
    assert_unknown(k.now.full[FIGURES_IO], "this kernel has no /proc/pressure/io");
    figures_free(&k.figures);

    put(&k, "/proc/pressure/cpu", theirs);
    put(&k, "/proc/pressure/memory", theirs);
    sample(&k);
    assert_false(k.now.stalls_are_ours);
    assert_known(k.now.some[FIGURES_CPU], 5000);
    assert_known(k.now.full[FIGURES_MEMORY], 4000);
    assert_unknown(k.now.some[FIGURES_IO], "this kernel has no /proc/pressure/io");
    put(&k, "/proc/pressure/cpu", "nonsense\n");
    sample(&k);
    assert_unknown(k.now.some[FIGURES_CPU], "/proc/pressure/cpu has not the expected form");
    figures_free(&k.figures);

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof(path),
                       "/sys/fs/cgroup/system.slice/penstock.service/%s.pressure", names[i]);
        put(&k, path, ours);
    }
    sample(&k);
    assert_true(k.now.stalls_are_ours);
    assert_known(k.now.some[FIGURES_CPU], 325);
    assert_known(k.now.full[FIGURES_IO], 200);
    kernel_close(&k);
}

static void what_is_not_there_is_told(void **state)
{
    struct kernel k;

    (void)state;
    kernel_open(&k);
    sample(&k);
    assert_unknown(k.now.process, "this kernel has no /proc/self/status");
    assert_unknown(k.now.total, "this kernel has no /proc/meminfo");
    assert_unknown(k.now.descriptors, "this kernel has no /proc/self/fd");
    assert_unknown(k.now.group_used, "no control group of this process limits memory");
    assert_true(k.now.address_space_max.is_known);
    kernel_close(&k);
}

/* A kernel that does not give their number has them listed: with each sample while they are few.
 * fdinfo, which has no size on any kernel, stands in for the folder of such a one. */
static void many_descriptors_are_listed_now_and_then(void **state)
{
    int fds[300];
    struct kernel k;
    char path[128];
    uint64_t few, many;

    (void)state;
    kernel_open(&k);
    put(&k, "/proc/self/status", "");
    (void)snprintf(path, sizeof(path), "%s/proc/self/fd", k.root);
    assert_int_equal(symlink("/proc/self/fdinfo", path), 0);
    sample(&k);
    few = k.now.descriptors.value;
    assert_in_range(few, 1, 250);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    sample(&k);
    many = few + ARRAY_SIZE(fds);
    assert_known(k.now.descriptors, many);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_int_equal(close(fds[i]), 0);
    for (int i = 0; i < 4; i++) {
        sample(&k);
        assert_known(k.now.descriptors, many);
    }
    sample(&k);
    assert_known(k.now.descriptors, few);
    kernel_close(&k);
}

/* The real one: descriptors are counted, and a sample works when none is left. */
static void the_real_kernel_answers(void **state)
{
    struct figures *f;
    struct figures_sample before, after;
    int fds[3];

    (void)state;
    assert_int_equal(figures_new(&f, ""), 0);
    figures_take(f, &before);
    assert_true(before.process.is_known && before.process.value > 0);
    assert_true(before.total.is_known && before.total.value > before.process.value);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = dup(0);
        assert_true(fds[i] >= 0);
    }
    figures_take(f, &after);
    assert_int_equal(after.descriptors.value, before.descriptors.value + ARRAY_SIZE(fds));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        assert_int_equal(close(fds[i]), 0);
    figures_free(&f);
}

static void a_sample_needs_no_descriptor(void **state)
{
    struct figures *f;
    struct figures_sample before, after;
    struct rlimit was, none;

    (void)state;
    assert_int_equal(figures_new(&f, ""), 0);
    figures_take(f, &before);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(dup(0), -1);
    figures_take(f, &after);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_true(after.process.is_known && after.available.is_known);
    assert_int_equal(after.group_used.is_known, before.group_used.is_known);
    assert_int_equal(after.full[FIGURES_IO].is_known, before.full[FIGURES_IO].is_known);
    assert_int_equal(after.descriptors.value, before.descriptors.value);
    assert_int_equal(after.descriptors_max.value, 0);
    figures_free(&f);
}

static void disks_have_a_device(void **state)
{
    struct figures_disk a, b;

    (void)state;
    assert_int_equal(figures_disk("/tmp", &a), 0);
    assert_int_equal(figures_disk("/tmp/.", &b), 0);
    assert_true(a.total >= a.available && a.total > 0);
    assert_int_equal(a.device, b.device);
    assert_int_equal(figures_disk("/proc", &b), 0);
    assert_int_not_equal(a.device, b.device);
    assert_int_equal(figures_disk("/nowhere/at/all", &a), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_by_their_key),
        cmocka_unit_test(limits_are_numbers_or_max),
        cmocka_unit_test(stalls_are_hundredths),
        cmocka_unit_test(groups_are_found_by_controller),
        cmocka_unit_test(mounts_are_found_by_controller),
        cmocka_unit_test(a_sample_is_of_now),
        cmocka_unit_test(a_process_that_moves_is_followed),
        cmocka_unit_test(version_1_is_understood),
        cmocka_unit_test(stalls_are_our_own_where_there_are_such),
        cmocka_unit_test(what_is_not_there_is_told),
        cmocka_unit_test(the_real_kernel_answers),
        cmocka_unit_test(many_descriptors_are_listed_now_and_then),
        cmocka_unit_test(a_sample_needs_no_descriptor),
        cmocka_unit_test(disks_have_a_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
