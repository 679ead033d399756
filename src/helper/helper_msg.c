/* The checks that the helper makes before it acts: sizes, ranges, terminated texts, addresses
 * inside their pools.  Names of interfaces are held to a small alphabet because they are written
 * into an nft script. */
#include "helper/helper_msg.h"

#include <errno.h>
#include <string.h>

#define MTU_MIN    1280
#define MTU_MAX    65535
#define BUFFER_MAX (64u << 20)

const char *helper_verb_text(uint32_t verb)
{
    static const char *const texts[] = {[HELPER_VERB_NONE] = "nothing",
#define VERB_TEXT(id, text) [HELPER_##id] = text,
                                        HELPER_VERBS(VERB_TEXT)
#undef VERB_TEXT
    };
    return verb < HELPER_VERB_COUNT ? texts[verb] : "something unknown";
}

static bool text_ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool interface_name_valid(const char name[HELPER_NAME_SIZE])
{
    if (!text_ends(name, HELPER_NAME_SIZE) || name[0] == '\0' || name[0] == '.' || name[0] == '-')
        return false;
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !(*c >= '0' && *c <= '9') && *c != '_' && *c != '-' && *c != '.')
            return false;
    }
    return true;
}

/* A prefix as the kernel takes it: no bits set behind its length. */
static bool prefix_valid(const struct ip_prefix *prefix, uint8_t family)
{
    unsigned bits = family == 4 ? 32 : 128;
    if (prefix->ip.family != family || prefix->length < 1 || prefix->length > bits)
        return false;
    for (unsigned bit = prefix->length; bit < bits; bit++) {
        if (prefix->ip.bytes[bit / 8] & 0x80 >> bit % 8)
            return false;
    }
    return true;
}

static const char *tun_check(const struct helper_tun_request *t)
{
    if (!interface_name_valid(t->name))
        return "the TUN's name takes 1 to 15 letters, digits, '_', '-' and '.'";
    if (t->mtu < MTU_MIN || t->mtu > MTU_MAX)
        return "the TUN's mtu must be 1280 to 65535";
    if (t->queues < 1 || t->queues > HELPER_FDS_MAX)
        return "the TUN's number of queues is out of range";
    if (t->address4.family != 4 || !prefix_valid(&t->pool4, 4) ||
        !ip_prefix_holds(&t->pool4, &t->address4))
        return "the TUN's IPv4 address is not inside its pool, or the pool is no prefix";
    if (t->address6.family == 0)
        return t->pool6.ip.family == 0 && t->pool6.length == 0
                   ? NULL
                   : "the TUN has an IPv6 pool but no address in it";
    if (t->address6.family != 6 || !prefix_valid(&t->pool6, 6) ||
        !ip_prefix_holds(&t->pool6, &t->address6))
        return "the TUN's IPv6 address is not inside its pool, or the pool is no prefix";
    return NULL;
}

static const char *route_check(const struct helper_route_request *r)
{
    if (!text_ends(r->tun_name, sizeof r->tun_name))
        return "the interface's name does not end";
    if (!prefix_valid(&r->prefix, 4) && !prefix_valid(&r->prefix, 6))
        return "not a prefix";
    return NULL;
}

static const char *listen_check(const struct helper_listen_request *l)
{
    if (l->transport >= HELPER_TRANSPORT_COUNT || l->flags & ~(uint32_t)HELPER_LISTEN_FLAGS)
        return "a socket of an unknown kind";
    if (l->local.ip.family != 4 && l->local.ip.family != 6)
        return "the socket's address is neither IPv4 nor IPv6";
    if (l->buffer_size > BUFFER_MAX)
        return "the socket's buffers are too large";
    return NULL;
}

/* Words of labels, one space between them: they become arguments of a program. */
static bool domains_valid(const char domains[HELPER_DOMAINS_SIZE])
{
    if (!text_ends(domains, HELPER_DOMAINS_SIZE) || domains[0] == '\0')
        return false;
    char before = ' ';
    for (const char *c = domains; *c; before = *c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
        bool inner = *c == '-' || *c == '.' || *c == ' ';
        if (!letter && (!inner || before == ' ' || before == '.' || (*c != '-' && before == '-')))
            return false;
    }
    return before != ' ' && before != '.' && before != '-';
}

static bool pool_valid(const struct ip_prefix *pool, uint8_t family)
{
    return pool->ip.family == 0 || prefix_valid(pool, family);
}

static const char *dns_check(const struct helper_dns_request *d)
{
    if (d->mode > HELPER_DNS_INTERCEPT)
        return "an unknown way to become the resolver";
    if ((d->listen.ip.family != 4 && d->listen.ip.family != 6) || d->listen.port == 0)
        return "the resolver's address is neither IPv4 nor IPv6";
    if (d->mode == HELPER_DNS_RESOLVCONF)
        return d->listen.port == 53 ? NULL : "the C library asks port 53 only";
    if (!interface_name_valid(d->tun_name))
        return "the TUN's name is none";
    if (d->mode == HELPER_DNS_INTERCEPT)
        return d->listen6.ip.family == 0 || (d->listen6.ip.family == 6 && d->listen6.port)
                   ? NULL
                   : "the resolver's second address is not IPv6";
    if (!domains_valid(d->domains))
        return "the domains are no domains";
    return pool_valid(&d->pool4, 4) && pool_valid(&d->pool6, 6) ? NULL : "a pool is no prefix";
}

static const char *sockets_check(const struct helper_sockets_request *s)
{
    bool good = s->transport < HELPER_TRANSPORT_COUNT && (s->family == 4 || s->family == 6) &&
                s->count >= 1 && s->count <= HELPER_FDS_MAX;
    return good ? NULL : "sockets of an unknown kind or number";
}

static const char *request_reason(const struct helper_request *q)
{
    switch ((enum helper_verb)q->verb) {
    case HELPER_TUN_OPEN:
        return tun_check(&q->tun);
    case HELPER_ROUTE_CHECK:
        return route_check(&q->route);
    case HELPER_LISTEN:
        return listen_check(&q->listen);
    case HELPER_DNS_SET:
        return dns_check(&q->dns);
    case HELPER_DNS_SOCKETS:
        return sockets_check(&q->sockets);
    case HELPER_FILE_OPEN:
        return text_ends(q->file.path, sizeof q->file.path) && q->file.path[0]
                   ? NULL
                   : "the file's path does not end";
    case HELPER_DNS_UNSET:
    case HELPER_DNS_UPSTREAMS:
    case HELPER_CONTROL_LISTEN:
    case HELPER_STOP:
        return NULL;
    case HELPER_VERB_NONE:
    case HELPER_VERB_COUNT:
        break;
    }
    return "an unknown verb";
}

int helper_request_check(const struct helper_request *request, size_t size, const char **ret_reason)
{
    const char *reason;
    if (size != sizeof *request)
        reason = "a message of the wrong size";
    else if (request->version != HELPER_MSG_VERSION)
        reason = "a message of another version";
    else
        reason = request_reason(request);
    if (reason && ret_reason)
        *ret_reason = reason;
    return reason ? -EPROTO : 0;
}

int helper_reply_check(const struct helper_reply *reply, size_t size,
                       const struct helper_request *request)
{
    if (size != sizeof *reply || reply->version != HELPER_MSG_VERSION ||
        reply->verb != request->verb || reply->serial != request->serial || reply->error > 0 ||
        reply->fds > HELPER_FDS_MAX || !text_ends(reply->text, sizeof reply->text))
        return -EPROTO;
    if (reply->error)
        return 0;
    switch ((enum helper_verb)reply->verb) {
    case HELPER_TUN_OPEN:
        return text_ends(reply->tun.name, sizeof reply->tun.name) ? 0 : -EPROTO;
    case HELPER_DNS_SET:
    case HELPER_DNS_UPSTREAMS:
        return reply->upstreams.count <= HELPER_UPSTREAMS_MAX &&
                       text_ends(reply->upstreams.writer, HELPER_WRITER_SIZE) &&
                       text_ends(reply->upstreams.target, HELPER_PATH_SIZE)
                   ? 0
                   : -EPROTO;
    case HELPER_ROUTE_CHECK:
        return reply->route.use <= HELPER_RANGE_CLASH ? 0 : -EPROTO;
    default:
        return 0;
    }
}
