/* Randomness of the system: getrandom(2) behind base/entropy.h. */
#ifndef OCALA_IO_ENTROPY_H
#define OCALA_IO_ENTROPY_H

#include "base/entropy.h"

/* `e` is usable by any thread afterwards; it holds no state. */
void entropy_system(struct entropy *e);

#endif
