/* What the two halves of the path engine's fixture share. */
#ifndef OCALA_PATH_PATH_FIXTURE_WIRE_H
#define OCALA_PATH_PATH_FIXTURE_WIRE_H

#include "path/path_fixture.h"

void wire_transmit(struct box *from, uint16_t socket, const struct endpoint *to,
                   const uint8_t *bytes, size_t size);
struct box *wire_box_at(struct net *net, const struct endpoint *at, unsigned *ret_socket);
void wire_toy_out(struct box *b, const struct path_out *o);
void wire_path_up(struct box *b, const struct path_out *o);
void wire_path_down(struct box *b, const struct path_out *o);
void wire_answered(struct box *b, const struct path_out *o);
void wire_need_path(struct box *b, uint32_t id, const struct packet *p);
void wire_delivered(struct box *b, const uint8_t *packet, size_t size);
void wire_nonces_free(struct net *net);

#endif
