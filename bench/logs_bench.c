/*
 * bench/logs_bench.c - the least a reader of a protocol log can do: logs_bench lines|field FILE. Two threads find
 * line ends, or line ends and the eighth CSV field of each row, and count the fields that begin with
 * '4'. Nothing is kept. What `penstock logs` is compared with.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 2
#define CHUNK (1 << 20)
#define SLACK (1 << 16)
#define FIELD 7

static int file;
static size_t size;
static bool wants_field;
static atomic_size_t next_offset;
static atomic_ulong lines, hits;

static const uint8_t *skip_field(const uint8_t *p, const uint8_t *end)
{
    if (p < end && *p == '"') {
        for (p++; p < end && !(*p == '"' && (p + 1 == end || p[1] != '"')); p++)
            p += *p == '"';
    }
    p = memchr(p, ',', (size_t)(end - p));
    return p ? p + 1 : end;
}

static bool has_hit(const uint8_t *p, const uint8_t *end)
{
    for (unsigned i = 0; i < FIELD && p < end; i++)
        p = skip_field(p, end);
    if (p < end && *p == '"')
        p++;
    return p < end && *p == '4';
}

static void look(const uint8_t *p, size_t begin, size_t limit, size_t len)
{
    unsigned long found = 0, wanted = 0;

    while (begin < limit) {
        const uint8_t *end = memchr(p + begin, '\n', len - begin);

        if (!end)
            break;
        found++;
        wanted += wants_field && has_hit(p + begin, end);
        begin = (size_t)(end - p) + 1;
    }
    atomic_fetch_add(&lines, found);
    atomic_fetch_add(&hits, wanted);
}

static void *work(void *ctx)
{
    uint8_t *buffer = aligned_alloc(4096, CHUNK + SLACK);

    (void)ctx;
    for (size_t offset; buffer && (offset = atomic_fetch_add(&next_offset, CHUNK)) < size;) {
        ssize_t n = pread(file, buffer, CHUNK + SLACK, (off_t)offset);
        size_t len = n > 0 ? (size_t)n : 0, begin = 0;

        if (offset > 0) {
            const uint8_t *end = memchr(buffer, '\n', len);

            begin = end ? (size_t)(end - buffer) + 1 : len;
        }
        look(buffer, begin, len < CHUNK ? len : CHUNK + 1, len);
    }
    free(buffer);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct stat st;

    if (argc != 3)
        return 2;
    wants_field = strcmp(argv[1], "field") == 0;
    file = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &st) < 0)
        return 1;
    size = (size_t)st.st_size;
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 1;
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    printf("%lu lines, %lu hits\n", lines, hits);
    return 0;
}
