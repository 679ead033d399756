/* What the files of this module share: an instance and its tunnels. */
#ifndef OCALA_OVERLAY_IP_IP_MODULE_H
#define OCALA_OVERLAY_IP_IP_MODULE_H

#include <stdlib.h>

#define uthash_fatal(message) abort()
#include <uthash.h>
#include <utlist.h>

#include "overlay/ip/ip_members.h"
#include "overlay/overlay.h"

#define IP_ADDRESSES_MAX 8 /* kept of one DNS answer                              */

enum ip_state { IP_STATE_LOOKING, IP_STATE_UP, IP_STATE_ENDED };

/* What a tunnel has to say: bits. */
#define IP_SAY_LOOKUP 0x01
#define IP_SAY_UP     0x02
#define IP_SAY_RECIPE 0x04
#define IP_SAY_FAILED 0x08

struct ip_tunnel {
    uint32_t id;
    enum ip_state state;
    unsigned says;
    char host[NAME_TEXT];
    struct endpoint local;  /* source to answer from; family 0: the kernel chooses             */
    struct endpoint remote; /* set while UP                                                    */
    unsigned place;         /* index of the member's place that is being used                  */
    struct ip_address address[IP_ADDRESSES_MAX]; /* answer for that place, if it is a name    */
    unsigned address_count, address_used;
    uint32_t lookup; /* number of the question under way, 0: none                              */
    unsigned round;  /* LOOKING: times through all places                                      */
    bool maybe;      /* LOOKING: in this round some place may exist (not all names are unknown) */
    instant due;     /* LOOKING: next round                                                    */
    char reason[320];
    bool unknown_host;
    UT_hash_handle hh;
    struct ip_tunnel *prev, *next; /* in the queue while says != 0 */
};

struct ip {
    struct overlay overlay; /* first */
    struct ip_members members;
    uint16_t mtu;
    struct ip_tunnel *tunnels; /* hash by id                                      */
    struct ip_tunnel *queue;   /* those with something to say, oldest first       */
    uint32_t last_lookup;
    instant due; /* no tunnel is due before                                       */
    bool peel_said;
    /* What the last output points to. */
    struct recipe recipe;
    struct peel_table peel;
};

struct ip_tunnel *ip_tunnel_find(const struct ip *ip, uint32_t id); /* or NULL */

/* ip_describe.c */
bool ip_knows(const struct overlay *o, const char *host);
void ip_describe(const struct overlay *o, struct text *t);
void ip_describe_tunnel(const struct overlay *o, uint32_t tunnel, struct text *t);

#endif
