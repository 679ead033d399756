/* What an i3 server is told: by the command line of `ocalad --i3-server`, or by the configuration. */
#include "daemon/i3_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/secret.h"
#include "crypto/crypto.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "linux/files.h"

static const char usage[] =
    "Usage: ocala i3-server --listen ADDRESS[:PORT] [OPTION...]\n"
    "\n"
    "A server of the i3 overlay: keeps the triggers of hosts and passes their packets on.\n"
    "\n"
    "  -l, --listen ADDRESS[:PORT]  for clients: an address of this machine (port 5610); once\n"
    "                               more for one of the other family, IPv4 or IPv6\n"
    "  -r, --ring PORT              for other servers, at the same address (default: one more)\n"
    "  -s, --seed ADDRESS[:PORT]    a server to join, and its ring port (5611); several times\n"
    "                               for more\n"
    "      --id HEX                 place on the ring: 40 hexadecimal digits (default: from the\n"
    "                               address, the same after each start)\n"
    "      --secret FILE            secret of the ring, from `ocala key new --network`: only "
    "servers\n"
    "                               that have it take part (no originals); triggers are copied,\n"
    "                               and servers may speak IPv6\n"
    "      --triggers N             most triggers kept (1000000)\n"
    "      --per-client N           most triggers of one address, 0: no limit (10000)\n"
    "      --requests N             inserts a second from one address, 0: no limit (1000)\n"
    "      --per-address N          servers of the ring at one address, 0: no limit (64)\n"
    "      --control PATH           answer `ocala --socket PATH i3`, `metrics` and `stop`\n"
    "      --ready-file PATH        create PATH, with the process id in it, when it serves\n"
    "      --log-level LEVEL        error, warning, notice (default), info or debug\n"
    "      --no-sandbox             neither seccomp nor landlock\n"
    "  -h, --help                   print this\n";

static int misused(const char *what, const char *on)
{
    fprintf(stderr, "ocala i3-server: %s%s\nTry 'ocala i3-server --help'.\n", what, on);
    return EXIT_USAGE;
}

static bool read_number(const char *text, unsigned most, unsigned *ret)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value > most)
        return false;
    *ret = (unsigned)value;
    return true;
}

int daemon_i3_secret(const char *path, struct daemon_i3_settings *s, char *err, size_t size)
{
    char *text;
    size_t length;
    int error =
        linux_file_read(path, LINUX_FILE_SECRET, CONFIG_FILE_MAX, &text, &length, err, size);
    if (error)
        return error;
    s->closed = config_file_parse(CONFIG_FILE_SECRET, path, text, length, s->secret, err, size);
    crypto_wipe(text, length);
    free(text);
    return s->closed ? 0 : -EINVAL;
}

int daemon_i3_configured(const struct config_i3_server *c, struct daemon_i3_settings *ret,
                         char *err, size_t size)
{
    *ret = (struct daemon_i3_settings){.at = c->listen,
                                       .also = c->also,
                                       .ring = c->ring,
                                       .seeds = c->seed_count,
                                       .triggers = c->triggers,
                                       .per_client = c->per_client,
                                       .requests = c->requests,
                                       .per_address = c->per_address};
    if (c->id)
        ret->has_id = chord_id_parse(c->id, &ret->id);
    memcpy(ret->seed, c->seeds, c->seed_count * sizeof *c->seeds);
    return c->secret.text ? daemon_i3_secret(c->secret.text, ret, err, size) : 0;
}

static int read_secret(const char *path, struct daemon_i3_settings *s)
{
    char err[512];
    if (!daemon_i3_secret(path, s, err, sizeof err))
        return -1;
    fprintf(stderr, "ocala i3-server: --secret: %s\n", err);
    return EXIT_CONFIG;
}

static int add_seed(const char *text, struct daemon_i3_settings *s)
{
    if (s->seeds == CHORD_SEEDS_MAX)
        return misused(
            "at most 16 seeds; some that are always there are enough, they know the others: ",
            text);
    if (!endpoint_parse(text, I3_PORT + 1, &s->seed[s->seeds]) || !s->seed[s->seeds].port)
        return misused("--seed is the address of a server, in digits, alone or with its port for "
                       "the ring behind it (5611 unless said), not ",
                       text);
    s->seeds++;
    return -1;
}

/* The first one, then that of the other family. */
static int add_listen(const char *text, struct daemon_i3_settings *s)
{
    struct endpoint *at = s->at.port ? &s->also : &s->at;
    if (s->also.port)
        return misused("--listen is for one IPv4 and one IPv6 address, and not a third: ", text);
    if (!endpoint_parse(text, I3_PORT, at) || !at->port || ip_address_is_wildcard(&at->ip) ||
        at->scope)
        return misused("--listen is one address of this machine, in digits (others are told it), "
                       "alone or with a port up to 65535 behind it, not ",
                       text);
    if (at == &s->also && s->also.ip.family == s->at.ip.family)
        return misused("a second --listen is for the other of IPv4 and IPv6, not ", text);
    return -1;
}

/* -1: go on. */
static int take(int option, struct i3_options *ret, unsigned *ring)
{
    struct daemon_i3_settings *s = &ret->settings;
    switch (option) {
    case 'l':
        return add_listen(optarg, s);
    case 'r':
        return read_number(optarg, UINT16_MAX, ring) && *ring
                   ? -1
                   : misused("--ring is a port, not ", optarg);
    case 's':
        return add_seed(optarg, s);
    case I3_OPTION_ID:
        s->has_id = chord_id_parse(optarg, &s->id);
        return s->has_id ? -1 : misused("--id is 40 lower-case hexadecimal digits, not ", optarg);
    case I3_OPTION_SECRET:
        return read_secret(optarg, s);
    case I3_OPTION_TRIGGERS:
        return read_number(optarg, 100000000, &s->triggers) && s->triggers
                   ? -1
                   : misused("--triggers is a number from 1 to 100000000, not ", optarg);
    case I3_OPTION_PER_CLIENT:
        return read_number(optarg, UINT32_MAX, &s->per_client)
                   ? -1
                   : misused("--per-client is a number, not ", optarg);
    case I3_OPTION_REQUESTS:
        return read_number(optarg, UINT32_MAX, &s->requests)
                   ? -1
                   : misused("--requests is a number, not ", optarg);
    case I3_OPTION_PER_ADDRESS:
        return read_number(optarg, UINT32_MAX, &s->per_address)
                   ? -1
                   : misused("--per-address is a number, not ", optarg);
    case I3_OPTION_CONTROL:
        ret->control = optarg;
        return -1;
    case I3_OPTION_READY:
        ret->ready_file = optarg;
        return -1;
    case I3_OPTION_LEVEL:
        ret->log_level = daemon_log_level(optarg);
        return ret->log_level >= 0 ? -1 : misused("no such log level: ", optarg);
    case I3_OPTION_NO_SANDBOX:
        ret->no_sandbox = true;
        return -1;
    case 'h':
        fputs(usage, stdout);
        return EXIT_OK;
    }
    return EXIT_USAGE;
}

/* Without a secret servers speak IPv4, whichever address was named first. */
static int check_families(struct daemon_i3_settings *s)
{
    if (s->at.ip.family == 6 && s->also.ip.family && !s->closed) {
        struct endpoint first = s->at;
        s->at = s->also;
        s->also = first;
    }
    if (s->at.ip.family == 6 && !s->closed)
        return misused("a ring without a --secret needs an IPv4 address to --listen at as well: "
                       "originals may be in it, and they speak no IPv6",
                       "");
    for (unsigned i = 0; i < s->seeds; i++) {
        uint8_t family = s->seed[i].ip.family;
        if (family == 6 && !s->closed)
            return misused("an IPv6 --seed needs a ring with a --secret: originals speak none", "");
        if (family != s->at.ip.family && !s->also.ip.family)
            return misused("a --seed is of another family than the address to --listen at", "");
    }
    return -1;
}

static int check_ring(struct daemon_i3_settings *s, unsigned ring)
{
    if (!ring && s->at.port == UINT16_MAX)
        return misused("--ring is missing: there is no port behind that of --listen", "");
    s->ring = s->at;
    s->ring.port = (uint16_t)(ring ? ring : s->at.port + 1u);
    if (s->ring.port == s->at.port || (s->closed && s->ring.port == s->also.port))
        return misused("--ring is the port for clients; it needs one of its own", "");
    for (unsigned i = 0; i < s->seeds; i++)
        if (endpoint_equal(&s->seed[i], &s->at))
            return misused("--seed is our own port for clients; a server's port for the ring is "
                           "meant, by default one more than that for clients",
                           "");
    return -1;
}

int i3_options_parse(int argc, char **argv, struct i3_options *ret)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"ring", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},
        {"id", required_argument, NULL, I3_OPTION_ID},
        {"secret", required_argument, NULL, I3_OPTION_SECRET},
        {"triggers", required_argument, NULL, I3_OPTION_TRIGGERS},
        {"per-client", required_argument, NULL, I3_OPTION_PER_CLIENT},
        {"requests", required_argument, NULL, I3_OPTION_REQUESTS},
        {"per-address", required_argument, NULL, I3_OPTION_PER_ADDRESS},
        {"control", required_argument, NULL, I3_OPTION_CONTROL},
        {"ready-file", required_argument, NULL, I3_OPTION_READY},
        {"log-level", required_argument, NULL, I3_OPTION_LEVEL},
        {"no-sandbox", no_argument, NULL, I3_OPTION_NO_SANDBOX},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    unsigned ring = 0;
    *ret = (struct i3_options){.log_level = LOG_NOTICE};
    daemon_i3_settings_init(&ret->settings);
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":l:r:s:h", known, NULL)) != -1;) {
        if (c == ':')
            return misused("a value is missing behind ", argv[optind - 1]);
        if (c == '?')
            return misused("there is no option ", argv[optind - 1]);
        int status = take(c, ret, &ring);
        if (status >= 0)
            return status;
    }
    struct daemon_i3_settings *s = &ret->settings;
    if (optind < argc)
        return misused("which option belongs in front of this? ", argv[optind]);
    if (!s->at.port)
        return misused("--listen is missing: at which address?", "");
    int status = check_families(s);
    return status >= 0 ? status : check_ring(s, ring);
}
