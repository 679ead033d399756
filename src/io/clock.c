#include "io/clock.h"

#include <time.h>

#include "base/check.h"

instant clock_now(void)
{
    struct timespec t;
    require(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
    return (instant)t.tv_sec * SECOND + t.tv_nsec;
}

int64_t clock_wall(void)
{
    struct timespec t;
    require(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return t.tv_sec;
}
