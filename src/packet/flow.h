/* The flows that policy has admitted: a bounded table, so that only a flow's first packet is
 * checked against the lines.
 *
 * A flow is what a peer and a program here say to each other over one path: protocol, ports, path.
 * Belongs to one thread; nothing is allocated after creation.  When it is full in some place, the
 * flow that was silent longest there is forgotten: its next packet is checked anew, as a first one.
 */
#ifndef OCALA_PACKET_FLOW_H
#define OCALA_PACKET_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/entropy.h"
#include "base/instant.h"
#include "packet/ip.h"

/* How long a silent flow is remembered: RFC 5382 (TCP), RFC 4787 (UDP; others alike), RFC 5508
 * (ICMP). */
#define FLOW_TIMEOUT_TCP  (2 * HOUR + 4 * MINUTE)
#define FLOW_TIMEOUT_UDP  (5 * MINUTE)
#define FLOW_TIMEOUT_ICMP MINUTE

struct flow_key {
    uint8_t protocol;
    uint16_t local_port, remote_port; /* ICMP echo: the id in both; 0 without ports */
    uint32_t path;
};

struct flow_table;
/* `flows` is rounded up to a power of two.  The seed drawn from `entropy` keeps peers from choosing
 * ports that fall together. */
struct flow_table *flow_table_new(unsigned flows, struct entropy *entropy);
void flow_table_free(struct flow_table *t); /* accepts NULL */

/* The key of a packet on a path: outgoing is from a program here to the peer.  For a quote inside
 * an ICMP error that came in, outgoing is true. */
struct flow_key flow_key_of(const struct ip_view *v, bool outgoing, uint32_t path);

/* Is the flow known, and not silent for too long?  If so it counts as heard now. */
bool flow_seen(struct flow_table *t, const struct flow_key *key, instant now);
/* Remembers the flow from now on. */
void flow_note(struct flow_table *t, const struct flow_key *key, instant now);

/* The path is gone, or its policy changed: its flows are first packets again.  Returns how many
 * were forgotten. */
unsigned flow_forget_path(struct flow_table *t, uint32_t path);
void flow_forget_all(struct flow_table *t);
/* Flows in the table, with those that are only waiting to be overwritten. */
unsigned flow_count(const struct flow_table *t);

#endif
