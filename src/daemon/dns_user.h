/* Which local user owns the socket that a question came from. */
#ifndef OCALA_DAEMON_DNS_USER_H
#define OCALA_DAEMON_DNS_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/* HANDLE_NO_USER when the kernel cannot tell. */
uint32_t daemon_dns_user(bool tcp, const struct endpoint *remote, const struct endpoint *local);

#endif
