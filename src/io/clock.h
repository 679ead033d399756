/* The two clocks of the daemon.  Engines never see them: they get an instant. */
#ifndef OCALA_IO_CLOCK_H
#define OCALA_IO_CLOCK_H

#include <stdint.h>

#include "base/instant.h"

instant clock_now(void);  /* CLOCK_BOOTTIME                            */
int64_t clock_wall(void); /* seconds since 1970, for people and files   */

#endif
