/* Two kinds of assertion; plain assert() is not used.  Input from outside is never asserted on.
 *
 *   require(c)   memory safety depends on c: ends the process when it does not hold.
 *   expect(c)    a broken assumption of ours: true when it holds; the caller recovers when it is false. */
#ifndef OCALA_BASE_CHECK_H
#define OCALA_BASE_CHECK_H

#include <stdbool.h>
#include <stdlib.h>

#define require(condition)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            abort();                                                                               \
    } while (0)

#define expect(condition) __builtin_expect(!!(condition), 1)

/* calloc that never returns NULL: a daemon without memory cannot go on.  Not for the packet path. */
void *base_calloc(size_t count, size_t size);
void *base_realloc(void *old, size_t size);
char *base_strdup(const char *text);

#endif
