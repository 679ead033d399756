/* What is under way on a path, which is nothing for most of them most of the time. */
#include "path/path_internal.h"

struct work *path_work(struct path *p)
{
    if (!p->work)
        p->work = base_calloc(1, sizeof *p->work);
    return p->work;
}

void path_work_free(struct path *p)
{
    struct work *w = p->work;
    if (!w)
        return;
    path_mtu_free(p);
    if (w->next)
        crypto_wipe(w->next, sizeof *w->next);
    if (w->rekey)
        noise_done(w->rekey);
    free(w->next);
    free(w->rekey);
    free(w->rekey_message);
    free(w->confirm);
    free(w->pieces);
    free(w->move);
    free(w);
    p->work = NULL;
}

bool path_keys_under_way(struct path *p)
{
    const struct work *w = path_work(p);
    return w->next || w->rekey || w->done_waits || w->old_keys_until || w->confirm;
}

/* A message that lacks a piece by now is repeated whole by who sent it. */
void path_rest(struct path *p)
{
    const struct work *w = p->work;
    if (w && p->parked && !path_keys_under_way(p) && !w->rekey_since && !w->unanswered_since &&
        !w->probe_sent && !w->ping_waits)
        path_work_free(p);
}
