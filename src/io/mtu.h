/* What the kernel knows of the way to an address: its interface's MTU, and what ICMP taught it. */
#ifndef OCALA_IO_MTU_H
#define OCALA_IO_MTU_H

#include <stddef.h>

#include "base/address.h"

/* Largest UDP payload that fits into one packet to `remote`; 0 when the kernel does not say. */
size_t mtu_payload(const struct endpoint *remote);

#endif
