#include "packet/packet.h"

#include <string.h>

#include "base/check.h"

struct packet_pool {
    struct packet *free;
    unsigned limit, made, out;
};

struct packet_pool *packet_pool_new(unsigned count)
{
    struct packet_pool *pool = base_calloc(1, sizeof *pool);
    pool->limit = count;
    return pool;
}

void packet_pool_free(struct packet_pool *pool)
{
    if (!pool)
        return;
    require(pool->out == 0);
    while (pool->free) {
        struct packet *p = pool->free;
        pool->free = p->next;
        free(p);
    }
    free(pool);
}

struct packet *packet_take(struct packet_pool *pool)
{
    struct packet *p = pool->free;
    if (p) {
        pool->free = p->next;
    } else {
        if (pool->made == pool->limit)
            return NULL;
        /* malloc, not calloc: the payload area stays untouched until a packet of that size comes. */
        p = malloc(sizeof *p + PACKET_HEADROOM + PACKET_SIZE + PACKET_TAILROOM);
        if (!p)
            return NULL;
        pool->made++;
    }
    pool->out++;
    memset(p, 0, sizeof *p);
    p->pool = pool;
    packet_reset(p, PACKET_HEADROOM);
    return p;
}

void packet_give_back(struct packet *p)
{
    if (!p)
        return;
    struct packet_pool *pool = p->pool;
    require(pool->out > 0);
    pool->out--;
    p->next = pool->free;
    pool->free = p;
}

unsigned packet_pool_out(const struct packet_pool *pool)
{
    return pool->out;
}

void packet_reset(struct packet *p, size_t headroom)
{
    require(headroom <= PACKET_HEADROOM);
    p->data = p->room + headroom;
    p->size = 0;
}

bool packet_fill(struct packet *p, const void *bytes, size_t size)
{
    if (size > PACKET_SIZE)
        return false;
    packet_reset(p, PACKET_HEADROOM);
    if (size)
        memcpy(p->data, bytes, size);
    p->size = size;
    return true;
}
