/* ocala-sim: runs scenario files, each with one seed or many, and says how they went. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "sim/sim_expect.h"
#include "sim/sim_host.h"
#include "sim/sim_script.h"
#include "sim/sim_shrink.h"

#define FILE_MAX (1 << 20)

struct options {
    uint64_t first, last; /* seeds */
    const char *trace;
    bool verbose, hash_only, twice, summary;
    const char *golden, *measures, *shrink;
};

static void usage(FILE *f)
{
    fprintf(
        f,
        "usage: ocala-sim [OPTION...] FILE...\n"
        "\n"
        "Runs scenario files in a simulated network (doc/simulator.md).\n"
        "\n"
        "  --seed N        seed of the run (1)\n"
        "  --seeds A-B     one run for each seed\n"
        "  --trace FILE    the trace of the (last) run as JSON lines; - for standard output\n"
        "  --summary       what was sent, how long answers took, how long nothing came\n"
        "  --measures FILE the same as JSON, of the (last) run: for sim/plot.py\n"
        "  --shrink FILE   when a run fails, looks for a smaller scenario that fails in the same\n"
        "                  way, and ends\n"
        "  --twice         each run twice: the traces must be the same\n"
        "  --golden FILE   the trace's hash must be the one in FILE\n"
        "  --hash          print the hash of each trace and nothing else\n"
        "  --verbose       what scenarios say\n"
        "  --verbs         list the statements of scenario files\n"
        "  --help          this\n"
        "\n"
        "Exit status: 0 all scenarios held, 1 one did not, 2 usage.\n");
}

static void list_verbs(void)
{
    for (unsigned t = 0; t < SIM_VERB_TABLES; t++) {
        unsigned count;
        const struct sim_verb *v = sim_script_verbs(t, &count);
        for (unsigned i = 0; i < count; i++)
            printf("%s %s\n        %s\n", v[i].name, v[i].pattern, v[i].help);
    }
}

static char *read_file(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    char *text = base_calloc(1, FILE_MAX);
    if (!f) {
        fprintf(stderr, "ocala-sim: %s: %s\n", path, strerror(errno));
        free(text);
        return NULL;
    }
    *ret_size = fread(text, 1, FILE_MAX - 1, f);
    fclose(f);
    return text;
}

static void write_trace(void *context, const char *line, size_t size)
{
    fwrite(line, 1, size, context);
}

static void say(const char *line)
{
    printf("    %s\n", line);
}

struct result {
    bool ok;
    char error[1024], hash[65];
    char *summary; /* or NULL */
    instant simulated;
    uint64_t lines;
    unsigned expectations;
};

static void write_measures(const char *path, struct sim *sim)
{
    char *text = sim_meter_json(sim);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        fprintf(stderr, "ocala-sim: %s: %s\n", path, strerror(errno));
    free(text);
}

/* What must hold when all is over. */
static bool end_well(struct sim *sim, const char *path, char *error, size_t size)
{
    char why[SIM_WHY], time[SIM_TIME_TEXT];
    if (sim_expect_no_leak(sim, why, sizeof why))
        return true;
    snprintf(error, size, "%s: after %s: at the end: %s", path,
             sim_time_text(sim->world.now - SIM_BEGIN, time), why);
    return false;
}

static void run_once(const struct options *o, const char *path, const char *text, size_t size,
                     uint64_t seed, FILE *trace, struct result *ret)
{
    struct sim *sim = base_calloc(1, sizeof *sim);
    *ret = (struct result){0};
    sim_init(sim, seed);
    if (trace) {
        sim->world.sink = write_trace;
        sim->world.sink_context = trace;
    }
    struct sim_script *s = sim_script_load(sim, text, size, path, ret->error, sizeof ret->error);
    if (s) {
        s->say = o->verbose ? say : NULL;
        ret->ok = sim_script_run(s, ret->error, sizeof ret->error);
        if (ret->ok)
            ret->ok = end_well(sim, path, ret->error, sizeof ret->error);
        ret->expectations = s->expectations;
    }
    ret->summary = o->summary ? sim_meter_summary(sim) : NULL;
    if (o->measures)
        write_measures(o->measures, sim);
    sim_hash_text(&sim->world, ret->hash);
    ret->simulated = sim->world.now;
    ret->lines = sim->world.lines;
    sim_script_free(s);
    sim_done(sim);
    free(sim);
}

/* ---- shrinking ---- */

struct failure {
    const struct options *o;
    const char *path, *error;
    uint64_t seed;
};

static bool fails_the_same(void *context, const char *text)
{
    const struct failure *f = context;
    struct options quiet = {0};
    struct result r;
    run_once(&quiet, f->path, text, strlen(text), f->seed, NULL, &r);
    return !r.ok && sim_shrink_same(f->error, r.error);
}

static void shrink(const struct options *o, const char *path, const char *text, uint64_t seed,
                   const struct result *r)
{
    struct failure f = {.o = o, .path = path, .error = r->error, .seed = seed};
    unsigned runs;
    char *small = sim_shrink(text, fails_the_same, &f, &runs);
    if (!small) {
        printf("    this failure cannot be made smaller\n");
        return;
    }
    FILE *out = strcmp(o->shrink, "-") ? fopen(o->shrink, "w") : stdout;
    if (!out || fprintf(out, "# ocala-sim --seed %llu\n%s", (unsigned long long)seed, small) < 0 ||
        (out != stdout && fclose(out)))
        fprintf(stderr, "ocala-sim: %s: %s\n", o->shrink, strerror(errno));
    printf("    made smaller in %u runs: %zu bytes of %zu are left\n", runs, strlen(small),
           strlen(text));
    free(small);
}

static bool check_golden(const char *path, const char *hash, struct result *r)
{
    char wanted[65] = "";
    FILE *f = fopen(path, "r");
    bool read = f && fscanf(f, "%64s", wanted) == 1;
    if (f)
        fclose(f);
    if (read && !strcmp(wanted, hash))
        return true;
    snprintf(r->error, sizeof r->error,
             "the trace is not the one that %s stands for.\n"
             "    If the protocol was changed on purpose: echo %s > %s",
             path, hash, path);
    return r->ok = false;
}

static double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One scenario with one seed. */
static bool run(const struct options *o, const char *path, uint64_t seed)
{
    struct result r, again;
    size_t size;
    char *text = read_file(path, &size), simulated[SIM_TIME_TEXT];
    FILE *trace = NULL;
    if (!text)
        return false;
    if (o->trace)
        trace = strcmp(o->trace, "-") ? fopen(o->trace, "w") : stdout;
    if (o->trace && !trace)
        fprintf(stderr, "ocala-sim: %s: %s\n", o->trace, strerror(errno));
    double began = clock_seconds();
    run_once(o, path, text, size, seed, trace, &r);
    if (trace && trace != stdout)
        fclose(trace);
    if (r.ok && o->twice) {
        struct options quiet = {0};
        run_once(&quiet, path, text, size, seed, NULL, &again);
        r.ok = !strcmp(r.hash, again.hash);
        if (!r.ok)
            snprintf(r.error, sizeof r.error, "two runs with the same seed differ: %.16s, %.16s",
                     r.hash, again.hash);
    }
    if (r.ok && o->golden)
        check_golden(o->golden, r.hash, &r);
    if (!r.ok && o->shrink)
        shrink(o, path, text, seed, &r);
    free(text);
    if (o->hash_only) {
        printf("%s\n", r.hash);
        return r.ok;
    }
    printf("%-5s %-40s %6llu %10s %9llu %5u %7.2f s  %.16s\n", r.ok ? "ok" : "FAIL", path,
           (unsigned long long)seed, sim_time_text(r.simulated - SIM_BEGIN, simulated),
           (unsigned long long)r.lines, r.expectations, clock_seconds() - began, r.hash);
    if (!r.ok)
        printf("    %s\n", r.error);
    if (r.summary)
        printf("%s", r.summary);
    free(r.summary);
    fflush(stdout);
    return r.ok;
}

static bool parse_seeds(const char *text, struct options *o, bool range)
{
    char *end;
    errno = 0;
    o->first = o->last = strtoull(text, &end, 10);
    if (range && *end == '-')
        o->last = strtoull(end + 1, &end, 10);
    return !errno && end != text && !*end && o->first <= o->last;
}

static bool parse_options(int argc, char **argv, struct options *o, int *ret_exit)
{
    enum {
        SEED = 1,
        SEEDS,
        TRACE,
        SUMMARY,
        MEASURES,
        SHRINK,
        TWICE,
        GOLDEN,
        HASH,
        VERBOSE,
        VERBS,
        HELP
    };
    static const struct option longs[] = {{"seed", required_argument, NULL, SEED},
                                          {"seeds", required_argument, NULL, SEEDS},
                                          {"trace", required_argument, NULL, TRACE},
                                          {"twice", no_argument, NULL, TWICE},
                                          {"summary", no_argument, NULL, SUMMARY},
                                          {"measures", required_argument, NULL, MEASURES},
                                          {"shrink", required_argument, NULL, SHRINK},
                                          {"golden", required_argument, NULL, GOLDEN},
                                          {"hash", no_argument, NULL, HASH},
                                          {"verbose", no_argument, NULL, VERBOSE},
                                          {"verbs", no_argument, NULL, VERBS},
                                          {"help", no_argument, NULL, HELP},
                                          {NULL, 0, NULL, 0}};
    bool good = true;
    int c;
    while (good && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == SEED || c == SEEDS)
            good = parse_seeds(optarg, o, c == SEEDS);
        else if (c == TRACE)
            o->trace = optarg;
        else if (c == MEASURES)
            o->measures = optarg;
        else if (c == SUMMARY)
            o->summary = true;
        else if (c == SHRINK)
            o->shrink = optarg;
        else if (c == GOLDEN)
            o->golden = optarg;
        else if (c == TWICE)
            o->twice = true;
        else if (c == HASH)
            o->hash_only = true;
        else if (c == VERBOSE)
            o->verbose = true;
        else if (c == VERBS || c == HELP) {
            c == VERBS ? list_verbs() : usage(stdout);
            *ret_exit = 0;
            return false;
        } else {
            good = false;
        }
    }
    if (good && optind < argc)
        return true;
    usage(stderr);
    *ret_exit = 2;
    return false;
}

int main(int argc, char **argv)
{
    struct options o = {.first = 1, .last = 1};
    int status;
    unsigned runs = 0, failures = 0;
    if (!parse_options(argc, argv, &o, &status))
        return status;
    if (!o.hash_only)
        printf("%-5s %-40s %6s %10s %9s %5s %9s  %s\n", "", "scenario", "seed", "simulated",
               "trace", "holds", "took", "hash");
    for (int i = optind; i < argc; i++)
        for (uint64_t seed = o.first; seed <= o.last; seed++) {
            runs++;
            failures += !run(&o, argv[i], seed);
            if (failures && o.shrink)
                return 1;
        }
    if (!o.hash_only)
        printf("%u runs, %u failed\n", runs, failures);
    return failures ? 1 : 0;
}
