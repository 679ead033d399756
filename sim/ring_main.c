/* ocala-sim-ring: a ring of i3 servers under churn.  One JSON object on standard output; with --check the exit status says
 * whether it is as good as it must be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ring.h"

static const char usage[] =
    "Usage: ocala-sim-ring [OPTION...]\n"
    "\n"
    "  --servers N    how many (100)\n"
    "  --churn N      percent of them that are replaced while it is watched (10)\n"
    "  --seconds N    how long it is watched (60)\n"
    "  --triggers N   that clients keep (1000)\n"
    "  --lookups N    a second (50)\n"
    "  --seed N       (1)\n"
    "  --secret       the ring has a secret: triggers are copied to successors\n"
    "  --stretch N    pairs of clients whose packets are timed, by i3 and straight; machines then\n"
    "                 have places on a plane, and are as far from each other as these (0)\n"
    "  --samples N    servers whose distance a client measures for that, at most 32 (8)\n"
    "  --check        fail unless 99 % of lookups succeed at once and 99.9 % within three tries,\n"
    "                 hops are what Chord promises, all deaths are repaired, after 3 s in the "
    "mean,\n"
    "                 5 % of the triggers are lost at a time (with a secret 1 %) and none in the\n"
    "                 end, and caching shortens the median way, sampling as well once more, by a\n"
    "                 tenth each\n"
    "  --twice        run it twice; both must be the same datagram by datagram\n";

static bool read_number(const char *text, unsigned *ret)
{
    char *end;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || !*text || *end || value > 10000000)
        return false;
    *ret = (unsigned)value;
    return true;
}

/* Half the binary logarithm: what a lookup takes on a ring with all fingers.  By squaring, bit by bit: no libm here. */
static double half_log2(unsigned n)
{
    double log = 0, rest = n;
    for (; rest >= 2; rest /= 2)
        log += 0.5;
    for (double bit = 0.25; bit > 0.001; bit /= 2) {
        rest *= rest;
        if (rest >= 2) {
            rest /= 2;
            log += bit;
        }
    }
    return log;
}

static double share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 1;
}

/* By more than chance would make of it. */
static bool is_shorter(const struct ring_stretch *a, const struct ring_stretch *b)
{
    return (uint64_t)a->median * 10 < (uint64_t)b->median * 9;
}

static bool is_stretch_good(const struct ring_plan *plan, const struct ring_stretch *s)
{
    for (unsigned way = 0; way < RING_WAYS; way++)
        if (s[way].packets != 2 * plan->pairs)
            return false;
    return is_shorter(&s[RING_CACHING | RING_SAMPLING], &s[RING_CACHING]) &&
           is_shorter(&s[RING_CACHING], &s[0]);
}

static bool is_good(const struct ring_plan *plan, const struct ring_report *r)
{
    double hops = share(r->hops, r->at_once);
    double lost = share(r->lost_steps, r->trigger_steps);
    return r->formed && share(r->at_once, r->lookups) >= 0.99 &&
           share(r->with_retries, r->lookups) >= 0.999 && hops <= half_log2(plan->servers) + 2 &&
           r->repaired == r->deaths && r->repair_mean_s <= 3 &&
           (!plan->triggers || lost <= (plan->secret ? 0.01 : 0.05)) && !r->lost_at_end &&
           (!plan->pairs || is_stretch_good(plan, r->stretch));
}

static void print_stretch(const struct ring_plan *plan, const struct ring_stretch *s)
{
    static const char *const name[RING_WAYS] = {"neither", "caching", "sampling", "both"};
    printf("\"stretch\": {\"pairs\": %u, \"samples\": %u", plan->pairs, plan->samples);
    for (unsigned way = 0; way < RING_WAYS; way++)
        printf(", \"%s\": {\"packets\": %u, \"median\": %.2f, \"ninetieth\": %.2f}", name[way],
               s[way].packets, s[way].median / 1000.0, s[way].ninetieth / 1000.0);
    printf("}, ");
}

static void print(const struct ring_plan *plan, const struct ring_report *r)
{
    printf("{\"servers\": %u, \"churn_percent\": %u, \"seconds\": %u, \"secret\": %s, ",
           plan->servers, plan->churn, plan->seconds, plan->secret ? "true" : "false");
    printf("\"formed\": %s, \"lookups\": %u, \"share_at_once\": %.4f, \"share_in_three\": %.4f, ",
           r->formed ? "true" : "false", r->lookups, share(r->at_once, r->lookups),
           share(r->with_retries, r->lookups));
    printf(
        "\"failed_at_once\": {\"dead\": %u, \"coming\": %u, \"elsewhere\": %u, \"silent\": %u}, ",
        r->failed[RING_DEAD], r->failed[RING_COMING], r->failed[RING_ELSEWHERE],
        r->failed[RING_SILENT]);
    printf("\"hops\": %.2f, \"half_log2\": %.1f, \"deaths\": %u, \"repaired\": %u, ",
           share(r->hops, r->at_once), half_log2(plan->servers), r->deaths, r->repaired);
    printf("\"repair_mean_s\": %.2f, \"repair_most_s\": %.2f, \"triggers\": %u, ", r->repair_mean_s,
           r->repair_most_s, plan->triggers);
    printf("\"share_lost\": %.5f, \"losses\": %u, \"loss_mean_s\": %.2f, \"loss_most_s\": %.2f, ",
           share(r->lost_steps, r->trigger_steps), r->losses, r->loss_mean_s, r->loss_most_s);
    printf("\"lost_at_end\": %u, ", r->lost_at_end);
    if (plan->pairs)
        print_stretch(plan, r->stretch);
    printf("\"datagrams\": %llu, \"datagrams_a_server_second\": %.1f, \"print\": \"%016llx\"}\n",
           (unsigned long long)r->datagrams, r->datagrams_a_server_second,
           (unsigned long long)r->print);
}

static unsigned *number_option(struct ring_plan *plan, const char *word, unsigned *seed)
{
    return !strcmp(word, "--servers")    ? &plan->servers
           : !strcmp(word, "--churn")    ? &plan->churn
           : !strcmp(word, "--seconds")  ? &plan->seconds
           : !strcmp(word, "--triggers") ? &plan->triggers
           : !strcmp(word, "--lookups")  ? &plan->lookups
           : !strcmp(word, "--stretch")  ? &plan->pairs
           : !strcmp(word, "--samples")  ? &plan->samples
           : !strcmp(word, "--seed")     ? seed
                                         : NULL;
}

int main(int argc, char **argv)
{
    struct ring_plan plan = {
        .servers = 100, .churn = 10, .seconds = 60, .triggers = 1000, .lookups = 50, .samples = 8};
    struct ring_report report, again;
    unsigned seed = 1;
    bool check = false, twice = false;
    for (int i = 1; i < argc; i++) {
        unsigned *number = number_option(&plan, argv[i], &seed);
        if (number ? !read_number(argv[++i], number)
                   : strcmp(argv[i], "--secret") && strcmp(argv[i], "--check") &&
                         strcmp(argv[i], "--twice")) {
            fputs(usage, stderr);
            return 2;
        }
        plan.secret |= !strcmp(argv[i], "--secret");
        check |= !strcmp(argv[i], "--check");
        twice |= !strcmp(argv[i], "--twice");
    }
    if (plan.servers < 4 || plan.servers > 1000000 || plan.churn > 90 || !plan.seconds) {
        fputs("ocala-sim-ring: 4 to 1000000 servers, at most 90 percent, at least one second\n",
              stderr);
        return 2;
    }
    if (plan.pairs > 10000 || !plan.samples || plan.samples > 32) {
        fputs("ocala-sim-ring: at most 10000 pairs, 1 to 32 samples\n", stderr);
        return 2;
    }
    plan.seed = seed;
    ring_run(&plan, &report);
    print(&plan, &report);
    if (twice) {
        ring_run(&plan, &again);
        if (again.print != report.print) {
            fputs("ocala-sim-ring: the second run was another one\n", stderr);
            return 1;
        }
    }
    return check && !is_good(&plan, &report);
}
