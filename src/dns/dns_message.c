/* Building and parsing with ldns.
 *
 * Only two parts of ldns are used: wire format to structs and back.  Neither opens, blocks, reads a
 * clock or draws randomness.  The owner of an answer is a copy of the question's name, so that a
 * program which mixes upper and lower case as a defence against forgery finds its own spelling. */
#include "dns/dns_message.h"

#include <ldns/ldns.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/text.h"
#include "dns/dns.h"

/* RFC 1035 section 4.1.1. */
#define FLAG_QR 0x8000
#define FLAG_RD 0x0100
#define FLAG_CD 0x0010

static bool question_read(const ldns_pkt *pkt, struct dns_ask *ask)
{
    ldns_rr_list *questions = ldns_pkt_question(pkt);
    if (ldns_rr_list_rr_count(questions) != 1)
        return false;
    const ldns_rr *rr = ldns_rr_list_rr(questions, 0);
    const ldns_rdf *owner = ldns_rr_owner(rr);
    if (!owner || !dns_name_set(&ask->name, ldns_rdf_data(owner), ldns_rdf_size(owner)))
        return false;
    ask->type = (uint16_t)ldns_rr_get_type(rr);
    ask->class = (uint16_t)ldns_rr_get_class(rr);
    return true;
}

static void edns_read(const ldns_pkt *pkt, struct dns_ask *ask)
{
    ask->udp_limit = DNS_UDP_MIN;
    ask->edns = ldns_pkt_edns(pkt);
    if (!ask->edns)
        return;
    uint16_t size = ldns_pkt_edns_udp_size(pkt);
    if (size > DNS_UDP_MIN)
        ask->udp_limit = size < DNS_UDP_MAX ? size : DNS_UDP_MAX;
    ask->dnssec_ok = ldns_pkt_edns_do(pkt);
}

enum dns_parse dns_message_parse(const void *bytes, size_t size, struct dns_ask *ret,
                                 uint16_t *ret_rcode)
{
    struct reader r = reader_over(bytes, size);
    struct dns_ask ask = {.id = read_u16(&r), .udp_limit = DNS_UDP_MIN};
    uint16_t flags = read_u16(&r), questions = read_u16(&r);
    read_bytes(&r, 4);
    uint16_t additional = read_u16(&r);
    if (r.failed || flags & FLAG_QR)
        return DNS_PARSE_DROP;
    ask.opcode = flags >> 11 & 15;
    ask.rd = flags & FLAG_RD;
    ask.cd = flags & FLAG_CD;
    *ret = ask;
    if (ask.opcode != LDNS_PACKET_QUERY) {
        *ret_rcode = DNS_RCODE_NOTIMP;
        return DNS_PARSE_ERROR;
    }
    *ret_rcode = DNS_RCODE_FORMERR;
    ldns_pkt *pkt = NULL;
    if (questions != 1 || size > DNS_MESSAGE_MAX ||
        ldns_wire2pkt(&pkt, bytes, size) != LDNS_STATUS_OK)
        return DNS_PARSE_ERROR;

    enum dns_parse result = DNS_PARSE_ERROR;
    if (!question_read(pkt, &ask))
        goto out;
    edns_read(pkt, &ask);
    *ret = ask;
    /* ldns takes OPT records out of the additional section: more than one is an error (RFC 6891
     * section 6.1.1). */
    if (additional > ldns_pkt_arcount(pkt) + 1)
        goto out;
    if (ask.edns && ldns_pkt_edns_version(pkt) > 0)
        *ret_rcode = DNS_RCODE_BADVERS;
    else if (ask.class != DNS_CLASS_IN)
        *ret_rcode = DNS_RCODE_REFUSED;
    else
        result = DNS_PARSE_QUESTION;
out:
    ldns_pkt_free(pkt);
    return result;
}

/* A new dname from the last `labels` labels of a name. */
static ldns_rdf *dname_of(const struct dns_name *name, unsigned labels)
{
    size_t offset = labels ? name->at[name->labels - labels] : name->size - 1;
    return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, name->size - offset, name->bytes + offset);
}

static ldns_rr *record_new(const struct dns_name *owner, unsigned labels, uint16_t type,
                           uint32_t ttl)
{
    ldns_rr *rr = ldns_rr_new();
    require(rr);
    ldns_rr_set_owner(rr, dname_of(owner, labels));
    ldns_rr_set_type(rr, type);
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, ttl);
    return rr;
}

static ldns_rr *soa_new(const struct dns_ask *ask, const struct dns_content *c)
{
    ldns_rr *rr = record_new(&ask->name, c->zone_labels, LDNS_RR_TYPE_SOA, c->negative_ttl);
    ldns_rr_push_rdf(rr, dname_of(&ask->name, c->zone_labels));
    ldns_rr_push_rdf(rr, ldns_dname_new_frm_str("nobody.invalid."));
    /* serial, refresh, retry, expire: nobody transfers this zone; then the time to keep a "no". */
    const uint32_t numbers[] = {1, 3600, 600, 86400, c->negative_ttl};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ldns_rr_push_rdf(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, numbers[i]));
    return rr;
}

/* The answer record, or NULL when there is none to give. */
static ldns_rr *answer_new(const struct dns_ask *ask, const struct dns_content *c)
{
    if (c->soa)
        return soa_new(ask, c);
    ldns_rdf *data = NULL;
    if (c->address && c->address->family == 4)
        data = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, 4, c->address->bytes);
    else if (c->address && c->address->family == 6)
        data = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_AAAA, 16, c->address->bytes);
    else if (c->ptr)
        data = ldns_dname_new_frm_str(c->ptr);
    if (!data)
        return NULL;
    ldns_rr *rr = record_new(&ask->name, ask->name.labels, ask->type, c->ttl);
    ldns_rr_push_rdf(rr, data);
    return rr;
}

static void edns_write(ldns_pkt *pkt, const struct dns_ask *ask, const struct dns_content *c)
{
    ldns_pkt_set_edns_udp_size(pkt, DNS_UDP_MAX);
    ldns_pkt_set_edns_do(pkt, ask->dnssec_ok);
    ldns_pkt_set_edns_extended_rcode(pkt, (uint8_t)(c->rcode >> 4));
    if (!c->ede)
        return;
    /* Words may hold names from peers. */
    char buffer[DNS_EDE_TEXT_MAX + 1];
    struct text text;
    text_begin(&text, buffer, sizeof buffer);
    if (c->ede_text)
        text_add_escaped(&text, c->ede_text, strlen(c->ede_text));
    uint8_t option[2 + DNS_EDE_TEXT_MAX];
    struct writer w = writer_over(option, sizeof option);
    write_u16(&w, c->ede_code);
    write_bytes(&w, buffer, text.length);
    ldns_edns_option_list *list = ldns_edns_option_list_new();
    require(list);
    ldns_edns_option_list_push(list,
                               ldns_edns_new_from_data(LDNS_EDNS_EDE, writer_size(&w), option));
    ldns_pkt_set_edns_option_list(pkt, list);
}

static ldns_pkt *packet_new(uint16_t id, const struct dns_name *name, uint16_t type, uint16_t class)
{
    ldns_pkt *pkt = ldns_pkt_new();
    require(pkt);
    ldns_pkt_set_id(pkt, id);
    if (name->size) {
        ldns_rr *question = record_new(name, name->labels, type, 0);
        ldns_rr_set_class(question, class);
        ldns_rr_set_question(question, true);
        ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, question);
    }
    return pkt;
}

static uint8_t *packet_finish(ldns_pkt *pkt, size_t *ret_size)
{
    uint8_t *bytes = NULL;
    if (ldns_pkt2wire(&bytes, pkt, ret_size) != LDNS_STATUS_OK)
        bytes = NULL;
    ldns_pkt_free(pkt);
    return bytes;
}

static uint8_t *reply_build(const struct dns_ask *ask, const struct dns_content *c, bool truncated,
                            size_t *ret_size)
{
    ldns_pkt *pkt = packet_new(ask->id, &ask->name, ask->type, ask->class);
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_opcode(pkt, ask->opcode);
    ldns_pkt_set_aa(pkt, c->authoritative);
    ldns_pkt_set_tc(pkt, truncated);
    ldns_pkt_set_rd(pkt, ask->rd);
    ldns_pkt_set_ra(pkt, true);
    ldns_pkt_set_cd(pkt, ask->cd);
    ldns_pkt_set_rcode(pkt, c->rcode & 15);
    if (!truncated && ask->name.size) {
        ldns_rr *answer = answer_new(ask, c);
        if (answer)
            ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, answer);
        else if (c->zone_labels)
            ldns_pkt_push_rr(pkt, LDNS_SECTION_AUTHORITY, soa_new(ask, c));
    }
    if (ask->edns)
        edns_write(pkt, ask, c);
    return packet_finish(pkt, ret_size);
}

uint8_t *dns_message_reply(const struct dns_ask *ask, const struct dns_content *content,
                           size_t limit, size_t *ret_size, bool *ret_truncated)
{
    *ret_truncated = false;
    uint8_t *bytes = reply_build(ask, content, false, ret_size);
    if (!bytes || *ret_size <= limit)
        return bytes;
    /* The words go first: an answer without them is still an answer. */
    struct dns_content shorter = *content;
    shorter.ede_text = NULL;
    free(bytes);
    bytes = reply_build(ask, &shorter, false, ret_size);
    if (!bytes || *ret_size <= limit)
        return bytes;
    *ret_truncated = true;
    free(bytes);
    return reply_build(ask, &shorter, true, ret_size);
}

uint8_t *dns_message_question(const struct dns_name *name, uint16_t type, uint16_t id,
                              size_t *ret_size)
{
    ldns_pkt *pkt = packet_new(id, name, type, DNS_CLASS_IN);
    ldns_pkt_set_rd(pkt, true);
    ldns_pkt_set_edns_udp_size(pkt, DNS_UDP_MAX);
    return packet_finish(pkt, ret_size);
}
