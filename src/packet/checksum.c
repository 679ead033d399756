#include "packet/checksum.h"

#include <arpa/inet.h>
#include <string.h>

/* Ones' complement addition does not care about byte order as long as all words have the same (RFC
 * 1071, section 2B), so bytes are summed in the machine's order, four at a time, and swapped once
 * at the end.  Sums given out are folded to 17 bits at most, so that a caller can add thousands of
 * them without overflow. */

static uint32_t fold64(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint32_t)((sum & UINT16_MAX) + (sum >> 16));
}

uint32_t checksum_add(uint32_t sum, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint64_t total = 0;
    while (size >= 16) {
        uint32_t words[4];
        memcpy(words, p, sizeof words);
        total += (uint64_t)words[0] + words[1] + words[2] + words[3];
        p += 16;
        size -= 16;
    }
    for (; size >= 2; p += 2, size -= 2) {
        uint16_t word;
        memcpy(&word, p, sizeof word);
        total += word;
    }
    if (size) {
        uint16_t word = 0;
        memcpy(&word, p, 1);
        total += word;
    }
    return fold64((uint64_t)sum + ntohs(checksum_fold(fold64(total))));
}

uint32_t checksum_add_pseudo(uint32_t sum, const struct ip_address *source,
                             const struct ip_address *destination, uint8_t protocol,
                             uint32_t length)
{
    size_t size = source->family == 4 ? 4 : 16;
    sum = checksum_add(sum, source->bytes, size);
    sum = checksum_add(sum, destination->bytes, size);
    return fold64((uint64_t)sum + (length >> 16) + (length & UINT16_MAX) + protocol);
}

uint16_t checksum_fold(uint32_t sum)
{
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)(sum + (sum >> 16));
}

uint16_t checksum_finish(uint32_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

uint32_t checksum_change(uint32_t change, const void *before, const void *after, size_t size)
{
    /* Each old word is subtracted by adding its complement; the complements of n words are n *
     * 0xFFFF less their sum, and 0xFFFF counts as nothing. */
    uint32_t old = checksum_add(0, before, size);
    return checksum_add(fold64((uint64_t)change + checksum_finish(old)), after, size);
}

uint32_t checksum_change16(uint32_t change, uint16_t before, uint16_t after)
{
    return fold64((uint64_t)change + (uint16_t)~before + after);
}

uint16_t checksum_update(uint16_t checksum, uint32_t change)
{
    return checksum_finish(fold64((uint64_t)(uint16_t)~checksum + change));
}
