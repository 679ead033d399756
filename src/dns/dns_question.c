/* Outstanding questions for the host: which path, whose handle.
 *
 * A question is outstanding once however many programs ask it; each asker keeps its own id, type
 * and spelling and gets its own reply.  The tables are bounded: programs' questions in all and per
 * local user, so that one user who asks for thousands of names that do not answer cannot keep
 * others from asking. */
#include "dns/dns_engine.h"

#include <stdio.h>
#include <string.h>

static struct dns_user *user_of(struct dns *dns, uint32_t user, bool make)
{
    struct dns_user *u;
    HASH_FIND(hh, dns->users, &user, sizeof user, u);
    if (!u && make) {
        u = base_calloc(1, sizeof *u);
        u->user = user;
        HASH_ADD(hh, dns->users, user, sizeof u->user, u);
    }
    return u;
}

static void asker_add(struct dns *dns, struct dns_question *q, const struct dns_asker *from)
{
    struct dns_asker *asker = base_calloc(1, sizeof *asker);
    *asker = *from;
    DL_APPEND(q->askers, asker);
    dns->asker_count++;
    user_of(dns, from->client.user, true)->askers++;
    q->wants_v4 |= from->ask.type == DNS_TYPE_A;
    q->wants_v6 |= from->ask.type == DNS_TYPE_AAAA;
}

static void asker_remove(struct dns *dns, struct dns_question *q, struct dns_asker *asker)
{
    struct dns_user *u = user_of(dns, asker->client.user, false);
    if (expect(u != NULL) && --u->askers == 0) {
        HASH_DELETE(hh, dns->users, u);
        free(u);
    }
    dns->asker_count--;
    DL_DELETE(q->askers, asker);
    free(asker);
}

static void question_free(struct dns *dns, struct dns_question *q)
{
    struct dns_asker *asker, *next;
    DL_FOREACH_SAFE(q->askers, asker, next)
    asker_remove(dns, q, asker);
    HASH_DELETE(by_id, dns->questions_by_id, q);
    HASH_DELETE(by_key, dns->questions_by_key, q);
    DL_DELETE(dns->questions, q);
    dns->question_count--;
    free(q);
}

void dns_question_clear(struct dns *dns)
{
    while (dns->questions)
        question_free(dns, dns->questions);
}

/* Why no further asker is taken, or NULL. */
static const char *over_limit(struct dns *dns, uint32_t user, bool new_question)
{
    const struct dns_user *u = user_of(dns, user, false);
    if (u && u->askers >= dns->settings.askers_user_max)
        return "this user has too many DNS questions under way; wait until some are answered";
    if (dns->asker_count >= dns->settings.askers_max ||
        (new_question && dns->question_count >= dns->settings.questions_max))
        return "too many overlay names are being resolved at once; try again in a moment";
    return NULL;
}

void dns_question_ask(struct dns *dns, instant now, const struct dns_asker *from,
                      enum dns_question_kind kind, const char *text,
                      const struct ip_address *address)
{
    char key[sizeof((struct dns_question *)0)->key];
    snprintf(key, sizeof key, "%c%s", kind, text);
    struct dns_question *q;
    HASH_FIND(by_key, dns->questions_by_key, key, strlen(key), q);

    const char *limit = over_limit(dns, from->client.user, q == NULL);
    if (limit) {
        dns->count[DNS_COUNTER_LIMITED]++;
        dns_trouble_queue(dns, &from->client, &from->ask, true, DNS_EDE_NOT_READY, limit);
        return;
    }
    if (q) {
        dns->count[DNS_COUNTER_SHARED]++;
        asker_add(dns, q, from);
        return;
    }
    q = base_calloc(1, sizeof *q);
    q->id = ++dns->last_id;
    memcpy(q->key, key, sizeof key);
    if (address)
        q->address = *address;
    q->deadline = instant_after(now, dns->settings.answer_timeout);
    HASH_ADD(by_id, dns->questions_by_id, id, sizeof q->id, q);
    HASH_ADD_KEYPTR(by_key, dns->questions_by_key, q->key, strlen(q->key), q);
    DL_APPEND(dns->questions, q);
    dns->question_count++;
    asker_add(dns, q, from);
    dns_item_queue(dns, kind == DNS_QUESTION_PTR ? DNS_OUT_PTR : DNS_OUT_RESOLVE)->id = q->id;
}

bool dns_question_pull(struct dns *dns, const struct dns_item *item, struct dns_out *ret)
{
    struct dns_question *q;
    HASH_FIND(by_id, dns->questions_by_id, &item->id, sizeof item->id, q);
    if (!q)
        return false;
    if (item->kind == DNS_OUT_PTR) {
        ret->ptr.question = q->id;
        ret->ptr.address = q->address;
        return true;
    }
    const char *reason;
    ret->resolve.question = q->id;
    ret->resolve.wants_v4 = q->wants_v4;
    ret->resolve.wants_v6 = q->wants_v6;
    ret->resolve.start = q->key[0] == DNS_QUESTION_START;
    ret->resolve.user = q->askers->client.user;
    return expect(name_chain_parse(q->key + 1, &ret->resolve.chain, &reason));
}

static void content_of(const struct dns_settings *settings, const struct dns_asker *asker,
                       const struct dns_result *result, struct dns_content *ret)
{
    uint16_t type = asker->ask.type;
    *ret = (struct dns_content){
        .authoritative = true, .zone_labels = asker->zone_labels, .ttl = settings->answer_ttl};
    switch (result->kind) {
    case DNS_RESULT_ADDRESSES:
        if (type == DNS_TYPE_A && result->v4.family == 4)
            ret->address = &result->v4;
        if (type == DNS_TYPE_AAAA && result->v6.family == 6)
            ret->address = &result->v6;
        return;
    case DNS_RESULT_NAME:
        if (type == DNS_TYPE_PTR)
            ret->ptr = result->name;
        return;
    case DNS_RESULT_NO_SUCH_HOST:
        ret->rcode = DNS_RCODE_NXDOMAIN;
        break;
    case DNS_RESULT_NO_DATA:
        break;
    case DNS_RESULT_TROUBLE:
        ret->rcode = DNS_RCODE_SERVFAIL;
        ret->zone_labels = 0;
        break;
    }
    ret->ede = result->kind == DNS_RESULT_TROUBLE || result->text;
    ret->ede_code = result->ede;
    ret->ede_text = result->text;
}

static void question_answer(struct dns *dns, struct dns_question *q,
                            const struct dns_result *result)
{
    struct dns_asker *asker;
    DL_FOREACH(q->askers, asker)
    {
        struct dns_content content;
        content_of(&dns->settings, asker, result, &content);
        dns_reply_queue(dns, &asker->client, &asker->ask, &content);
    }
    question_free(dns, q);
}

void dns_answer(struct dns *dns, instant now, uint64_t question, const struct dns_result *result)
{
    struct dns_question *q;
    HASH_FIND(by_id, dns->questions_by_id, &question, sizeof question, q);
    if (q)
        question_answer(dns, q, result);
}

void dns_question_advance(struct dns *dns, instant now)
{
    while (dns->questions && dns->questions->deadline <= now) {
        struct dns_question *q = dns->questions;
        char text[NAME_TEXT + 64];
        snprintf(text, sizeof text, "no answer in time for %s", q->key + 1);
        dns->count[DNS_COUNTER_TIMEOUT]++;
        question_answer(dns, q,
                        &(struct dns_result){.kind = DNS_RESULT_TROUBLE,
                                             .ede = DNS_EDE_NO_REACHABLE_AUTHORITY,
                                             .text = text});
    }
}
