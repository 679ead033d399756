/* What sealing and opening one packet costs, by implementation, algorithm and size; alone, and as a
 * record with its header, nonce, remembered tag and replay window. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "bench/micro/micro.h"
#include "record/record.h"

#define STEPS 400
#define ROOM  2048

static const uint8_t key[32] = {1, 2, 3};
static const uint16_t sizes[] = {64, 256, 1400};

struct bench {
    struct aead *aead;
    struct record_sealer *sealer;
    struct record_opener *opener;
    size_t size;
    uint64_t counter;
    uint8_t text[ROOM], sealed[ROOM], out[ROOM];
    uint8_t records[STEPS][ROOM]; /* each can be opened once */
};

static void seal_step(void *self, unsigned index)
{
    struct bench *b = self;
    uint8_t nonce[12] = {0};
    uint64_t counter = b->counter++;
    memcpy(nonce + 4, &counter, 8);
    require(aead_seal(b->aead, nonce, b->text, 16, b->text + 16, b->size, b->out));
}

static void open_step(void *self, unsigned index)
{
    static const uint8_t nonce[12];
    struct bench *b = self;
    require(aead_open(b->aead, nonce, b->text, 16, b->sealed, b->size + CRYPTO_TAG, b->out));
}

static void record_seal_step(void *self, unsigned index)
{
    struct bench *b = self;
    require(record_seal_to(b->sealer, b->text, b->size, RECORD_KIND_IPV4, 0x7030, b->out));
}

static void record_open_before(void *self)
{
    struct bench *b = self;
    for (unsigned i = 0; i < STEPS; i++)
        record_seal_to(b->sealer, b->text, b->size, RECORD_KIND_IPV4, 0x7030, b->records[i]);
}

static void record_open_step(void *self, unsigned index)
{
    struct bench *b = self;
    struct record_header h;
    size_t size;
    enum drop_reason reason;
    require(record_read_header(b->records[index], b->size + RECORD_OVERHEAD, &h));
    require(record_open_to(b->opener, b->records[index], b->size + RECORD_OVERHEAD, &h, b->out,
                           &size, &reason));
}

static void one(struct aead_library *library, enum crypto_aead kind, size_t size, bool last)
{
    static struct bench b;
    static const uint8_t nonce[12];
    double ns[4];
    b.size = size;
    b.aead = aead_new(library, kind, key, true);
    const char *implementation = aead_implementation(b.aead);
    require(aead_seal(b.aead, nonce, b.text, 16, b.text + 16, size, b.sealed));
    ns[0] = micro_time(NULL, seal_step, &b, STEPS);
    aead_free(b.aead);
    b.aead = aead_new(library, kind, key, false);
    ns[1] = micro_time(NULL, open_step, &b, STEPS);
    aead_free(b.aead);
    b.sealer = record_sealer_new(library, kind, key, 0, 0);
    b.opener = record_opener_new(library, kind, key, true, 0);
    ns[2] = micro_time(NULL, record_seal_step, &b, STEPS);
    ns[3] = micro_time(record_open_before, record_open_step, &b, STEPS);
    record_sealer_free(b.sealer);
    record_opener_free(b.opener);
    printf("{\"implementation\":\"%s\",\"aead\":\"%s\",\"size\":%zu,\"seal_ns\":%.1f,"
           "\"open_ns\":%.1f,\"record_seal_ns\":%.1f,\"record_open_ns\":%.1f}%s",
           implementation, kind == CRYPTO_AES256GCM ? "aes-256-gcm" : "chacha20-poly1305", size,
           ns[0], ns[1], ns[2], ns[3], last ? "" : ",");
}

void micro_seal(void)
{
    printf("{\"seal\":[");
    for (int choice = AEAD_GENERIC; choice >= AEAD_FASTEST; choice--) {
        struct aead_library *library = aead_library_new((enum aead_choice)choice);
        for (int kind = CRYPTO_AES256GCM; kind <= CRYPTO_CHACHA20POLY1305; kind++)
            for (unsigned i = 0; i < 3; i++)
                one(library, (enum crypto_aead)kind, sizes[i],
                    choice == AEAD_FASTEST && kind == CRYPTO_CHACHA20POLY1305 && i == 2);
        aead_library_free(library);
    }
    puts("]}");
}
