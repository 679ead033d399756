/* What tests of recipes and peels share: one packet, and somewhere to send it. */
#ifndef OCALA_PACKET_RECIPE_FIXTURE_H
#define OCALA_PACKET_RECIPE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet/recipe.h"

extern struct packet *packet; /* of a pool that holds no other */
extern struct endpoint remote;

int recipe_set_up(void **state);
int recipe_tear_down(void **state);

#define assert_packet(bytes)                                                                       \
    do {                                                                                           \
        static const uint8_t expected_[] = bytes;                                                  \
        assert_int_equal(packet->size, sizeof expected_);                                          \
        assert_memory_equal(packet->data, expected_, sizeof expected_);                            \
    } while (0)
#define BYTES(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

#endif
