/* The identity key as PKCS#8 PEM (RFC 8410), the form that `openssl genpkey -algorithm ed25519`
 * writes.
 *
 * Writing: the DER of such a key is sixteen fixed bytes and the seed, 48 bytes, one line of base64.
 * Reading is lenient about what surrounds the key, so libcrypto finds the PEM block and parses the
 * PKCS#8 envelope.  Its decoders for keys are not used: they would parse (and, for RSA, work with)
 * every kind of key only for us to refuse it, and an encrypted key would make them ask for a
 * password.  Here a key is looked at only after its algorithm is known to be Ed25519, and what is
 * encrypted is refused by the name of its block. */
#include "crypto/crypto.h"

#include <assert.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <string.h>

#include "base/check.h"

/* SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING (32) ... */
static const uint8_t der_prefix[16] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
static const char pem_head[] = "-----BEGIN PRIVATE KEY-----\n";
static const char pem_tail[] = "\n-----END PRIVATE KEY-----\n";

#define DER_SIZE    (sizeof der_prefix + 32)
#define BASE64_SIZE (DER_SIZE / 3 * 4)
static_assert(DER_SIZE % 3 == 0 && BASE64_SIZE == 64, "one full line of base64, no padding");

size_t crypto_ed25519_to_pem(const uint8_t seed[32], char *out, size_t size)
{
    size_t total = strlen(pem_head) + BASE64_SIZE + strlen(pem_tail);
    if (size < total)
        return 0;
    uint8_t der[DER_SIZE];
    char text[BASE64_SIZE + 1];
    memcpy(der, der_prefix, sizeof der_prefix);
    memcpy(der + sizeof der_prefix, seed, 32);
    sodium_bin2base64(text, sizeof text, der, sizeof der, sodium_base64_VARIANT_ORIGINAL);
    memcpy(out, pem_head, strlen(pem_head));
    memcpy(out + strlen(pem_head), text, BASE64_SIZE);
    memcpy(out + strlen(pem_head) + BASE64_SIZE, pem_tail, strlen(pem_tail));
    crypto_wipe(der, sizeof der);
    crypto_wipe(text, sizeof text);
    return total;
}

/* The name of the algorithm, for the reason only. */
static const char *reason_for_algorithm(int nid)
{
    switch (nid) {
    case NID_rsaEncryption:
    case NID_rsassaPss:
        return "it is an RSA key; an Ed25519 key is needed";
    case NID_X9_62_id_ecPublicKey:
        return "it is an ECDSA key; an Ed25519 key is needed";
    case NID_X25519:
        return "it is an X25519 key; an Ed25519 key is needed";
    case NID_ED448:
        return "it is an Ed448 key; an Ed25519 key is needed";
    default:
        return "it is not an Ed25519 key";
    }
}

/* The seed in a parsed envelope; NULL when it is not one of Ed25519. */
static const uint8_t *seed_of(const PKCS8_PRIV_KEY_INFO *info, const char **ret_reason)
{
    const ASN1_OBJECT *algorithm = NULL;
    const X509_ALGOR *whole = NULL;
    const uint8_t *inner = NULL;
    int inner_size = 0, parameter_type = 0;
    if (PKCS8_pkey_get0(&algorithm, &inner, &inner_size, &whole, info) != 1) {
        *ret_reason = "the private key is damaged";
        return NULL;
    }
    if (OBJ_obj2nid(algorithm) != NID_ED25519) {
        *ret_reason = reason_for_algorithm(OBJ_obj2nid(algorithm));
        return NULL;
    }
    X509_ALGOR_get0(NULL, &parameter_type, NULL, whole);
    /* RFC 8410: no parameters; the key is an OCTET STRING of 32 bytes in the envelope's OCTET
     * STRING. */
    if (parameter_type != V_ASN1_UNDEF || inner_size != 34 || inner[0] != 0x04 || inner[1] != 32) {
        *ret_reason = "the Ed25519 key is damaged";
        return NULL;
    }
    return inner + 2;
}

static bool read_envelope(const uint8_t *der, long der_size, uint8_t ret_seed[32],
                          const char **ret_reason)
{
    const uint8_t *at = der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, der_size);
    const uint8_t *seed = NULL;
    if (!info || at != der + der_size)
        *ret_reason = "the private key is damaged";
    else
        seed = seed_of(info, ret_reason);
    if (seed)
        memcpy(ret_seed, seed, 32);
    PKCS8_PRIV_KEY_INFO_free(info); /* clears the key */
    return seed;
}

/* What a block that is not a plain PKCS#8 key is; NULL for one that is. */
static const char *reason_for_block(const char *name, const char *header)
{
    if (strstr(name, "ENCRYPTED") || strstr(header, "ENCRYPTED"))
        return "the key is encrypted with a password; store it without one";
    if (strcmp(name, "PRIVATE KEY") == 0)
        return *header ? "the private key is damaged" : NULL;
    if (strstr(name, "OPENSSH"))
        return "it is a key in OpenSSH's own form; an Ed25519 key in PKCS#8 form is needed";
    if (strncmp(name, "EC ", 3) == 0)
        return reason_for_algorithm(NID_X9_62_id_ecPublicKey);
    if (strstr(name, "PRIVATE KEY"))
        return "it is a private key of another kind; an Ed25519 key in PKCS#8 form is needed";
    if (strstr(name, "PUBLIC KEY"))
        return "it is a public key; the private key is needed";
    if (strstr(name, "CERTIFICATE"))
        return "it is a certificate; a private key is needed";
    return "it holds no private key";
}

bool crypto_ed25519_from_pem(const char *pem, size_t size, uint8_t ret_seed[32],
                             const char **ret_reason)
{
    char *name = NULL, *header = NULL;
    uint8_t *der = NULL, seed[32];
    long der_size = 0;
    bool good = false;

    *ret_reason = "it is not a PEM file with a private key";
    if (!size || size > INT_MAX)
        return false;
    ERR_set_mark();
    BIO *bio = BIO_new_mem_buf(pem, (int)size);
    require(bio);
    /* PEM_FLAG_SECURE: libcrypto wipes its buffers. */
    if (PEM_read_bio_ex(bio, &name, &header, &der, &der_size, PEM_FLAG_SECURE) == 1) {
        const char *reason = reason_for_block(name, header);
        if (reason)
            *ret_reason = reason;
        else
            good = read_envelope(der, der_size, seed, ret_reason);
        size_t left = (size_t)BIO_ctrl_pending(bio);
        if (good && left && memmem(pem + size - left, left, "-----BEGIN", 10)) {
            *ret_reason = "it holds more than one key or certificate; exactly one key is needed";
            good = false;
        }
    }
    if (good)
        memcpy(ret_seed, seed, 32);
    crypto_wipe(seed, sizeof seed);
    OPENSSL_secure_free(name);
    OPENSSL_secure_free(header);
    OPENSSL_secure_clear_free(der, (size_t)der_size);
    BIO_free(bio);
    ERR_pop_to_mark();
    return good;
}
