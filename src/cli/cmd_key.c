#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/table.h"
#include "crypto/crypto.h"
#include "linux/files.h"

#define PEM_MAX  4096
#define ERR_SIZE 512

/* Writes a new key or secret to `file`, or to stdout when there is none. */
static int put(const char *file, const char *text, size_t size)
{
    char err[ERR_SIZE];
    struct stat st;
    if (file) {
        int error = linux_file_create(file, text, size, 0600, err, sizeof err);
        if (error == -EEXIST)
            cli_complain("%s is there already and is not overwritten; choose another name, or "
                         "remove it first",
                         file);
        else if (error)
            cli_complain("%s", err);
        return error ? CLI_FAILED : CLI_OK;
    }
    if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
        cli_complain(
            "warning: the output goes to a file that others can read; run chmod 600 on it");
    fwrite(text, 1, size, stdout);
    return CLI_OK;
}

static int new_secret(const char *file, const uint8_t random[CRYPTO_KEY])
{
    char text[CRYPTO_KEY_TEXT + 1];
    crypto_key_format(random, text);
    strcat(text, "\n");
    int status = put(file, text, strlen(text));
    crypto_wipe(text, sizeof text);
    if (!status && file)
        fprintf(stderr,
                "%s now holds the network's secret; copy it to the other members by a way "
                "that nobody reads along.\n",
                file);
    return status;
}

static int new_identity(const char *file, const uint8_t seed[CRYPTO_KEY])
{
    char pem[PEM_MAX], text[CRYPTO_KEY_TEXT];
    uint8_t public_key[CRYPTO_KEY];
    size_t size = crypto_ed25519_to_pem(seed, pem, sizeof pem);
    int status = size ? put(file, pem, size) : CLI_FAILED;
    crypto_wipe(pem, sizeof pem);
    if (status)
        return status;
    crypto_ed25519_public(seed, public_key);
    fprintf(file ? stdout : stderr, "%s\n", crypto_key_format(public_key, text));
    return CLI_OK;
}

int cli_key_new(struct cli *cli, int argc, char **argv)
{
    uint8_t random[CRYPTO_KEY];
    bool network = cli_take_flag(&argc, argv, "--network");
    if (!cli_count_words(cli, argc, argv, 0, 1))
        return CLI_USAGE;
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        cli_complain("the system gives no randomness: %s", strerror(errno));
        return CLI_FAILED;
    }
    const char *file = argc ? argv[0] : NULL;
    int status = network ? new_secret(file, random) : new_identity(file, random);
    crypto_wipe(random, sizeof random);
    return status;
}

/* Both public forms of a key file: Ed25519, and X25519 as peers see it. */
static int read_public(const char *file, uint8_t ed25519[CRYPTO_KEY], uint8_t x25519[CRYPTO_KEY])
{
    char err[ERR_SIZE], *pem;
    uint8_t seed[CRYPTO_KEY];
    size_t size;
    const char *reason;
    if (linux_file_read(file, LINUX_FILE_SECRET, PEM_MAX, &pem, &size, err, sizeof err)) {
        cli_complain("%s", err);
        return CLI_FAILED;
    }
    bool good = crypto_ed25519_from_pem(pem, size, seed, &reason);
    crypto_wipe(pem, size);
    free(pem);
    if (!good) {
        cli_complain("%s is not an identity key: %s", file, reason);
        return CLI_FAILED;
    }
    crypto_ed25519_public(seed, ed25519);
    crypto_wipe(seed, sizeof seed);
    return crypto_ed25519_to_x25519_public(ed25519, x25519) ? CLI_OK : CLI_FAILED;
}

int cli_key_show(struct cli *cli, int argc, char **argv)
{
    uint8_t ed25519[CRYPTO_KEY], x25519[CRYPTO_KEY];
    char key[CRYPTO_KEY_TEXT], seen[CRYPTO_KEY_TEXT];
    bool as_seen = cli_take_flag(&argc, argv, "--seen");
    if (!cli_count_words(cli, argc, argv, 0, 1))
        return CLI_USAGE;
    int status = read_public(argc ? argv[0] : CLI_KEY_FILE, ed25519, x25519);
    if (status)
        return status;
    crypto_key_format(ed25519, key);
    crypto_key_format(x25519, seen);
    if (cli->json)
        printf("{\"key\": \"%s\", \"seen\": \"%s\"}\n", key, seen);
    else
        puts(as_seen ? seen : key);
    return CLI_OK;
}

int cli_key_list(struct cli *cli, int argc, char **argv)
{
    static const struct table_column columns[] = {
        {"NAME", "name", TABLE_TEXT},
        {"HOW", "how", TABLE_TEXT},
        {"VOUCHER", "voucher", TABLE_TEXT},
        {"KEY", "key", TABLE_TEXT},
        {.title = NULL},
    };
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "key", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result) &&
        !table_print(json_object_get(result, "keys"), columns, "No name is bound to a key yet."))
        status = CLI_FAILED;
    json_decref(result);
    return status;
}

int cli_key_forget(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 1, 1))
        return CLI_USAGE;
    int status = cli_ask(cli, "key.forget", json_pack("{s:s}", "name", argv[0]), &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result))
        printf("The key of %s is forgotten; the next one that it shows is bound to it.\n", argv[0]);
    json_decref(result);
    return CLI_OK;
}
