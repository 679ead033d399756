#include "sim/sim_seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ASK_LIMIT (6 * SECOND)

bool sim_seen_answer(struct sim_host *h, const char *name, bool v6, const struct sim_answer *answer)
{
    struct sim_answered *a = h->answers;
    if (!answer->ip.family)
        return true;
    while (a && strcmp(a->name, name))
        a = a->next;
    if (!a) {
        a = base_calloc(1, sizeof *a);
        strncpy(a->name, name, sizeof a->name - 1);
        a->since = h->sim->world.now;
        a->next = h->answers;
        h->answers = a;
    }
    if (a->ip[v6].family && !ip_address_equal(&a->ip[v6], &answer->ip)) {
        char before[ADDRESS_TEXT], now[ADDRESS_TEXT];
        sim_fail(&h->sim->world, "%s: the handle of %s was %s and is %s now", h->node.name, name,
                 ip_address_format(&a->ip[v6], before), ip_address_format(&answer->ip, now));
        return false;
    }
    a->ip[v6] = answer->ip;
    return true;
}

void sim_seen_forget(struct sim_host *h, const char *name)
{
    for (struct sim_answered **at = &h->answers; *at;) {
        struct sim_answered *a = *at;
        if (strcmp(a->name, name)) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        free(a);
    }
}

/* ---- handles ---- */

static void forward_again(void *context, const struct sim_answer *answer)
{
    struct sim_seen *s = context;
    s->asked = false;
    if (!answer->ip.family)
        return; /* trouble, perhaps a restart: asked again with the next packet */
    if (!ip_address_equal(&answer->ip, &s->ip)) {
        char ip[ADDRESS_TEXT], other[ADDRESS_TEXT];
        sim_fail(&s->at->sim->world, "%s: %s is the name of %s, but leads to %s", s->at->node.name,
                 s->name, ip_address_format(&s->ip, ip), ip_address_format(&answer->ip, other));
        return;
    }
    s->known = true;
}

static void named(void *context, const struct sim_answer *answer)
{
    struct sim_seen *s = context;
    const struct sim_host *sender = s->at->sim->host[s->host];
    if (!answer->name[0]) {
        s->asked = false;
        return;
    }
    memcpy(s->name, answer->name, sizeof s->name);
    if (!sim_host_is(sender, s->name)) {
        char ip[ADDRESS_TEXT];
        sim_fail(&s->at->sim->world, "%s: packets of %s come from %s, whose name is %s",
                 s->at->node.name, sender->node.name, ip_address_format(&s->ip, ip), s->name);
        return;
    }
    sim_host_ask(s->at, s->name, s->ip.family == 6 ? SIM_DNS_AAAA : SIM_DNS_A, ASK_LIMIT,
                 forward_again, s);
}

bool sim_seen_from(struct sim_host *h, const struct ip_address *ip, unsigned host)
{
    char reverse[NAME_TEXT];
    struct sim_seen *s = h->seen;
    while (s && !ip_address_equal(&s->ip, ip))
        s = s->next;
    if (s && s->host != host) {
        char text[ADDRESS_TEXT];
        sim_fail(&h->sim->world, "%s: %s stands for %s, but %s sent from it", h->node.name,
                 ip_address_format(ip, text), h->sim->host[s->host]->node.name,
                 h->sim->host[host]->node.name);
        return false;
    }
    if (!s) {
        s = base_calloc(1, sizeof *s);
        s->ip = *ip;
        s->host = host;
        s->at = h;
        s->since = h->sim->world.now;
        s->next = h->seen;
        h->seen = s;
    }
    if (!s->known && !s->asked) {
        s->asked = true;
        sim_host_ask(h, sim_dns_reverse(ip, reverse), SIM_DNS_PTR, ASK_LIMIT, named, s);
    }
    return true;
}

const char *sim_seen_name(const struct sim_host *h, unsigned host)
{
    for (const struct sim_seen *s = h->seen; s; s = s->next)
        if (s->host == host && s->known)
            return s->name;
    return NULL;
}

void sim_seen_lost(struct sim_host *h, instant since)
{
    for (struct sim_answered **at = &h->answers; *at;) {
        struct sim_answered *a = *at;
        if (a->since < since) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        free(a);
    }
    for (struct sim_seen **at = &h->seen; *at;) {
        struct sim_seen *s = *at;
        if (s->since < since) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        sim_host_forget_questions(h, s);
        free(s);
    }
}

void sim_seen_free(struct sim_host *h)
{
    while (h->seen) {
        struct sim_seen *s = h->seen;
        h->seen = s->next;
        sim_host_forget_questions(h, s);
        free(s);
    }
}
