/* Runs a fuzz target without libFuzzer: `replay_x FOLDER...` feeds it every file of the folders.
 *
 * Each file is run as it is, cut at every length, and with changed bytes (a fixed sequence, so that
 * a failure can be repeated).  Inputs are copied to a block of their exact size, where a sanitizer
 * or valgrind sees a read past the end. The first folder must hold something: an empty corpus tests
 * nothing.  On a crash the last line names the input. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define LARGEST 65536 /* of a file           */
#define CUTS    2048  /* lengths tried        */
#define CHANGES 512   /* changed copies tried */

static unsigned long runs;

static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    runs++;
}

static uint32_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

static void run_changed(const uint8_t *data, size_t size)
{
    static uint8_t copy[LARGEST];
    uint64_t state = 1;
    for (unsigned i = 0; size && i < CHANGES; i++) {
        memcpy(copy, data, size);
        for (unsigned changes = 1 + draw(&state) % 4; changes; changes--) {
            uint32_t how = draw(&state), at = draw(&state) % (uint32_t)size;
            if (how % 2)
                copy[at] ^= (uint8_t)(1 << how / 2 % 8);
            else
                copy[at] = (uint8_t)(how / 2);
        }
        run(copy, size);
    }
}

static bool run_file(const char *path)
{
    static uint8_t data[LARGEST];
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout);
    run(data, size);
    for (size_t cut = 0; cut < size && cut < CUTS; cut++)
        run(data, cut);
    run_changed(data, size);
    return true;
}

/* Returns how many files were run, -1 on failure. */
static int run_folder(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? 0 : -1;
    int files = 0;
    const struct dirent *entry;
    while ((entry = readdir(d))) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!run_file(path)) {
            files = -1;
            break;
        }
        files++;
    }
    closedir(d);
    return files;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int files = run_folder(argv[i]);
        if (files < 0 || (files == 0 && i == 1)) {
            fprintf(stderr, "%s: no inputs could be read\n", argv[i]);
            return 1;
        }
    }
    printf("%lu inputs\n", runs);
    return argc > 1 ? 0 : 2;
}
