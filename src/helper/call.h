/* The daemon's end as helper.c makes it and call.c uses it. */
#ifndef OCALA_HELPER_CALL_H
#define OCALA_HELPER_CALL_H

struct helper;

/* Takes the socket and the lock's descriptor. */
struct helper *helper_new(int fd, int lock);

#endif
