#include "packet/recipe_fixture.h"

static struct packet_pool *pool;
struct packet *packet;
struct endpoint remote;

int recipe_set_up(void **state)
{
    pool = packet_pool_new(1);
    packet = packet_take(pool);
    return !packet || !endpoint_parse("192.0.2.1:4000", 0, &remote);
}

int recipe_tear_down(void **state)
{
    packet_give_back(packet);
    packet_pool_free(pool);
    return 0;
}
