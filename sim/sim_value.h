/* Numbers with units, as scenario files write them. */
#ifndef OCALA_SIM_VALUE_H
#define OCALA_SIM_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

/* Each is false (and *ret untouched) when the text is not wholly that. */
bool sim_value_time(const char *text, instant *ret);   /* 300us 20ms 1.5s 2m 1h, or 0  */
bool sim_value_share(const char *text, uint32_t *ret); /* 5% 0.01%, in millionths      */
bool sim_value_count(const char *text, uint64_t *ret); /* 12 10k 3M 1G (thousands)     */

#endif
