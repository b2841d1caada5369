/*
 * fuzz/regression_driver.c - replays saved inputs through a fuzz target without libFuzzer.
 *
 * Linked with each target in normal builds, so that every input that once broke something, and
 * every seed, runs with the unit tests, with gcc and with sanitizers. Arguments are files and
 * folders of files. Each input is copied to a block of exactly its size, so that a sanitizer sees
 * one byte too far. Before each the name is printed: the last one printed before a crash did it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static int replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    int r = -1;

    if (data && file && fread(data, 1, size, file) == size) {
        fprintf(stderr, "%s\n", path);
        (void)LLVMFuzzerTestOneInput(data, size);
        replayed++;
        r = 0;
    } else {
        perror(path);
    }
    if (file)
        (void)fclose(file);
    free(data);
    return r;
}

static int replay(const char *path);

static int replay_folder(const char *path)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort);
    int r = count < 0 ? -1 : 0;

    for (int i = 0; i < count; i++) {
        char inner[4096];
        int n = snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);

        if (n < 0 || (size_t)n >= sizeof inner)
            r = -1;
        else if (names[i]->d_name[0] != '.' && replay(inner) != 0)
            r = -1;
        free(names[i]);
    }
    free(names);
    return r;
}

static int replay(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    return S_ISDIR(st.st_mode) ? replay_folder(path) : replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    int r = 0;

    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) != 0)
            r = 1;
    printf("%u inputs replayed\n", replayed);
    return replayed ? r : 1; /* no seeds at all is a mistake, not a success */
}
