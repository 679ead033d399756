/* What the files of the path engine do for each other; nobody outside path/ includes this.
 *
 * One idea per file: handshake.c (Noise inside our messages), link.c (messages in clear), link_answer.c (what strangers
 * get), open.c (what the initiator does), half.c (what the responder does), over_link.c (set-up by way of a link), stand.c
 * (which path is in use), gateway.c and transit.c (for others), session.c (keys and lanes), park.c, rekey.c, alive.c
 * (timers), suspect.c (lost, silent, closed, doubted), move.c (neighbours that are elsewhere now), control.c (sealed
 * messages), refused.c (records that the kernel did not take), mtu.c and mtu_search.c (the largest record that gets through),
 * trust.c (who is who), policy.c, neighbour.c, engine.c (life cycle, slots, outputs), inspect.c (looking).  What they keep
 * is in objects.h. */
#ifndef OCALA_PATH_INTERNAL_H
#define OCALA_PATH_INTERNAL_H

#include "base/check.h"
#include "path/objects.h"

/* engine.c */
/* 0: there are no more. */
uint32_t path_slot_take(struct path_engine *e, enum slot_kind kind, void *object);
void path_slot_free(struct path_engine *e, uint32_t slot);
void path_slot_change(struct path_engine *e, uint32_t slot, enum slot_kind kind, void *object);
uint32_t path_slot_label(const struct path_engine *e, uint32_t slot);
/* The path with that slot, or NULL. */
struct path *path_slot_path(const struct path_engine *e, uint32_t slot);
/* The object behind a label of ours, if it is of this kind. */
void *path_slot_find(const struct path_engine *e, uint32_t label, enum slot_kind kind);
struct path_out *path_out_add(struct path_engine *e, enum path_out_kind kind);
/* Copies the bytes or text into the newest output. */
void path_out_bytes(struct path_engine *e, const uint8_t *bytes, size_t size);
void path_out_text(struct path_engine *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void path_out_host(struct path_engine *e, const char *host);
void path_out_forward(struct path_engine *e, const struct forward_out *f);
/* A line for the log, at most 20 in a second. */
void path_notice(struct path_engine *e, instant now, int level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The network's secrets; none is one of 32 zero bytes. */
void path_instance_set_secrets(struct instance *in, const uint8_t (*secret)[32], unsigned count);
int path_engine_instance(const struct path_engine *e, const char *instance_name); /* index, or -1 */
bool path_engine_is_self(const struct path_engine *e, const char *name);

/* work.c */
struct work *path_work(struct path *p);   /* made when there is none            */
void path_rest(struct path *p);           /* frees it when the path needs it not */
bool path_keys_under_way(struct path *p); /* they are being replaced or confirmed */
void path_work_free(struct path *p);

/* names.c */
void path_names_init(struct path_engine *e);
/* The text, as long as it is not given back. */
const char *path_names_take(struct path_engine *e, const char *text);
void path_names_give(struct path_engine *e, const char *taken); /* accepts NULL */
struct name_entry *path_names_of(const char *taken);
struct name_entry *path_names_find(const struct path_engine *e, const char *text); /* or NULL */

/* neighbour.c */
void path_neighbours_init(struct path_engine *e);
struct neighbour *path_neighbour_find(const struct path_engine *e, const char *name); /* or NULL */
/* Closes the tunnels that no worker can use any more. */
void path_neighbours_settle(struct path_engine *e);
void path_neighbours_done(struct path_engine *e);
/* The next of all; NULL: that was the last.  See hash_each(). */
struct neighbour *path_neighbour_each(const struct path_engine *e, struct hash_walk *walk);
struct neighbour *path_neighbour_get(struct path_engine *e, const char *name,
                                     unsigned instance); /* found or made */
struct neighbour *path_neighbour_by_tunnel(struct path_engine *e, uint32_t tunnel);
void path_neighbour_open_tunnel(struct path_engine *e, struct neighbour *n);
void path_neighbour_use(struct neighbour *n);
void path_neighbour_release(struct path_engine *e,
                            struct neighbour *n); /* closes the tunnel of the last user */
const struct recipe *path_neighbour_recipe(const struct neighbour *n);
/* The largest record to send to it: what its tunnel takes, or less, as the link found out. */
uint16_t path_neighbour_record_mtu(const struct neighbour *n);
uint16_t path_neighbour_tunnel_mtu(const struct neighbour *n);
/* A record of this size got through its tunnel. */
void path_neighbour_carries(struct path_engine *e, struct neighbour *n, uint16_t record_mtu);
void path_neighbour_set_recipe(struct path_engine *e, struct neighbour *n, const struct recipe *r);
/* Makes sure that a link is being opened, which may take until `limit`; true when one is up. */
bool path_neighbour_want_link(struct path_engine *e, instant now, struct neighbour *n,
                              instant limit);
/* Nobody wants anything any more: the engine ends. */
void path_neighbours_release_wanted(struct path_engine *e);
/* Another link, or none (NULL). */
void path_neighbour_set_link(struct path_engine *e, struct neighbour *n, struct path *link);
/* A link that the module wanted could not be had. */
void path_neighbour_link_failed(struct path_engine *e, struct neighbour *n);
/* Data flows over the neighbour; the module is told when that is new. */
void path_neighbour_used(struct path_engine *e, struct neighbour *n);
/* The link was looked at: does any path still use the neighbour? */
void path_neighbour_idle(struct path_engine *e, instant now, struct neighbour *n);
/* Data went, and none came back for `pause`; told once in each pause. */
void path_neighbour_quiet(struct path_engine *e, instant now, struct neighbour *n, instant pause);
void path_neighbour_silent(struct path_engine *e, instant now, struct neighbour *n);
/* Does a datagram from there come from this neighbour?  A tunnel that cannot tell: yes. */
bool path_neighbour_at(const struct neighbour *n, const struct endpoint *remote);

/* load.c */
/* One more; false: that is more than `most` in this second. */
bool path_rate_admits(struct rate *r, instant now, unsigned most);
bool path_source_admits(struct path_engine *e, instant now, enum source_kind kind,
                        const struct ip_address *ip, unsigned most);
/* A stranger's OPEN came: must it show a cookie? */
bool path_load_judge(struct path_engine *e, instant now, unsigned instance);
void path_load_init(struct path_engine *e);

/* handshake.c: Noise inside our messages, for links and for paths over gateways */
struct handshake_settings {
    uint8_t pattern;
    unsigned self;           /* instance whose identity we show                          */
    const char *target;      /* initiator                                                */
    const uint8_t *peer_key; /* initiator; NULL: not known                               */
    const uint8_t *psk;
    uint32_t label; /* of ours, said inside message 1; 0 over gateways          */
    uint32_t known; /* of the target's paths; 0: none                           */
    size_t pad_to;  /* the whole noise message gets at least this size; 0: none */
};
/* Writes message 1.  With a key that cannot be used the pattern falls back to XX; *ret_pattern
 * tells. */
size_t path_handshake_begin(struct path_engine *e, struct noise *n,
                            const struct handshake_settings *s, uint8_t *ret_pattern, uint8_t *out,
                            size_t size);
bool path_handshake_answer_read(struct path_engine *e, struct noise *n, uint8_t pattern,
                                unsigned self, const uint8_t psk[32], const uint8_t *message,
                                size_t size, struct handshake_payload *ret);
uint8_t path_handshake_choose_aead(const struct path_engine *e, uint8_t offered);
void path_handshake_id(const uint8_t *message1, size_t size, uint8_t ret[HANDSHAKE_ID]);
void path_handshake_keys(const struct noise *n, bool initiator, struct epoch_keys *ret);

/* session.c */
void path_session_create(struct path_engine *e, struct path *p, unsigned data_lanes);
void path_session_install(struct path_engine *e, struct path *p, const struct epoch_keys *keys,
                          bool send_now);
/* The first keys of a path.  Counter 0 of the initiator's lane 0 is spent: it was inside CONFIRM.
 */
void path_session_first(struct path_engine *e, struct path *p, const struct epoch_keys *keys);
void path_session_send_on(struct path_engine *e, struct path *p, const struct epoch_keys *keys);
void path_session_drop_old(struct path_engine *e, struct path *p);
void path_session_publish(struct path_engine *e, struct path *p);
void path_session_free(struct path_engine *e, struct path *p);
void path_session_key_lane(struct path_engine *e, const struct path *p, struct lane *l,
                           uint64_t next_send,
                           const uint64_t *highest); /* NULL: opened nothing yet */
void path_session_lane_release(void *lane);          /* for epoch_retire()       */
instant path_session_heard(const struct path *p);
instant path_session_sent(const struct path *p);
instant path_session_data_used(const struct path *p);
/* Was data sent for longer than `pause` after some was heard last? */
bool path_session_data_unanswered(const struct path *p, instant pause);
void path_session_data_last(const struct path *p, instant *ret_heard, instant *ret_sent);
/* What was sent on data lanes: records, and bytes inside of them. */
void path_session_data_sent(const struct path *p, uint64_t *ret_records, uint64_t *ret_bytes);
void path_session_watch(struct path *p);
uint64_t path_session_counter(const struct path *p); /* the highest of all lanes, sent */
void path_session_set_mtu(struct path *p, uint16_t record_mtu);

/* park.c */
bool path_session_park(struct path_engine *e, struct path *p); /* false: not now */
bool path_session_parked_settle(struct path_engine *e,
                                struct path *p); /* true when the keys are put away */
void path_session_wake(struct path_engine *e, struct path *p);
void path_session_forget_parked(struct path_engine *e, struct path *p);
/* Of the sleeping lanes from `first` on: moves the instants to those of their last use. */
void path_session_parked_use(const struct path *p, unsigned first, instant *heard, instant *sent);
/* Records and bytes of all lanes, asleep or not. */
void path_session_count(const struct path *p, struct path_info *ret);
uint64_t path_session_parked_counter(const struct path *p, unsigned lane); /* next to be sent */

/* rekey.c */
void path_rekey_begin(struct path_engine *e, instant now, struct path *p);
void path_rekey_receive(struct path_engine *e, instant now, struct path *p, struct reader *r);
void path_rekey_reply(struct path_engine *e, instant now, struct path *p, struct reader *r);
void path_rekey_done(struct path_engine *e, instant now, struct path *p);
void path_rekey_ask(struct path_engine *e, instant now,
                    struct path *p); /* responder: the keys are due */
void path_rekey_asked(struct path_engine *e, instant now, struct path *p);
void path_rekey_seen(struct path_engine *e, instant now, struct path *p, uint8_t epoch);

/* control.c */
void path_control_send(struct path_engine *e, instant now, struct path *p, const uint8_t *bytes,
                       size_t size);
/* By another way than the tunnel's; `recipe` NULL: by the tunnel's. */
void path_control_send_by(struct path_engine *e, instant now, struct path *p,
                          const struct recipe *recipe, const uint8_t *bytes, size_t size);
void path_control_record(struct path_engine *e, instant now, const struct arrival *from,
                         const uint8_t *bytes, size_t size);
void path_control_probe(struct path_engine *e, instant now, struct path *p);
/* A PROBE in one record of `record_size` bytes, whatever the MTU: at least CONTROL_PROBE_LEAST. */
void path_control_probe_sized(struct path_engine *e, instant now, struct path *p, uint32_t number,
                              uint16_t record_size);
#define CONTROL_PROBE_LEAST (RECORD_OVERHEAD + 5)
/* The smallest PROBE, to that place and not by the tunnel. */
void path_control_ask_at(struct path_engine *e, instant now, struct path *p,
                         const struct arrival *at, uint32_t number);
void path_control_hello(struct path_engine *e, instant now, struct path *p); /* an empty record */

/* link.c */
void path_link_begin(struct path_engine *e, instant now, struct path *p);
void path_link_repeat(struct path_engine *e, instant now, struct path *p);
void path_link_again(struct path_engine *e,
                     struct path *p); /* the same bytes: the tunnel leads elsewhere now */
void path_link_hurry(struct path_engine *e, instant now, struct neighbour *n);
void path_link_clear(struct path_engine *e, instant now, unsigned instance,
                     const struct arrival *from, const uint8_t *bytes, size_t size);
void path_link_send_clear(struct path_engine *e, struct path *p, const uint8_t *bytes, size_t size);

/* link_answer.c */
void path_link_open_received(struct path_engine *e, instant now, unsigned instance,
                             const struct arrival *from, const uint8_t *bytes, size_t size);
void path_link_mac(const uint8_t key[32], const uint8_t *bytes, size_t size, uint8_t ret[LINK_MAC]);
void path_link_cookie_key(const struct instance *in, unsigned secret, uint8_t ret[32]);
void path_link_error_received(struct path_engine *e, instant now, const struct arrival *from,
                              const uint8_t *bytes, size_t size);

/* open.c */
/* The first hop must be in an instance of ours.  An initiator takes a slot (NULL: there is none
 * left); a responder's comes from its half. */
struct path *path_new(struct path_engine *e, const struct name_chain *chain, bool initiator);
void path_free(struct path_engine *e, struct path *p);
void path_opening_free(struct path_engine *e, struct path *p);
struct path *path_opening_of(struct path_engine *e, const char *chain);
void path_table_init(struct path_engine *e);
void path_fail(struct path_engine *e, instant now, struct path *p, const char *reason);
void path_begin(struct path_engine *e, instant now, struct path *p, instant limit);
struct path *path_reopen(struct path_engine *e, instant now, struct path *p);
void path_hint(struct path *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void path_accepted(struct path_engine *e, instant now, struct path *p, uint32_t label,
                   uint16_t record_mtu, const struct vouch *vouch, const uint8_t *noise,
                   size_t size);
void path_confirm_again(struct path_engine *e, instant now, struct path *p);
void path_leave_soon(struct path_engine *e, instant now,
                     struct path *p); /* path_alive_tick() frees it */
void path_set_id(struct path_engine *e, struct path *p, const uint8_t id[HANDSHAKE_ID]);
void path_set_label(struct path_engine *e, struct path *p, uint32_t label_out);
struct path *path_of_handshake(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
/* The last hop of a path's chain, as text inside of it. */
size_t path_target_size(const struct path *p);

/* over_link.c */
void path_open_over_link(struct path_engine *e, instant now, struct path *p);
void path_open_receive(struct path_engine *e, instant now, struct path *link, struct reader *r);
void path_open_accept_receive(struct path_engine *e, instant now, struct path *link,
                              struct reader *r);
void path_open_confirm_receive(struct path_engine *e, instant now, struct path *link,
                               struct reader *r);
void path_open_refuse_receive(struct path_engine *e, instant now, struct path *link,
                              struct reader *r);
void path_refuse_over_link(struct path_engine *e, instant now, struct path *link,
                           const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text);

/* half.c */
/* NULL: there is no room. */
struct half *path_half_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID]);
struct half *path_half_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
void path_half_free(struct path_engine *e, struct half *h);
void path_half_make_room(struct path_engine *e, const struct neighbour *link,
                         const struct overlay_name *origin);
unsigned path_half_count_from(const struct path_engine *e, const struct ip_address *ip);
/* Reads message 1 into the half and writes message 2; 0 with *ret_code when the half must go. */
size_t path_half_answer(struct path_engine *e, instant now, struct half *h, const uint8_t *noise,
                        size_t noise_size, uint8_t *out, size_t size, unsigned *ret_code);
/* `from`: over a link NULL.  The half is gone when this was the real one. */
void path_half_confirm(struct path_engine *e, instant now, struct half *h, const uint8_t *bytes,
                       size_t size, const struct arrival *from);
void path_half_stash(struct path_engine *e, struct half *h, const struct arrival *from,
                     const uint8_t *record, size_t size);

/* stand.c */
/* The path stands (both sides).  Responder: `half` is what it comes from, by which crossed opens are known; else NULL. */
void path_stands(struct path_engine *e, instant now, struct path *p, const char *name,
                 const uint8_t key[32], const char *how, const struct half *half);
/* What message 1 for that name says in `known`. */
uint32_t path_stand_known(const struct path_engine *e, const char *name);
/* It is not the current one any more; if another one can stand in, that is. */
void path_stand_leave(struct path_engine *e, instant now, struct path *p, const char *reason);
void path_stand_promote(struct path_engine *e, instant now, struct path *p);
struct path *path_current_of(struct path_engine *e, const char *chain);
void path_peer_leave(struct path_engine *e, struct path *p);
struct peer *path_peer_by_name(const struct path_engine *e, const char *name);

/* gateway.c */
void path_gateway_open(struct path_engine *e, instant now, struct path *link,
                       struct open_message *m);
bool path_gateway_accept(struct path_engine *e, instant now, struct path *link,
                         struct accept_message *m);
bool path_gateway_confirm(struct path_engine *e, instant now, struct path *link,
                          const uint8_t id[HANDSHAKE_ID], const uint8_t *bytes, size_t size);
bool path_gateway_refuse(struct path_engine *e, instant now, struct path *link,
                         const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text);
void path_gateway_link_up(struct path_engine *e, instant now, struct neighbour *n);
void path_gateway_link_failed(struct path_engine *e, instant now, struct neighbour *n,
                              unsigned code, const char *reason);

/* transit.c */
struct transit *path_transit_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID]);
struct transit *path_transit_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID],
                                 struct neighbour *in, struct neighbour *out); /* NULL: no room */
void path_transit_join(struct path_engine *e, instant now, struct transit *t);
void path_transit_set_label(struct path_engine *e, struct transit_side *s, uint32_t label_out);
void path_transit_free(struct path_engine *e, struct transit *t);
void path_transit_tick(struct path_engine *e, instant now, struct transit *t);
void path_transit_link_lost(struct path_engine *e, instant now, struct neighbour *n);
/* A neighbour does not know a label that we send to: a hint without keys, for the other side. */
void path_transit_error(struct path_engine *e, instant now, const struct endpoint *from,
                        uint32_t label_out);
/* The neighbour `from` says of a label of ours: that it leads nowhere, is not used any more, or
 * carries less. */
void path_transit_label_error(struct path_engine *e, instant now, struct neighbour *from,
                              uint32_t label);
void path_transit_label_release(struct path_engine *e, instant now, struct neighbour *from,
                                uint32_t label);
void path_transit_label_mtu(struct path_engine *e, instant now, struct neighbour *from,
                            uint32_t label, uint16_t record_mtu);
/* The tunnel to `n` carries less than before: whoever sends into it is told. */
void path_transit_tunnel_mtu(struct path_engine *e, instant now, struct neighbour *n,
                             uint16_t record_mtu);
/* A message of `from` is to be passed on; false: it brought too many. */
bool path_transit_may_pass(struct path_engine *e, instant now, struct neighbour *from);
void path_transit_recheck(struct path_engine *e, instant now);

/* alive.c */
void path_alive_tick(struct path_engine *e, instant now, struct path *p);
void path_alive_schedule(struct path_engine *e, instant now, struct path *p);
void path_alive_heard(struct path_engine *e, instant now, struct path *p);

/* suspect.c */
/* A hint that the other end or a gateway lost the path: ask, and open the same way beside it. */
void path_alive_suspect(struct path_engine *e, instant now, struct path *p);
void path_lost(struct path_engine *e, instant now, struct path *p, const char *reason);
void path_drain(struct path_engine *e, instant now, struct path *p);
/* Lost, as far as we can tell; but the other end may not know, and the way may heal. */
void path_fell_silent(struct path_engine *e, instant now, struct path *p, const char *reason);
/* Something authentic came on a path that had fallen silent. */
void path_heard_again(struct path_engine *e, instant now, struct path *p);
/* One end wants no more: nothing of what drains may stand in. */
void path_forsake(struct path_engine *e, instant now, struct peer *peer);

/* move.c */
/* The newest record of the link came from there, and not from where its tunnel leads. */
void path_move_seen(struct path_engine *e, instant now, struct path *p, const struct arrival *from);
/* It came from where the tunnel leads. */
void path_move_not(struct path *p);
/* A PROBE_REPLY came; true: the number is that of a question of ours. */
bool path_move_reply(struct path_engine *e, instant now, struct path *p, uint32_t number);

/* trust.c */
struct judgement {
    bool ok;
    char text[256]; /* how it is known, or why not */
};
/* Is `name` = `key`?  `link_instance` >= 0: over a link of that instance.  Else over gateways;
 * `voucher` is the neighbour whose word came with it (NULL: none).  With `bind` a first use is
 * written down. */
struct judgement path_trust_judge(struct path_engine *e, const char *name, const uint8_t key[32],
                                  int link_instance, const char *voucher, bool bind);
/* The key we would expect for a name; false: none. */
bool path_trust_key(const struct path_engine *e, const char *name, uint8_t ret[32]);
bool path_trust_believes(const struct path_engine *e, const char *gateway, const char *name);
void path_trust_load(struct path_engine *e, const char *text, size_t size);
void path_trust_free(struct path_engine *e);

/* policy.c */
void path_policy_apply(struct path_engine *e, struct path *p);
void path_policy_forget(struct path_engine *e, struct path *p); /* before the path is freed */
bool path_policy_forwards(const struct path_engine *e, const char *from, const char *to_instance);

#endif
