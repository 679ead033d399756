/* How programs' questions come to us: which of the modes is in force, why, and that it stays so. */
#ifndef OCALA_DAEMON_DNS_MODE_H
#define OCALA_DAEMON_DNS_MODE_H

#include "base/text.h"
#include "config/config.h"

struct daemon;
struct daemon_dns_mode;

/* Looks at the machine and decides; changes nothing.  While we are privileged. */
void daemon_dns_mode_choose(struct daemon *d);
/* Programs are answered at another port than the configuration says: `auto` decides again. */
void daemon_dns_mode_port(struct daemon *d, uint16_t port);
/* Puts it into force and watches over it; `auto` goes on with the next mode when one fails. */
int daemon_dns_mode_start(struct daemon *d, char *err, size_t size);
/* The configuration was read again. */
void daemon_dns_mode_reload(struct daemon *d);
/* Programs are sent to their old resolvers; before we stop to answer. */
void daemon_dns_mode_leave(struct daemon *d);
void daemon_dns_mode_stop(struct daemon *d); /* closes what it watches, then _free */
void daemon_dns_mode_free(struct daemon *d);
/* Do our own questions need sockets of the helper's? */
bool daemon_dns_mode_intercepts(const struct daemon *d);
/* Members of a JSON object, without braces; the status gets a few of them. */
void daemon_dns_mode_describe(const struct daemon *d, bool brief, struct text *json);

#endif
