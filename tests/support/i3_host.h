/* The client engine of i3 as a host has it, without tunnels: one private trigger, and where packets for others go.  Virtual
 * time and datagrams by the caller's hand. */
#ifndef OCALA_TESTS_SUPPORT_I3_HOST_H
#define OCALA_TESTS_SUPPORT_I3_HOST_H

#include "base/address.h"
#include "base/instant.h"
#include "i3/i3_id.h"

#define I3_HOST_SERVERS 4 /* that it is configured with */

struct i3_host_settings {
    struct endpoint at;
    struct endpoint server[I3_HOST_SERVERS];
    unsigned samples; /* 0: it looks for no server near by */
    uint64_t seed;
};

struct i3_host;
struct i3_host *i3_host_new(const struct i3_host_settings *s, instant now);
void i3_host_free(struct i3_host *h); /* accepts NULL */

void i3_host_input(struct i3_host *h, instant now, const struct endpoint *from,
                   const uint8_t *bytes, size_t size);
void i3_host_advance(struct i3_host *h, instant now);
/* The next datagram, *ret_bytes valid until the next call; false: none. */
bool i3_host_output(struct i3_host *h, struct endpoint *ret_to, const uint8_t **ret_bytes,
                    size_t *ret_size);

/* The round of samples is over. */
bool i3_host_has_sampled(const struct i3_host *h);
/* Draws an identifier and keeps a trigger from it to itself; once. */
void i3_host_keep_trigger(struct i3_host *h, instant now);
bool i3_host_is_held(const struct i3_host *h);
const struct i3_id *i3_host_id(const struct i3_host *h);

/* Asks for the server that is responsible for somebody's identifier, and keeps knowing it. */
void i3_host_watch(struct i3_host *h, instant now, const struct i3_id *id);
bool i3_host_knows(const struct i3_host *h, const struct i3_id *id);
/* The server to which packets for an identifier go, as the module has it: who is known to be responsible, else the first hop. */
struct endpoint i3_host_server(struct i3_host *h, instant now, const struct i3_id *id);

#endif
