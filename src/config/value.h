/* Texts of the configuration to values.  Each function returns false after saying in *error what
 * the text is not and what would be right.  Private to config/. */
#ifndef OCALA_CONFIG_VALUE_H
#define OCALA_CONFIG_VALUE_H

#include "config/config.h"

/* A text as written: under which key, where, and where complaints go. */
struct config_value {
    const char *key, *text;
    struct config_where where;
    struct config_error *error;
};

bool config_value_fail(const struct config_value *v, const char *wanted);

/* "25s": a whole number and one of ms, s, m, h. */
bool config_value_duration(const struct config_value *v, instant least, instant most, instant *ret);
/* The same way back, in the largest unit that is exact; `out` holds CONFIG_DURATION_TEXT bytes. */
#define CONFIG_DURATION_TEXT 24
const char *config_duration_format(instant span, char out[CONFIG_DURATION_TEXT]);

/* A number that was already found to be one, against its range. */
bool config_value_range(const struct config_value *v, unsigned number, unsigned least,
                        unsigned most);
/* Index in `names` (ended by NULL). */
bool config_value_choice(const struct config_value *v, const char *const *names, unsigned *ret);

/* An own endpoint: port 0 is "any". */
bool config_value_listen(const struct config_value *v, struct endpoint *ret);
/* An endpoint to talk to, with a usual port, or without when 0. */
bool config_value_endpoint(const struct config_value *v, uint16_t default_port,
                           struct endpoint *ret);
/* An endpoint or host:port; the caller frees ret->host. */
bool config_value_place(const struct config_value *v, struct config_place *ret);
bool config_value_prefix(const struct config_value *v, uint8_t family, uint8_t least, uint8_t most,
                         struct ip_prefix *ret);
bool config_value_service(const struct config_value *v, struct config_service *ret);
/* Ed25519 public key in base64. */
bool config_value_key(const struct config_value *v, uint8_t ret[CONFIG_KEY]);

bool config_value_name(const struct config_value *v, struct overlay_name *ret);
/* Host label(s), "instance.type", a pattern: in lower case; the caller frees *ret. */
bool config_value_labels(const struct config_value *v, char **ret);
bool config_value_instance(const struct config_value *v, char **ret);
bool config_value_pattern(const struct config_value *v, char **ret);

#endif
