/* From the configuration file to what a host needs: the parsed file, and the keys and secrets that
 * it names. */
#ifndef OCALA_DAEMON_SETTINGS_H
#define OCALA_DAEMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "host/host.h"

struct helper;

#define DAEMON_ERROR_TEXT 1024

struct daemon_settings {
    struct config *config;
    struct host_overlay_keys *keys; /* one for each overlay of the file; a reload may leave config
                                       with others */
    unsigned key_count;
    bool *own_key;  /* by overlay: no key file is named, the state folder's is used */
    bool needs_key; /* any of them                                                  */
};

/* Reads and checks everything, changes nothing.  `helper` (or NULL) opens what the daemon itself
 * may not read any more. 0, or a negative errno and `err` says where, what and what would be right.
 */
int daemon_settings_read(const char *file, struct helper *helper, struct daemon_settings *ret,
                         char *err, size_t size);
/* Puts in front of the line in `err` where in the configuration it comes from; returns `error`. */
int daemon_settings_at(const struct config *c, struct config_where where, int error, char *err,
                       size_t size);
/* The key of the state folder, for the overlays that use it. */
void daemon_settings_own_key(struct daemon_settings *s, const uint8_t seed[32]);
/* Wipes; accepts zeroed settings. */
void daemon_settings_done(struct daemon_settings *s);

/* Reads a PKCS#8 PEM file with the checks above (also for the state folder's). */
int daemon_key_read(const char *path, struct helper *helper, uint8_t ret_seed[32], char *err,
                    size_t size);

#endif
