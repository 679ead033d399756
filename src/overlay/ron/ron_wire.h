/* What members of a RON say to each other, and the header of what goes through a hop.
 *
 * Sealed, as LINK_MESSAGE (first byte = enum ron_type; numbers are big-endian):
 *
 *   PROBE    11 | hop 32 | number 64                          "are you there?", by the route that `hop` names
 *   REPLY    12 | hop 32 | number of the probe 64 | number 64
 *   ACK      13 | hop 32 | number of the reply 64             so that the other end has a round trip too
 *   ROW      14 | sequence 32 | count 16 | count * (id 32 | rtt 24 in us | flags and loss 8)
 *   MEMBERS  15 | count 8 | count * (flags 8 | age 16 in s | size 8 | name | family's address | port 16)
 *   ASK      16 | id 32                                        "who is that?"; 0: "who is there?"
 *   LEAVE    17                                                "I am about to end"
 *   DEAD     18 | hop 32                                       "nothing comes through to you by that way: I left it"
 *   QUIET    19                                                "data that I sent you had no answer: ask your way to me"
 *
 * `hop` is 0 for the direct way.  An rtt of all ones means that there is no way.  Row flags: 80, the sender forwards there
 * for the one it says this to; the lower seven bits are the loss in percent.  Member flags: 1 left, 2 has an IPv4 address,
 * 4 has an IPv6 address.
 *
 * In front of each datagram that goes through a hop (RON_HEADER bytes, the same for all of a route but for `hops`):
 *
 *   CF | hops 8 | 0 16 | hop 32 | to 32 | from 32
 */
#ifndef OCALA_OVERLAY_RON_WIRE_H
#define OCALA_OVERLAY_RON_WIRE_H

#include "base/address.h"
#include "base/cursor.h"
#include "base/name.h"

#define RON_FIRST   0xCF
#define RON_HEADER  16
#define RON_HOPS    2 /* as sent; a hop takes one off, and none passes on what has one left */
#define RON_RTT_MAX 0xFFFFFE /* us */
#define RON_MESSAGE 1200     /* longest that we make: with everything around it fits any underlay */

enum ron_type {
    RON_PROBE = 0x11,
    RON_REPLY,
    RON_ACK,
    RON_ROW,
    RON_MEMBERS,
    RON_ASK,
    RON_LEAVE,
    RON_DEAD,
    RON_QUIET,
};

struct ron_header {
    uint8_t hops;
    uint32_t hop, to, from;
};
void ron_header_write(const struct ron_header *h, uint8_t ret[RON_HEADER]);
/* False: too short, or another first byte. */
bool ron_header_read(const uint8_t *bytes, size_t size, struct ron_header *ret);

/* PROBE, REPLY (number: of the probe, own: of the reply), ACK (number: of the reply). */
struct ron_probe {
    uint8_t type;
    uint32_t hop;
    uint64_t number, own;
};
size_t ron_probe_write(const struct ron_probe *p, uint8_t *bytes, size_t size);
bool ron_probe_read(const uint8_t *bytes, size_t size, struct ron_probe *ret);

struct ron_entry {
    uint32_t id;
    uint32_t rtt; /* us; RON_NO_WAY: none */
    uint8_t loss; /* percent */
    bool forwards;
};
#define RON_NO_WAY  0xFFFFFF
#define RON_ROW_MAX 1024 /* entries */
/* Entries are written one by one behind the head; ron_row_finish() says how many there were. */
void ron_row_begin(struct writer *w, uint32_t sequence);
void ron_row_add(struct writer *w, const struct ron_entry *e);
void ron_row_finish(struct writer *w, unsigned count);
/* The entries, sorted by id without doubles, as a new array (free() it), or NULL when the message is not whole. */
struct ron_entry *ron_row_read(const uint8_t *bytes, size_t size, uint32_t *ret_sequence,
                               unsigned *ret_count);

struct ron_news {
    char host[NAME_TEXT];
    uint16_t age; /* seconds since it was heard, or since it left */
    bool left;
    struct endpoint at; /* family 0: not said */
};
void ron_news_write(struct writer *w, const struct ron_news *n);
/* One of MEMBERS; names are checked and in lower case.  False: not whole. */
bool ron_news_read(struct reader *r, struct ron_news *ret);

/* The number that stands for a name. */
uint32_t ron_id(const char *host);
/* A number that both of a pair get alike, evenly spread. */
uint32_t ron_pair(uint32_t a, uint32_t b);

#endif
