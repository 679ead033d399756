/* Who may reach what here, and whom we forward for. */
#include "path/path_internal.h"

#include <string.h>

#define PROTOCOL_ICMP   1
#define PROTOCOL_ICMPV6 58

static const struct config_policy *policy_line(const struct path_engine *e,
                                               const struct overlay_name *name)
{
    for (unsigned i = 0; i < e->config->policy_count; i++)
        if (name_pattern_match(e->config->policies[i].peer, name))
            return &e->config->policies[i];
    return NULL;
}

static void allow(struct fwd_policy *p, uint8_t protocol, uint16_t low, uint16_t high)
{
    p->allow[p->count++] = (struct fwd_allow){.protocol = protocol, .low = low, .high = high};
}

/* Of most paths: one for all. */
static const struct fwd_policy everything = {.everything = true};

/* Members of an instance of ours reach everything until a line says otherwise; names from elsewhere
 * get ICMP and what a line lists. */
static const struct fwd_policy *policy_for(const struct path_engine *e, const char *text)
{
    struct overlay_name name = {0};
    memcpy(name.text, text, strlen(text) + 1);
    const struct config_policy *line = policy_line(e, &name);
    unsigned lines = line ? line->allow_count : 0;
    if (!line && config_overlay_find(e->config, overlay_name_instance(&name)))
        return &everything;
    struct fwd_policy *p = base_calloc(1, sizeof *p + (2 * lines + 2) * sizeof p->allow[0]);
    if (!line) {
        allow(p, PROTOCOL_ICMP, 0, UINT16_MAX);
        allow(p, PROTOCOL_ICMPV6, 0, UINT16_MAX);
    }
    for (unsigned i = 0; i < lines; i++) {
        const struct config_service *s = &line->allow[i];
        if (s->protocol == CONFIG_ANY)
            p->everything = true;
        allow(p, s->protocol, s->low, s->high);
        if (s->protocol == CONFIG_ICMP)
            allow(p, PROTOCOL_ICMPV6, 0, UINT16_MAX);
    }
    return p;
}

static void policy_set(struct path_engine *e, struct path *p, const struct fwd_policy *policy)
{
    const struct fwd_policy *old = atomic_exchange(&p->fwd->policy, policy);
    if (old && old != &everything)
        epoch_retire(e->epoch, (void *)old, free);
}

void path_policy_apply(struct path_engine *e, struct path *p)
{
    policy_set(e, p, policy_for(e, p->peer->name));
}

void path_policy_forget(struct path_engine *e, struct path *p)
{
    policy_set(e, p, NULL);
}

bool path_policy_forwards(const struct path_engine *e, const char *from, const char *to_instance)
{
    struct overlay_name name = {0};
    memcpy(name.text, from, strlen(from) + 1);
    for (unsigned i = 0; i < e->config->forward_count; i++)
        if (name_pattern_match(e->config->forwards[i].from, &name) &&
            !strcmp(e->config->forwards[i].to, to_instance))
            return true;
    return false;
}
