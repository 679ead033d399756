/* Contents of a network secret's file: one line, 32 random bytes in base64, as `ocala key new
 * --network` writes it. */
#ifndef OCALA_CONFIG_SECRET_H
#define OCALA_CONFIG_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_SECRET 32

/* False when it is not that; then *ret_reason says why (a static string).  The secret's text is not
 * kept anywhere. */
bool config_secret_parse(const char *text, size_t size, uint8_t ret[CONFIG_SECRET],
                         const char **ret_reason);

/* The files with secrets that a configuration names, and what is said when one is not what it should be. */
#define CONFIG_FILE_MAX 4096 /* bytes */
enum config_file { CONFIG_FILE_KEY, CONFIG_FILE_SECRET };
/* `ret`: the seed of the identity, or the network's secret.  False: `err` names the file and says what is wrong. */
bool config_file_parse(enum config_file kind, const char *path, const char *text, size_t size,
                       uint8_t ret[CONFIG_SECRET], char *err, size_t err_size);

#endif
