/* bench_micro seal                nanoseconds per packet of each AEAD and of records
 * bench_micro parked              bytes of a parked path
 * bench_micro scale [PATHS...]    lookups and throughput with so many paths open
 * bench_micro i3 [TRIGGERS]       nanoseconds per packet of an i3 server with so many triggers
 *
 * One JSON object on standard output.  bench/run builds and calls this. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/micro/micro.h"

#define ROUNDS 31

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double micro_time(void (*before)(void *self), void (*step)(void *self, unsigned index), void *self,
                  unsigned steps)
{
    double round[ROUNDS];
    /* The first round warms caches, branch predictors and the clock of the CPU. */
    for (int r = -1; r < ROUNDS; r++) {
        if (before)
            before(self);
        double start = cpu_now();
        for (unsigned i = 0; i < steps; i++)
            step(self, i);
        if (r >= 0)
            round[r] = (cpu_now() - start) / steps;
    }
    qsort(round, ROUNDS, sizeof *round, by_value);
    return round[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static char *usual[] = {"1", "100", "10000", "100000"};
    if (argc == 2 && !strcmp(argv[1], "seal")) {
        micro_seal();
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "parked")) {
        micro_parked();
        return 0;
    }
    if (argc >= 2 && !strcmp(argv[1], "scale")) {
        char **count = argc > 2 ? argv + 2 : usual;
        int counts = argc > 2 ? argc - 2 : 4;
        printf("{\"scale\":[");
        for (int i = 0; i < counts; i++)
            micro_scale((unsigned)strtoul(count[i], NULL, 10), i + 1 == counts);
        puts("]}");
        return 0;
    }
    if (argc >= 2 && !strcmp(argv[1], "i3")) {
        micro_i3(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000000);
        return 0;
    }
    fputs("Usage: bench_micro seal | parked | scale [PATHS...] | i3 [TRIGGERS]\n", stderr);
    return 2;
}
