/* The domains are routing-only ("~ip"): resolved sends names under them to this link's server and
 * leaves everything else to the other links, whatever those are and whenever they change.  The link
 * is never a default route for names, so that our server is not asked for anybody else's.
 *
 * Names of ours are signed by nobody, so on this link nothing is validated, and our domains are
 * negative trust anchors for whatever else looks at them.  Both are wishes: a resolved that was
 * built without DNSSEC refuses them and needs none.  LLMNR and multicast DNS have no business on a
 * TUN.
 *
 * The cache is emptied at both ends: what was asked before we came was answered "no such name", and
 * what was asked while we were here is an address of nobody. */
#include "linux/resolved.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "linux/spawn.h"

#define LIMIT_MS      3000
#define DOMAIN_WORDS  (2 * LINUX_ZONES_MAX + 32)
#define RESOLVED_PORT "/run/systemd/resolve/io.systemd.Resolve"

/* ---- names of addresses ---- */

static void zone_write(const struct ip_address *ip, unsigned labels, char out[LINUX_ZONE_TEXT])
{
    bool v4 = ip->family == 4;
    size_t used = 0;
    for (unsigned i = labels; i-- > 0;) {
        unsigned value = v4 ? ip->bytes[i] : i % 2 ? ip->bytes[i / 2] & 15 : ip->bytes[i / 2] >> 4;
        used += (size_t)snprintf(out + used, LINUX_ZONE_TEXT - used, v4 ? "%u." : "%x.", value);
    }
    snprintf(out + used, LINUX_ZONE_TEXT - used, v4 ? "in-addr.arpa" : "ip6.arpa");
}

unsigned linux_reverse_zones(const struct ip_prefix *prefix,
                             char ret[LINUX_ZONES_MAX][LINUX_ZONE_TEXT])
{
    bool v4 = prefix->ip.family == 4;
    unsigned step = v4 ? 8 : 4;
    if ((!v4 && prefix->ip.family != 6) || prefix->length == 0 || prefix->length > (v4 ? 32 : 128))
        return 0;
    unsigned labels = (prefix->length + step - 1) / step;
    unsigned count = 1u << (labels * step - prefix->length);
    if (count > LINUX_ZONES_MAX)
        return 0;
    struct ip_address ip = prefix->ip;
    uint8_t *last = &ip.bytes[(labels * step - 1) / 8];
    unsigned shift = v4 || labels % 2 == 0 ? 0 : 4;
    for (unsigned i = 0; i < count; i++) {
        zone_write(&ip, labels, ret[i]);
        *last = (uint8_t)(*last + (1u << shift));
    }
    return count;
}

/* ---- resolvectl ---- */

bool linux_resolved_runs(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = RESOLVED_PORT};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool runs = fd >= 0 && (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return runs;
}

static int ask(const char *const argv[], char *err, size_t size)
{
    char said[LINUX_SPAWN_SAID];
    int r = linux_spawn(argv, NULL, LIMIT_MS, NULL, said);
    if (r == 0 || !err)
        return r;
    if (r == -ENOPKG)
        snprintf(err, size, "the program resolvectl is missing; it belongs to systemd-resolved");
    else if (r == -ETIMEDOUT)
        snprintf(err, size, "resolvectl %s did not end within %d s", argv[1], LIMIT_MS / 1000);
    else
        snprintf(err, size, "resolvectl %s refused: %s", argv[1],
                 said[0] ? said : "it ended without a word");
    return r;
}

struct words {
    const char *argv[DOMAIN_WORDS];
    unsigned count;
    char text[DOMAIN_WORDS][LINUX_ZONE_TEXT];
};

static void word_add(struct words *w, const char *before, const char *word, size_t length)
{
    if (w->count >= DOMAIN_WORDS - 1 || length >= LINUX_ZONE_TEXT - 1)
        return;
    char *text = w->text[w->count];
    snprintf(text, LINUX_ZONE_TEXT, "%s%.*s", before, (int)length, word);
    w->argv[w->count++] = text;
    w->argv[w->count] = NULL;
}

static void domains_add(struct words *w, const char *before, const char *domains)
{
    for (const char *at = domains; *at;) {
        size_t length = strcspn(at, " ");
        if (length)
            word_add(w, before, at, length);
        at += length + (at[length] != '\0');
    }
}

static void zones_add(struct words *w, const struct ip_prefix *pool)
{
    char zone[LINUX_ZONES_MAX][LINUX_ZONE_TEXT];
    unsigned count = pool->ip.family ? linux_reverse_zones(pool, zone) : 0;
    for (unsigned i = 0; i < count; i++)
        word_add(w, "~", zone[i], strlen(zone[i]));
}

static struct words *words_begin(const char *verb, const char *link)
{
    struct words *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    word_add(w, "", "resolvectl", strlen("resolvectl"));
    word_add(w, "", verb, strlen(verb));
    word_add(w, "", link, strlen(link));
    return w;
}

/* What is nice to have: refused by versions and builds that do not know it. */
static void wishes(const struct linux_resolved *r)
{
    static const char *const wish[][2] = {{"default-route", "no"},
                                          {"dnssec", "no"},
                                          {"dnsovertls", "no"},
                                          {"llmnr", "no"},
                                          {"mdns", "no"}};
    for (size_t i = 0; i < sizeof wish / sizeof *wish; i++)
        ask((const char *const[]){"resolvectl", wish[i][0], r->link, wish[i][1], NULL}, NULL, 0);
    struct words *w = words_begin("nta", r->link);
    if (w) {
        domains_add(w, "", r->domains);
        ask(w->argv, NULL, 0);
    }
    free(w);
}

static void flush(void)
{
    ask((const char *const[]){"resolvectl", "flush-caches", NULL}, NULL, 0);
}

int linux_resolved_set(const struct linux_resolved *r, char *err, size_t size)
{
    char server[ENDPOINT_TEXT], ip[ADDRESS_TEXT];
    if (r->server.port == 53)
        snprintf(server, sizeof server, "%s", ip_address_format(&r->server.ip, ip));
    else
        endpoint_format(&r->server, server);
    int error = ask((const char *const[]){"resolvectl", "dns", r->link, server, NULL}, err, size);
    struct words *w = words_begin("domain", r->link);
    if (!w)
        error = -ENOMEM;
    if (!error) {
        domains_add(w, "~", r->domains);
        zones_add(w, &r->pool4);
        zones_add(w, &r->pool6);
        error = ask(w->argv, err, size);
    }
    free(w);
    if (error) {
        linux_resolved_unset(r->link, NULL, 0);
        return error;
    }
    wishes(r);
    flush();
    return 0;
}

int linux_resolved_unset(const char *link, char *err, size_t size)
{
    int error = 0;
    if (!linux_resolved_runs()) /* it forgot all of it when it ended, and resolvectl would wait */
        return 0;
    if (if_nametoindex(link))
        error = ask((const char *const[]){"resolvectl", "revert", link, NULL}, err, size);
    flush();
    return if_nametoindex(link) ? error : 0;
}
