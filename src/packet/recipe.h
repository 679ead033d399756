/* Recipes and peels: what the data path does for an overlay, as data instead of calls.
 *
 * A recipe is the immutable list of steps that sends one record over a tunnel; an overlay module makes it, the control
 * thread publishes it, workers follow it (packet/recipe.c, the only interpreter).  A peel is its mirror on receive.
 * The record's own seal is not a step: the lane seals before the recipe starts, and gateways follow the recipe of the
 * next tunnel with the record as it is.  Steps named `seal` and `open` are those of the module (DTLS, ESP).
 *
 * Mutable state (sequence numbers, seals) is pointed at, belongs to one worker, and is never copied. */
#ifndef OCALA_PACKET_RECIPE_H
#define OCALA_PACKET_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/instant.h"
#include "packet/drop.h"
#include "packet/packet.h"

#define RECIPE_STEPS 6
#define RECIPE_BYTES 512 /* of all prepends together */

/* A change that a prepend makes to its own bytes for each packet. */
enum recipe_patch_kind {
    PATCH_NONE,
    PATCH_LENGTH16,   /* bytes from `from` of this prepend to the end of the packet, + add */
    PATCH_SEQUENCE16, /* *sequence, then one more                                           */
    PATCH_SEQUENCE32,
    /* Transit: a hop count, less one; at 1 or 0 the packet is dropped as HOP_LIMIT.  In a prepend with bytes it is taken
     * from arrival.via[from], where peeling kept the old header; in an empty prepend the byte at `at` of the packet is
     * changed in place (a header that stays on), in a run that of each datagram. */
    PATCH_TTL,
};

struct recipe_patch {
    uint64_t *sequence; /* SEQUENCE*: owned by the sending worker */
    uint16_t at;        /* offset in this prepend                */
    uint16_t from;      /* LENGTH16: count from this offset; TTL: offset in arrival.via */
    int16_t add;        /* LENGTH16: added to the count          */
    uint8_t kind;       /* enum recipe_patch_kind                */
};

/* Seal and open of a tunnel that has its own encryption.  Called by the worker that owns the tunnel.  They may use the
 * packet's headroom and tailroom as the class declared.  False: the packet is dropped as *ret_reason. */
struct recipe_seal {
    bool (*seal)(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason);
    bool (*open)(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason);
};

enum recipe_verb { RECIPE_PREPEND, RECIPE_SEAL, RECIPE_SEND };

struct recipe_step {
    uint8_t verb; /* enum recipe_verb */
    union {
        struct {
            uint16_t offset, size; /* in the recipe's bytes */
            struct recipe_patch patch[2];
        } prepend;
        struct {
            struct recipe_seal *state;
        } seal;
        struct {
            uint16_t socket;       /* index in the host's socket table                            */
            struct endpoint local; /* source address wanted; family 0: the kernel chooses         */
            struct endpoint remote;
            uint8_t tos; /* DSCP; the ECN bits are filled per packet                    */
        } send;
    };
};

struct transform;

/* As it is built.  What is published is packed: steps and bytes that are not used are left out, and the bytes stand
 * behind the last step.  A packed one is never copied by value (recipe_unpack() does it). */
struct recipe {
    uint8_t count;      /* 1 to RECIPE_STEPS; the last step is a send, and no other is */
    bool ports_free;    /* data lanes but the first may use their own UDP source port             */
    bool from_any_port; /* the neighbour's data lanes but the first may come from other ports     */
    struct endpoint
        from; /* where the neighbour's records come from; family 0: anywhere (transit checks it) */
    uint16_t overhead; /* bytes that all steps together add in front of and behind a record     */
    uint16_t mtu;      /* largest record that fits, 0 when unknown (then 1280 less the overhead) */
    uint16_t bytes_used;
    uint16_t bytes_at; /* offset of the bytes in this object                              */
    instant keepalive; /* longest silence the way survives (NAT), INSTANT_NEVER when any  */
    struct transform
        *transform; /* NULL, or the engine that handles each record of this tunnel     */
    struct recipe_step step[RECIPE_STEPS];
    uint8_t bytes[RECIPE_BYTES];
};

/* Builders used by modules; false when a limit above would be passed. */
void recipe_begin(struct recipe *r);
bool recipe_add_prepend(struct recipe *r, const void *bytes, uint16_t size,
                        const struct recipe_patch *patches, unsigned patch_count);
bool recipe_add_seal(struct recipe *r, struct recipe_seal *state, uint16_t overhead);
bool recipe_add_send(struct recipe *r, uint16_t socket, const struct endpoint *local,
                     const struct endpoint *remote, uint8_t tos);
/* Whole and inside its limits?  Checked once before publication. */
bool recipe_valid(const struct recipe *r);
/* A packed copy; the caller frees it with free(). */
struct recipe *recipe_pack(const struct recipe *r);
/* A copy that can be changed, of a packed recipe or of one that is not. */
void recipe_unpack(struct recipe *ret, const struct recipe *r);
/* Does following it change something, which then belongs to one worker and to the module that made it?  All data goes
 * through the worker of lane 1 then, and the tunnel is closed only when no worker can hold the recipe any more. */
bool recipe_has_state(const struct recipe *r);
/* The send step. */
const struct recipe_step *recipe_target(const struct recipe *r);
/* Runs the steps before the send on a record in place.  False: *ret_reason; the packet stays the caller's. */
bool recipe_run(const struct recipe *r, struct packet *p, enum drop_reason *ret_reason);
/* Does it only put bytes in front that depend on nothing but the record's size?  Then records can be made one behind the
 * other, each behind its front of *ret_size bytes (0: it only sends). */
bool recipe_has_front(const struct recipe *r, size_t *ret_size);
/* Writes the front right before `record`, which has `size` bytes.  Only for a recipe that has one. */
void recipe_write_front(const struct recipe *r, uint8_t *record, size_t size);

/* A transform touches every record of a tunnel (OverQoS: FEC, ARQ).  An engine with the four verbs, owned by the worker
 * that owns the tunnel: `input` takes records in either direction, `output` gives records to send (before the recipe's
 * steps) or to go on with as received. */
enum transform_way { TRANSFORM_SENDING, TRANSFORM_RECEIVING };
struct transform {
    void (*input)(struct transform *self, instant now, enum transform_way way,
                  struct packet *p); /* takes p always */
    void (*advance)(struct transform *self, instant now);
    instant (*deadline)(const struct transform *self);
    struct packet *(*output)(struct transform *self,
                             enum transform_way *ret_way); /* NULL when there is none */
};

/* Receiving: the steps between the socket and the record. */
enum peel_verb {
    PEEL_STRIP, /* take `size` bytes off; they must equal bytes under mask where `compare`; may be kept as arrival.via */
    PEEL_LENGTH16, /* the 16-bit field at `at` of the bytes still there + add must be the size of the packet */
    PEEL_OPEN, /* recipe_seal.open                                                                        */
    PEEL_STEER, /* transit for others: ask `steer`; when it forwards, `size` bytes are taken off as STRIP does.  `at`: it
                 * looks at that many bytes only, so that runs whose datagrams begin alike can stay runs; 0: at all */
    PEEL_RECORD, /* what is left is a record or a handshake: by its type                                    */
    PEEL_PUNT, /* what is left is the module's own protocol                                               */
};

struct steer; /* see below */

struct peel_step {
    uint8_t verb; /* enum peel_verb */
    uint16_t size, at;
    int16_t add;
    bool keep; /* STRIP: append the bytes to arrival.via (as far as there is room) */
    const uint8_t *compare, *mask; /* STRIP: `size` bytes each, or NULL */
    struct recipe_seal *state;
    const struct steer *steer;
};

/* Chosen by the first byte of the datagram; the first that fits and whose compares hold is taken. */
struct peel {
    uint8_t first_low, first_high; /* inclusive */
    uint8_t count;
    struct peel_step step[RECIPE_STEPS];
};

#define PEELS_MAX 8
struct peel_table {
    uint8_t count;
    struct peel peel[PEELS_MAX];
};

/* Transit on a wire that is not ours: a pure function over a table that the module publishes. */
enum steer_verdict { STEER_DELIVER, STEER_FORWARD, STEER_DROP, STEER_PUNT };
struct steer {
    /* Decides for the packet as it stands (outermost header still on); FORWARD sets *ret_recipe, DROP *ret_reason.  What it
     * delivers for a member behind somebody else it may say to be from where that member's own datagrams come
     * (p->arrival.remote): the `from` of that member's recipe.  Nothing else of the packet is changed. */
    enum steer_verdict (*decide)(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason);
};

enum peel_result { PEEL_IS_RECORD, PEEL_IS_MODULES, PEEL_FORWARD, PEEL_DROP };
/* Runs the table on a datagram in place.  FORWARD sets *ret_recipe, DROP *ret_reason; the packet stays the caller's. */
enum peel_result peel_run(const struct peel_table *t, struct packet *p,
                          const struct recipe **ret_recipe, enum drop_reason *ret_reason);

/* Does a record lie in these bytes, behind *ret_front bytes that are only stripped?  Looks and changes nothing; what needs
 * more than looking (opening, steering), or was to be kept for control, is left to peel_run(). */
bool peel_look(const struct peel_table *t, const uint8_t *bytes, size_t size, size_t *ret_front);

/* peel_run() once for a whole run, whose peel begins with a steer and whose datagrams begin with the same bytes.  False: it
 * is not like that, take each by itself.  True: *ret_result; a record lies *ret_front bytes behind the beginning of each
 * datagram (nothing is taken off, the run's arrival is what that of each would be). */
bool peel_steer_run(const struct peel_table *t, struct packet *run, size_t *ret_front,
                    enum peel_result *ret_result, const struct recipe **ret_recipe,
                    enum drop_reason *ret_reason);

/* The table of a wire that carries records with nothing around them. */
void peel_plain(struct peel_table *ret);

#endif
