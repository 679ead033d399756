/* Which implementation of an AEAD a key gets.
 *
 * OpenSSL is always there.  Intel's multi-buffer library is three to four times as fast on small
 * packets, but exists for x86-64 only and needs a CPU with AES instructions.  What it needs to know
 * about the CPU is found out at the first key, not when the program starts: a daemon without paths
 * does not pay for it.  That knowledge lives in `struct aead_library`, which the thread that makes
 * keys owns; a context copies what it needs out of it, so workers never look at it. */
#include "crypto/aead_internal.h"

#include <string.h>

#include "base/check.h"

struct aead_library {
    enum aead_choice choice;
    bool loaded;
#ifdef OCALA_IPSEC_MB
    struct aead_ipsecmb *ipsecmb; /* NULL: not loaded, or not for this CPU */
#endif
};

struct aead_library *aead_library_new(enum aead_choice choice)
{
    struct aead_library *l = base_calloc(1, sizeof *l);
    l->choice = choice;
    return l;
}

void aead_library_free(struct aead_library *l)
{
    if (!l)
        return;
#ifdef OCALA_IPSEC_MB
    aead_ipsecmb_unload(l->ipsecmb);
#endif
    free(l);
}

static struct aead *fast_new(struct aead_library *l, enum crypto_aead kind,
                             const uint8_t key[CRYPTO_KEY], bool sealing)
{
#ifdef OCALA_IPSEC_MB
    if (!l->loaded) {
        l->loaded = true;
        l->ipsecmb = aead_ipsecmb_load();
    }
    if (l->ipsecmb)
        return aead_ipsecmb_new(l->ipsecmb, kind, key, sealing);
#endif
    return NULL;
}

struct aead *aead_new(struct aead_library *l, enum crypto_aead kind, const uint8_t key[CRYPTO_KEY],
                      bool sealing)
{
    struct aead *a = NULL;
    if (l && l->choice == AEAD_FASTEST)
        a = fast_new(l, kind, key, sealing);
    if (!a)
        a = aead_openssl_new(kind, key, sealing);
    if (a)
        a->sealing = sealing;
    return a;
}

void aead_free(struct aead *a)
{
    if (a)
        a->class->free(a);
}

/* The fast implementation's AES key: round keys and powers of the hash key.  Without looking at the
 * context, whose first line may not be there yet. */
#define CONTEXT_MOST 1152
#define LINE         64

void aead_fetch(const struct aead *a)
{
    for (unsigned at = 0; at < CONTEXT_MOST; at += LINE)
        __builtin_prefetch((const uint8_t *)a + at);
}

const char *aead_implementation(const struct aead *a)
{
    return a->class->name;
}

bool aead_seal(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
               const uint8_t *in, size_t size, uint8_t *out)
{
    require(a->sealing);
    return a->class->seal(a, nonce, ad, ad_size, in, size, out);
}

bool aead_open(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
               const uint8_t *in, size_t size, uint8_t *out)
{
    uint8_t tag[CRYPTO_TAG];
    require(!a->sealing);
    if (size < CRYPTO_TAG)
        return false;
    size -= CRYPTO_TAG;
    /* Taken before the text is written, since `out` may be anywhere in `in`'s buffer. */
    memcpy(tag, in + size, CRYPTO_TAG);
    return a->class->open(a, nonce, ad, ad_size, in, size, tag, out);
}
