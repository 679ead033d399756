/* What a datagram suffers on the way, as text: keys, values, their limits. */
#include <stdlib.h>
#include <string.h>

#include "sim/sim_net.h"
#include "sim/sim_value.h"

void sim_way_init(struct sim_way *way)
{
    *way = (struct sim_way){.burst_end = 200000,
                            .burst_loss = 1000000,
                            .reorder_by = 10 * MILLISECOND,
                            .queue = SIM_QUEUE_BYTES,
                            .mtu = SIM_MTU};
}

static const char *set_yes(bool *field, const char *value)
{
    if (strcmp(value, "yes") && strcmp(value, "no"))
        return "must be yes or no";
    *field = !strcmp(value, "yes");
    return NULL;
}

static const char *set_share(uint32_t *field, const char *value)
{
    return sim_value_share(value, field) ? NULL : "must be a share, as 5% or 0.01%";
}

static const char *set_time(instant *field, const char *value)
{
    return sim_value_time(value, field) ? NULL : "must be a time, as 20ms or 1.5s";
}

static const char *set_count(uint64_t least, uint64_t most, const char *value, uint64_t *ret)
{
    uint64_t number;
    if (!sim_value_count(value, &number) || number < least || number > most)
        return "must be a number in its range, as 1500 or 10M";
    *ret = number;
    return NULL;
}

const char *sim_way_keys(void)
{
    return "delay, jitter, loss, burst, burst-end, burst-loss, duplicate, reorder, reorder-by, "
           "rate, queue, mark, mtu, silent";
}

const char *sim_way_set(struct sim_way *way, const char *key, const char *value)
{
    struct {
        const char *key;
        instant *time;
        uint32_t *share;
        bool *yes;
    } fields[] = {
        {"delay", &way->delay, NULL, NULL},           {"jitter", &way->jitter, NULL, NULL},
        {"reorder-by", &way->reorder_by, NULL, NULL}, {"loss", NULL, &way->loss, NULL},
        {"burst", NULL, &way->burst, NULL},           {"burst-end", NULL, &way->burst_end, NULL},
        {"burst-loss", NULL, &way->burst_loss, NULL}, {"duplicate", NULL, &way->duplicate, NULL},
        {"reorder", NULL, &way->reorder, NULL},       {"mark", NULL, NULL, &way->mark},
        {"silent", NULL, NULL, &way->silent},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].key, key))
            continue;
        return fields[i].time    ? set_time(fields[i].time, value)
               : fields[i].share ? set_share(fields[i].share, value)
                                 : set_yes(fields[i].yes, value);
    }
    uint64_t number;
    const char *fault = "is no property of a network";
    if (!strcmp(key, "rate") && !(fault = set_count(0, UINT64_C(1) << 40, value, &number)))
        way->rate = number;
    else if (!strcmp(key, "queue") && !(fault = set_count(1500, 1 << 30, value, &number)))
        way->queue = (uint32_t)number;
    else if (!strcmp(key, "mtu") && !(fault = set_count(68, 65535, value, &number)))
        way->mtu = (uint16_t)number;
    return fault;
}
