/* Configuration files and secrets: what is accepted is printed as a file that reads back to the
 * same; what is refused has a reason that is fit for a terminal, at a place inside the text. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/config.h"
#include "config/secret.h"

static const char *const types[] = {"ip", "ron", NULL};

static void check_error(const struct config_error *error, const uint8_t *data, size_t size)
{
    unsigned lines = 1;
    char text[700];
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r';
    require(error->text[0]);
    for (const char *p = error->text; *p; p++)
        require((unsigned char)*p >= 0x20);
    require(error->where.line >= 1 && error->where.column >= 1);
    /* UTF-16 is YAML too, and it has other line ends (NEL, LS). */
    require(error->where.line <= lines + 1 || memchr(data, 0, size) || memchr(data, 0xE2, size) ||
            memchr(data, 0xC2, size));
    require(strlen(config_error_format(error, text, sizeof text)) < sizeof text);
}

static void check_print(const struct config *c)
{
    struct config_error error;
    char *once = config_print(c);
    struct config *again = config_parse(once, strlen(once), "/etc/ocala/ocala.yaml", types, &error);
    require(again);
    char *twice = config_print(again);
    require(!strcmp(once, twice));
    free(once);
    free(twice);
    config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_error error;
    struct config *c =
        config_parse((const char *)data, size, "/etc/ocala/ocala.yaml", types, &error);
    if (c)
        check_print(c);
    else
        check_error(&error, data, size);
    config_free(c);

    uint8_t secret[CONFIG_SECRET];
    const char *reason = NULL;
    if (!config_secret_parse((const char *)data, size, secret, &reason))
        require(reason && *reason);
    return 0;
}
