#include "linux/nft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linux/spawn.h"

#define LIMIT_MS 8000

static int explain(int r, const char *said, char *err, size_t size)
{
    if (r == -EREMOTEIO && strstr(said, "Operation not permitted"))
        r = -EPERM;
    else if (r == -EREMOTEIO)
        r = -EINVAL;
    if (r == 0 || !err)
        return r;
    if (r == -ENOPKG)
        snprintf(err, size, "the program nft is missing; install the package nftables");
    else if (r == -EPERM || r == -EINVAL)
        snprintf(err, size, "nft refused: %s", said[0] ? said : "it ended without a word");
    else
        snprintf(err, size, "cannot run nft: %s", strerror(-r));
    return r;
}

int linux_nft_run(const char *script, char *err, size_t size)
{
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    char said[LINUX_SPAWN_SAID], *output;
    int r = linux_spawn(argv, script, LIMIT_MS, &output, said);
    /* Older ones complain on standard output. */
    if (said[0] == '\0') {
        snprintf(said, sizeof said, "%s", output);
        said[strcspn(said, "\n")] = '\0';
    }
    free(output);
    return explain(r, said, err, size);
}

int linux_nft_list(char **ret, char *err, size_t size)
{
    static const char *const argv[] = {"nft", "-s", "-n", "list", "ruleset", NULL};
    char said[LINUX_SPAWN_SAID];
    int r = linux_spawn(argv, NULL, LIMIT_MS, ret, said);
    if (r < 0) {
        free(*ret);
        *ret = NULL;
    }
    return explain(r, said, err, size);
}
