/* What the implementations of `struct aead` share.  Inside crypto/ only. */
#ifndef OCALA_CRYPTO_AEAD_INTERNAL_H
#define OCALA_CRYPTO_AEAD_INTERNAL_H

#include "crypto/crypto.h"

struct aead_class {
    const char *name;
    bool (*seal)(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                 const uint8_t *in, size_t size, uint8_t *out);
    /* `size` without the tag, which the caller copied to `tag` before anything is written. */
    bool (*open)(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                 const uint8_t *in, size_t size, const uint8_t tag[CRYPTO_TAG], uint8_t *out);
    void (*free)(struct aead *a); /* wipes */
};

/* First member of what an implementation allocates. */
struct aead {
    const struct aead_class *class;
    bool sealing;
};

/* Each returns NULL when it does not know `kind`. */
struct aead *aead_openssl_new(enum crypto_aead kind, const uint8_t key[CRYPTO_KEY], bool sealing);

#ifdef OCALA_IPSEC_MB
/* The functions that suit this CPU; NULL when it lacks what the library needs. */
struct aead_ipsecmb;
struct aead_ipsecmb *aead_ipsecmb_load(void);
void aead_ipsecmb_unload(struct aead_ipsecmb *m);
struct aead *aead_ipsecmb_new(const struct aead_ipsecmb *m, enum crypto_aead kind,
                              const uint8_t key[CRYPTO_KEY], bool sealing);
#endif

#endif
