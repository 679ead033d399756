/* What a new configuration changes, and what of it a running host can take. */
#ifndef OCALA_CONFIG_CHANGE_H
#define OCALA_CONFIG_CHANGE_H

#include <stdbool.h>

#include "config/config.h"

#define CONFIG_CHANGES_MAX 48
#define CONFIG_CHANGE_TEXT 96

struct config_change_list {
    unsigned count;
    char text[CONFIG_CHANGES_MAX]
             [CONFIG_CHANGE_TEXT]; /* the last one is "..." when there are more */
};

/* Options as the documentation names them ("dns.ttl", "policy"); of an overlay "east.ip members".
 */
struct config_changes {
    struct config_change_list live, restart;
};

/* Compares `next` with `old`, which runs, by what they mean (config_print()), so that a new option
 * cannot be forgotten: what is not known to be live needs a restart.  Key and secret files are not
 * judged here: what is in them counts. */
void config_compare(const struct config *old, const struct config *next,
                    struct config_changes *ret);

/* After it `next` has the old value of everything that needs a restart: the overlays of `old`, in
 * its order, with their names and endpoints; the system's part.  Values are exchanged, so both stay
 * whole and are freed as before. ret_from[i] says which overlay of `next`, as it was, the i-th one
 * is now; -1: the old one, which `next` does not name. */
void config_carry(struct config *old, struct config *next, int *ret_from);

/* A module could not take these: the overlay goes on with the old ones. */
void config_carry_members(struct config_overlay *old, struct config_overlay *next);

void config_change_add(struct config_change_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool config_change_has(const struct config_change_list *list, const char *text);
bool config_change_remove(struct config_change_list *list,
                          const char *text); /* false: it was not there */

#endif
