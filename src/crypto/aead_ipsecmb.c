/* AES-256-GCM and ChaCha20-Poly1305 by Intel's multi-buffer library (IPSec_MB), one call per
 * packet.
 *
 * The library hands out its functions through a manager of some hundred kilobytes, filled for a
 * level of CPU.  The functions used here take nothing from it but the expanded key, so the pointers
 * are copied out and the manager is freed at once: contexts are about a kilobyte each, and no two
 * threads write to a cache line of a shared manager (its error field costs half of a small packet
 * when they do).
 *
 * The CPU is judged here before the library is told what to use: old versions trust CPUID alone,
 * and die in a virtual machine whose XSAVE does not keep the wide registers.  The compiler's
 * __builtin_cpu_supports() looks at both. */
#include <intel-ipsec-mb.h>
#include <string.h>

#include "base/check.h"
#include "crypto/aead_internal.h"

struct aead_ipsecmb {
    aes_gcm_pre_t gcm_pre;
    aes_gcm_enc_dec_t gcm_seal, gcm_open;
    chacha_poly_init_t chacha_start;
    chacha_poly_enc_dec_update_t chacha_seal, chacha_open;
    chacha_poly_finalize_t chacha_finish;
};

struct gcm {
    struct aead aead;
    aes_gcm_enc_dec_t run;                /* of the context's direction */
    _Alignas(64) struct gcm_key_data key; /* its header forgets to say so */
};

struct chacha {
    struct aead aead;
    chacha_poly_init_t start;
    chacha_poly_enc_dec_update_t run;
    chacha_poly_finalize_t finish;
    uint8_t key[CRYPTO_KEY];
};

/* False: this CPU has too little. */
static bool fill(IMB_MGR *m)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") ||
        !__builtin_cpu_supports("sse4.2"))
        return false;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2"))
        init_mb_mgr_avx512(m);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        init_mb_mgr_avx2(m);
    else
        init_mb_mgr_sse(m);
    return imb_get_errno(m) == 0;
}

struct aead_ipsecmb *aead_ipsecmb_load(void)
{
    IMB_MGR *m = alloc_mb_mgr(0);
    if (!m)
        return NULL;
    struct aead_ipsecmb *f = NULL;
    if (fill(m)) {
        f = base_calloc(1, sizeof *f);
        *f = (struct aead_ipsecmb){
            .gcm_pre = m->gcm256_pre,
            .gcm_seal = m->gcm256_enc,
            .gcm_open = m->gcm256_dec,
            .chacha_start = m->chacha20_poly1305_init,
            .chacha_seal = m->chacha20_poly1305_enc_update,
            .chacha_open = m->chacha20_poly1305_dec_update,
            .chacha_finish = m->chacha20_poly1305_finalize,
        };
    }
    free_mb_mgr(m);
    return f;
}

void aead_ipsecmb_unload(struct aead_ipsecmb *m)
{
    free(m);
}

static bool gcm_seal(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                     const uint8_t *in, size_t size, uint8_t *out)
{
    const struct gcm *g = (const struct gcm *)a;
    struct gcm_context_data context;
    g->run(&g->key, &context, out, in, size, nonce, ad, ad_size, out + size, CRYPTO_TAG);
    return true;
}

/* In constant time, and in two words: a call of crypto_equal() costs as much as a quarter of
 * opening a small packet. */
static bool tags_equal(const uint8_t a[CRYPTO_TAG], const uint8_t b[CRYPTO_TAG])
{
    uint64_t x[2], y[2];
    memcpy(x, a, CRYPTO_TAG);
    memcpy(y, b, CRYPTO_TAG);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

static bool gcm_open(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                     const uint8_t *in, size_t size, const uint8_t tag[CRYPTO_TAG], uint8_t *out)
{
    const struct gcm *g = (const struct gcm *)a;
    struct gcm_context_data context;
    uint8_t computed[CRYPTO_TAG];
    g->run(&g->key, &context, out, in, size, nonce, ad, ad_size, computed, CRYPTO_TAG);
    return tags_equal(computed, tag);
}

static void gcm_free(struct aead *a)
{
    crypto_wipe(a, sizeof(struct gcm));
    free(a);
}

static void chacha_run(const struct chacha *c, const uint8_t nonce[12], const void *ad,
                       size_t ad_size, const uint8_t *in, size_t size, uint8_t *out,
                       uint8_t tag[CRYPTO_TAG])
{
    struct chacha20_poly1305_context_data context;
    c->start(c->key, &context, nonce, ad, ad_size);
    c->run(c->key, &context, out, in, size);
    c->finish(&context, tag, CRYPTO_TAG);
    crypto_wipe(&context, sizeof context); /* holds the packet's Poly1305 key */
}

static bool chacha_seal(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                        const uint8_t *in, size_t size, uint8_t *out)
{
    chacha_run((const struct chacha *)a, nonce, ad, ad_size, in, size, out, out + size);
    return true;
}

static bool chacha_open(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                        const uint8_t *in, size_t size, const uint8_t tag[CRYPTO_TAG], uint8_t *out)
{
    uint8_t computed[CRYPTO_TAG];
    chacha_run((const struct chacha *)a, nonce, ad, ad_size, in, size, out, computed);
    return tags_equal(computed, tag);
}

static void chacha_free(struct aead *a)
{
    crypto_wipe(a, sizeof(struct chacha));
    free(a);
}

static const struct aead_class gcm_class = {"ipsec-mb", gcm_seal, gcm_open, gcm_free};
static const struct aead_class chacha_class = {"ipsec-mb", chacha_seal, chacha_open, chacha_free};

static struct aead *gcm_new(const struct aead_ipsecmb *m, const uint8_t key[CRYPTO_KEY],
                            bool sealing)
{
    struct gcm *g = aligned_alloc(_Alignof(struct gcm), sizeof *g);
    require(g);
    memset(g, 0, sizeof *g);
    g->aead.class = &gcm_class;
    g->run = sealing ? m->gcm_seal : m->gcm_open;
    m->gcm_pre(key, &g->key);
    return &g->aead;
}

struct aead *aead_ipsecmb_new(const struct aead_ipsecmb *m, enum crypto_aead kind,
                              const uint8_t key[CRYPTO_KEY], bool sealing)
{
    if (kind == CRYPTO_AES256GCM)
        return gcm_new(m, key, sealing);
    if (kind != CRYPTO_CHACHA20POLY1305)
        return NULL;
    struct chacha *c = base_calloc(1, sizeof *c);
    c->aead.class = &chacha_class;
    c->start = m->chacha_start;
    c->run = sealing ? m->chacha_seal : m->chacha_open;
    c->finish = m->chacha_finish;
    memcpy(c->key, key, CRYPTO_KEY);
    return &c->aead;
}
