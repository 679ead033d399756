/* IP packets of the simulated programs: ICMP echo and UDP, over IPv4 and IPv6.
 *
 * Every payload starts with SIM_PLAIN, which must never be seen on the underlay, and with who sent
 * it, so that whoever gets it can tell whether its handle stands for the right host. */
#ifndef OCALA_SIM_PACKET_H
#define OCALA_SIM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "packet/packet.h"

#define SIM_PLAIN       "seen-in-the-clear" /* 17 characters */
#define SIM_PLAIN_SIZE  17
#define SIM_PAYLOAD_MIN 32
#define SIM_PACKET_MAX  16384

enum sim_packet_kind {
    SIM_PACKET_ECHO,
    SIM_PACKET_ECHO_REPLY,
    SIM_PACKET_UDP,
    SIM_PACKET_ERROR, /* an ICMP error: nothing but the addresses is filled in */
};

struct sim_packet {
    enum sim_packet_kind kind;
    struct ip_address source, destination;
    uint16_t id, sequence;                  /* echo */
    uint16_t source_port, destination_port; /* UDP  */
    const uint8_t *payload;
    size_t size;
};

/* Writes the packet; `offload` is filled in when the UDP sum shall be left open (NULL: complete).
 * Returns its size, 0 when it does not fit. */
size_t sim_packet_write(const struct sim_packet *p, struct packet_offload *offload, uint8_t *out,
                        size_t room);
/* Reads a packet and checks all its sums; NULL, or what is wrong with it (static). */
const char *sim_packet_read(const uint8_t *bytes, size_t size, const struct packet_offload *offload,
                            struct sim_packet *ret);

#endif
