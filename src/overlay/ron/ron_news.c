/* Announcements: MEMBERS, ASK, LEAVE.  ron_members.c says what they are for. */
#include "overlay/ron/ron_internal.h"

#include <string.h>

#define NEWS_LONGEST (1 + 2 + 1 + NAME_TEXT + 16 + 2)

static void news_of(const struct ron_member *m, instant now, struct ron_news *ret)
{
    instant at = m->left > m->heard ? m->left : m->heard, age = (now - at) / SECOND;
    *ret = (struct ron_news){.age = (uint16_t)(age < UINT16_MAX ? age : UINT16_MAX),
                             .left = ron_member_gone(m)};
    memcpy(ret->host, m->host, sizeof ret->host);
    if (m->proven)
        ret->at = m->direct;
    else if (m->told_count)
        ret->at = m->told[0];
}

size_t ron_news_make(struct ron *r, instant now, struct ron_member *to)
{
    struct writer w = writer_over(r->bytes, RON_MESSAGE);
    struct ron_news news;
    unsigned count = 0;
    write_u8(&w, RON_MEMBERS);
    write_u8(&w, 0);
    const struct ron_member *asked = to->asked_for ? ron_member_by_id(r, to->asked_for) : NULL;
    to->asked_for = 0;
    if (asked && asked->heard) {
        news_of(asked, now, &news);
        ron_news_write(&w, &news);
        count++;
    }
    struct ron_member *m;
    DL_FOREACH(r->changes, m)
    {
        if (m->changed <= to->news_told)
            continue;
        if (writer_left(&w) < NEWS_LONGEST || count == UINT8_MAX)
            break;
        to->news_told = m->changed;
        if (m == to || (!m->heard && !m->left))
            continue;
        news_of(m, now, &news);
        ron_news_write(&w, &news);
        count++;
    }
    if (!m)
        to->news_told = r->changed;
    r->bytes[1] = (uint8_t)count;
    return count ? writer_size(&w) : 0;
}

static void told_place(struct ron *r, instant now, struct ron_member *m, const struct endpoint *at)
{
    for (unsigned i = 0; i < m->told_count; i++)
        if (endpoint_equal(&m->told[i], at))
            return;
    unsigned keep = m->told_count < RON_PLACES ? m->told_count++ : RON_PLACES - 1;
    memmove(m->told + 1, m->told, keep * sizeof *m->told);
    m->told[0] = *at;
    if (!m->linked && (!m->direct.ip.family || !m->proven))
        ron_member_at(r, now, m, &(struct endpoint){0}, at, false);
}

static void heard_of(struct ron *r, instant now, const struct ron_news *n)
{
    instant at = now - n->age * SECOND;
    if (!strcmp(n->host, r->overlay.settings.host) || now - at >= r->options.forget)
        return;
    struct ron_member *m = ron_member_get(r, now, n->host);
    if (!m || m->linked)
        return; /* we know better */
    at = at > 0 ? at : 1;
    bool news = !m->heard && !m->left, was_gone = ron_member_gone(m);
    if (n->left && at > m->left)
        m->left = at;
    if (!n->left && at > m->heard)
        m->heard = at;
    m->forgotten = false;
    if (news || was_gone != ron_member_gone(m)) {
        m->want_due = instant_min(m->want_due, now);
        ron_member_changed(r, now, m);
    }
    if (!n->left && n->at.ip.family)
        told_place(r, now, m, &n->at);
    ron_due(r, now);
}

void ron_news_heard(struct ron *r, instant now, struct ron_member *from, const uint8_t *bytes,
                    size_t size)
{
    struct reader in = reader_over(bytes, size);
    struct ron_news n;
    read_u8(&in);
    for (unsigned count = read_u8(&in); count; count--) {
        if (!ron_news_read(&in, &n)) {
            r->count[RON_COUNT_BAD_MESSAGE]++;
            return;
        }
        heard_of(r, now, &n);
    }
    if (reader_left(&in))
        r->count[RON_COUNT_BAD_MESSAGE]++;
}

size_t ron_ask_make(struct ron *r, struct ron_member *to)
{
    struct writer w = writer_over(r->bytes, sizeof r->bytes);
    write_u8(&w, RON_ASK);
    write_u32(&w, to->ask);
    to->ask = 0;
    return writer_size(&w);
}

void ron_ask_heard(struct ron *r, instant now, struct ron_member *from, const uint8_t *bytes,
                   size_t size)
{
    struct reader in = reader_over(bytes, size);
    read_u8(&in);
    uint32_t id = read_u32(&in);
    if (in.failed || reader_left(&in)) {
        r->count[RON_COUNT_BAD_MESSAGE]++;
        return;
    }
    if (id)
        from->asked_for = id;
    else
        from->news_told = 0;
    ron_say(r, from, RON_SAY_NEWS);
}

void ron_leave_heard(struct ron *r, instant now, struct ron_member *from)
{
    from->left = now > 0 ? now : 1;
    ron_member_changed(r, now, from);
}
