/* The DNS client of simulated programs: one question, one answer, written by hand so that nothing
 * is shared with the engine under test. */
#ifndef OCALA_SIM_DNS_H
#define OCALA_SIM_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/name.h"

#define SIM_DNS_MAX 1232

enum sim_dns_type { SIM_DNS_A = 1, SIM_DNS_PTR = 12, SIM_DNS_AAAA = 28 };

struct sim_answer {
    bool none;            /* no answer at all came in time     */
    uint8_t rcode;        /* 0 ok, 2 SERVFAIL, 3 NXDOMAIN      */
    struct ip_address ip; /* A, AAAA; family 0: none    */
    char name[NAME_TEXT]; /* PTR; "": none              */
    char text[256];       /* of an Extended DNS Error   */
};

/* A question with EDNS; returns its size, 0 when `name` is no name. */
size_t sim_dns_write(uint16_t id, const char *name, enum sim_dns_type type, uint8_t *out,
                     size_t room);
/* The name under which an address is looked up in reverse; `out` holds NAME_TEXT bytes. */
const char *sim_dns_reverse(const struct ip_address *ip, char *out);
/* False when it is not the answer to `id`, or is malformed. */
bool sim_dns_read(uint16_t id, const uint8_t *bytes, size_t size, struct sim_answer *ret);

#endif
