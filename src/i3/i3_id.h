/* Identifiers of i3: 32 bytes, prefix 8 | key 16 | suffix 8, and the constraints that tie a
 * trigger's two ends together.
 *
 * Bit 0 of byte 7 says whether an identifier is public (1) or private (0).  A trigger (x -> y) is
 * accepted when left:   x.key = h_l(trigger key) for an address, x.key = H_l(y) for an identifier y
 * (any x); or right:  trigger key = H_r(x) for an address, y.key = H_r(x) for an identifier y
 * (private x only). Who knows a private x can therefore compute what it takes to bind it to an
 * address of his own; for a public x he would need a preimage of h_l.  That is why tunnels use
 * identifiers of the public class with a key from real randomness (i3_id_draw()): "public" says
 * which constraints hold, not who knows the identifier.
 *
 * h and H are built from AES-128 with two fixed keys, bit for bit as the original of 2005 does.
 * Engine code: pure. */
#ifndef OCALA_I3_ID_H
#define OCALA_I3_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"

#define I3_ID     32
#define I3_KEY    16
#define I3_NONCE  16
#define I3_PREFIX 8  /* bytes of an identifier before its key                     */
#define I3_RING   20 /* bytes of an identifier that say which server is responsible */
#define I3_BITS   256
#define I3_MATCH  128 /* bits that must match at least */

struct i3_id {
    uint8_t bytes[I3_ID];
};

bool i3_id_equal(const struct i3_id *a, const struct i3_id *b);
bool i3_id_is_public(const struct i3_id *id);
void i3_id_set_public(struct i3_id *id, bool is_public);
/* The identifier's key field, 16 bytes inside it. */
uint8_t *i3_id_key(struct i3_id *id);
/* Leading bits that two identifiers have in common, 0 to 256. */
unsigned i3_id_common(const struct i3_id *a, const struct i3_id *b);

/* The two keyed functions: a context for one thread at a time. */
struct i3_hash;
struct i3_hash *i3_hash_new(void);
void i3_hash_free(struct i3_hash *h); /* accepts NULL */
enum i3_side { I3_LEFT, I3_RIGHT };
void i3_hash_key(struct i3_hash *h, enum i3_side side, const uint8_t in[I3_KEY],
                 uint8_t out[I3_KEY]);
void i3_hash_id(struct i3_hash *h, enum i3_side side, const struct i3_id *id, uint8_t out[I3_KEY]);

/* Whether a trigger for `id` may have this target: an address (`first` NULL, `key` the trigger's
 * key), or a stack whose first identifier is `first` (`key` is not looked at). */
bool i3_constraint_holds(struct i3_hash *h, const struct i3_id *id, const struct i3_id *first,
                         const uint8_t key[I3_KEY]);

/* The public identifier of a name, and the key with which a trigger from it to an address holds.
 * With a secret of 32 bytes only who knows it can compute either; without one (NULL) everybody can
 * who knows the name. */
void i3_id_of_name(struct i3_hash *h, const uint8_t *secret, const char *name, struct i3_id *ret,
                   uint8_t ret_key[I3_KEY]);

/* A fresh identifier that nobody can guess and that only the holder of `ret_key` can bind to an
 * address.  `near`: 8 bytes with which it begins (those of a server of the ring that is to be
 * responsible), or NULL for random ones. */
void i3_id_draw(struct i3_hash *h, struct entropy *e, const uint8_t *near, struct i3_id *ret,
                uint8_t ret_key[I3_KEY]);

#endif
