/* How many of everything there are: what leaks shows here. */
#include "host/host_internal.h"

void host_count(const struct host *h, struct host_count *ret)
{
    struct path_count paths;
    path_count(h->path, &paths);
    *ret = (struct host_count){
        .paths = paths.paths,
        .halves = paths.halves,
        .transits = paths.transits,
        .tunnels = paths.tunnels,
        .slots = paths.slots,
        .opens = paths.opens,
        .handles = handle_count(h->handles),
        .wants = HASH_COUNT(h->wants),
        .waiting = h->waiting,
    };
}
