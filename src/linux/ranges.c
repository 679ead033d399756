#include "linux/ranges.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define SHORTEST  8 /* what is larger is "everywhere", not somebody's range */
#define WORD_SIZE 64

/* What their documentation says they take, on interfaces of these names with a number, nothing, or
 * "-" and more behind. */
static const struct {
    const char *interface, *range, *who;
} takers[] = {
    {"tailscale", "100.64.0.0/10", "Tailscale"},
    {"wt", "100.64.0.0/10", "NetBird"},
    {"CloudflareWARP", "100.96.0.0/12", "Cloudflare WARP"},
    {"docker", "172.16.0.0/12", "Docker"},
    {"br-", "172.16.0.0/12", "Docker"},
    {"podman", "10.88.0.0/15", "Podman"},
    {"virbr", "192.168.122.0/24", "libvirt"},
    {"lxcbr", "10.0.3.0/24", "LXC"},
    {"cni", "10.42.0.0/15", "Kubernetes"},
    {"flannel", "10.42.0.0/15", "Kubernetes"},
    {"flannel", "10.244.0.0/16", "Kubernetes"},
    {"Meta", "198.18.0.0/15", "mihomo"},
    {"mihomo", "198.18.0.0/15", "mihomo"},
    {"clash", "198.18.0.0/15", "Clash"},
    {"sing", "198.18.0.0/15", "sing-box"},
    {"singbox", "198.18.0.0/15", "sing-box"},
};

bool linux_ranges_overlap(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->ip.family == b->ip.family &&
           (ip_prefix_holds(a, &b->ip) || ip_prefix_holds(b, &a->ip));
}

static bool is_named(const char *interface, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(interface, name, length) != 0)
        return false;
    char next = interface[length];
    return next == '\0' || next == '-' || name[length - 1] == '-' || isdigit((unsigned char)next);
}

bool linux_ranges_of_interface(const char *interface, const struct ip_prefix *p, char *text,
                               size_t size)
{
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
        struct ip_prefix range;
        require(ip_prefix_parse(takers[i].range, &range));
        if (!is_named(interface, takers[i].interface) || !linux_ranges_overlap(&range, p))
            continue;
        snprintf(text, size, "%s (interface %.15s) takes its addresses from %s", takers[i].who,
                 interface, takers[i].range);
        return true;
    }
    return false;
}

/* ---- rules ---- */

static bool is_address_char(char c)
{
    return isxdigit((unsigned char)c) || c == '.' || c == ':' || c == '/';
}

static bool word_overlaps(const char *word, const struct ip_prefix *p)
{
    struct ip_prefix found = {0};
    if (!strchr(word, '.') && !strchr(word, ':'))
        return false;
    if (!ip_prefix_parse(word, &found)) {
        if (!ip_address_parse(word, &found.ip))
            return false;
        found.length = found.ip.family == 4 ? 32 : 128;
    }
    return found.length >= SHORTEST && linux_ranges_overlap(&found, p);
}

/* The next run of characters that an address may be made of; false at the end of the line. */
static bool next_word(const char **at, const char *end, char out[WORD_SIZE])
{
    const char *c = *at;
    while (c < end && !is_address_char(*c))
        c++;
    const char *begin = c;
    while (c < end && is_address_char(*c))
        c++;
    *at = c;
    size_t length = (size_t)(c - begin);
    snprintf(out, WORD_SIZE, "%.*s", length < WORD_SIZE ? (int)length : 0, begin);
    return length > 0;
}

bool linux_ranges_of_rules(const char *ruleset, const struct ip_prefix *p, char *text, size_t size)
{
    char table[80] = "", word[WORD_SIZE];
    bool ours = false;
    for (const char *line = ruleset; *line;) {
        const char *end = line + strcspn(line, "\n"), *at = line;
        if (strncmp(line, "table ", 6) == 0) {
            char family[16] = "", name[60] = "";
            sscanf(line, "table %15s %59s", family, name);
            snprintf(table, sizeof table, "%s %s", family, name);
            ours = strncmp(name, "ocala_", 6) == 0;
        }
        while (!ours && next_word(&at, end, word)) {
            if (!word_overlaps(word, p))
                continue;
            snprintf(text, size, "firewall rules of table %s name %s", table, word);
            return true;
        }
        line = *end ? end + 1 : end;
    }
    return false;
}
