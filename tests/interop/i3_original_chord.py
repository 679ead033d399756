"""Chord as the original i3 server of 2005 speaks it: nodes are taken in unseen, nothing is authenticated, there is no hop
limit.  An engine without clock and sockets; see i3_original_wire.py for what it is made from."""
import socket
import struct

from i3_original_wire import Death

ROUTE, FIND, FOUND, STAB, STAB_REPLY, NOTIFY, PING, PONG, GET_FINGERS, FINGERS = range(10)
SIZES = {FIND: 27, FOUND: 27, STAB: 27, STAB_REPLY: 27, NOTIFY: 27, PING: 11, PONG: 31, GET_FINGERS: 11}
BITS, SUCCESSORS, UNANSWERED, CLEAN_EVERY = 160, 8, 5, 60
# Rounds in which a node that was dropped is believed in again when others name him.  The one dead node that was watched
# was gone from all for good after 61 to 65 rounds; why then was not seen.
BELIEVED = 45
RING = 1 << BITS


def at_bytes(at):
    return socket.inet_aton(at[0]) + struct.pack("!H", at[1])


def at_of(data):
    return socket.inet_ntoa(data[:4]), struct.unpack("!H", data[4:6])[0]


class Node:
    def __init__(self, ident, at):
        self.id, self.at, self.unanswered, self.rtt = ident, at, 0, None

    def bytes(self):
        return self.id.to_bytes(20, "big") + at_bytes(self.at)


class Chord:
    """`send(bytes, (ip, port))` sends, `deliver(bytes)` gets what is for this server.  Nodes are taken in unseen: it is
    enough that somebody names them."""

    def __init__(self, ident, at, seeds, send, deliver):
        self.self = Node(ident, at)
        self.seeds, self.send, self.deliver = seeds[:4], send, deliver
        self.nodes = []  # clockwise from us: the first is the successor, the last the predecessor
        self.rounds = self.backup = self.turn = 0
        self.finger = BITS - 1
        self.silent = {}  # address: the round in which it was dropped first

    def distance(self, ident):
        """Clockwise from us; our own place is the farthest."""
        return (ident - self.self.id) % RING or RING

    def owns(self, key):
        return not self.nodes or self.distance(self.number(key)) > self.distance(self.nodes[-1].id)

    @staticmethod
    def number(key):
        return int.from_bytes(key, "big")

    def insert(self, ident, at):
        known = next((node for node in self.nodes if node.id == ident), None)
        if known:
            known.at = at
            return known
        node = Node(ident, at)
        self.nodes.append(node)
        self.nodes.sort(key=lambda n: self.distance(n.id))
        return node

    def hearsay(self, ident, at):
        if self.rounds - self.silent.get(at, self.rounds) <= BELIEVED:
            self.insert(ident, at)

    def himself(self, ident, at):
        self.silent.pop(at, None)
        return self.insert(ident, at)

    def towards(self, key):
        """The next node on the way to a key that is not ours."""
        reach = self.distance(key)
        if reach <= self.distance(self.nodes[0].id):
            return self.nodes[0]
        return next(node for node in reversed(self.nodes) if self.distance(node.id) < reach)

    def tell(self, kind, node, at):
        self.send(bytes([kind]) + node.bytes(), at)

    # What comes in.

    def input(self, data, now):
        if not data:
            raise Death("an empty datagram on the port of the ring")
        kind = data[0]
        if kind == ROUTE:
            return self.on_route(data)
        if kind == FINGERS:
            return None
        if kind not in SIZES:
            raise Death(f"a message of the ring of unknown type {kind}")
        if len(data) != SIZES[kind]:
            raise Death(f"a message of the ring of type {kind} with {len(data)} bytes, not {SIZES[kind]}")
        if kind in (PING, GET_FINGERS):
            return self.on_ping(kind, data)
        ident, at = self.number(data[1:21]), at_of(data[21:27])
        if kind in (STAB, NOTIFY, PONG) and at == self.self.at:
            raise Death(f"a message of the ring of type {kind} that names the receiver's own address")
        return {FIND: self.on_find, FOUND: self.on_found, STAB: self.on_stab, STAB_REPLY: self.on_stab_reply,
                NOTIFY: self.on_notify, PONG: self.on_pong}[kind](data, ident, at, now)

    def on_route(self, data):
        if len(data) < 23 or len(data) != 23 + struct.unpack_from("!H", data, 21)[0]:
            raise Death("a ROUTE whose length does not agree with the datagram's")
        self.route(data[1:21], data[23:])

    def route(self, key, payload):
        if self.owns(key):
            self.deliver(payload)
        else:
            self.send(bytes([ROUTE]) + key + struct.pack("!H", len(payload)) + payload,
                      self.towards(self.number(key)).at)

    def on_find(self, data, ident, at, now):
        if at == self.self.at:
            return
        if not self.nodes:
            self.tell(FOUND, self.self, at)
        elif self.distance(ident) <= self.distance(self.nodes[0].id):
            self.tell(FOUND, self.nodes[0], at)
        else:
            self.send(data, self.towards(ident).at)

    def on_found(self, data, ident, at, now):
        if at != self.self.at:
            self.hearsay(ident, at)

    def on_stab(self, data, ident, at, now):
        self.himself(ident, at)
        self.tell(STAB_REPLY, self.nodes[-1], at)

    def on_stab_reply(self, data, ident, at, now):
        if at == self.self.at:
            return
        self.hearsay(ident, at)
        if self.nodes:
            self.tell(NOTIFY, self.self, self.nodes[0].at)

    def on_notify(self, data, ident, at, now):
        self.himself(ident, at)

    def on_ping(self, kind, data):
        at = at_of(data[1:7])
        if kind == PING:
            self.send(bytes([PONG]) + self.self.bytes() + data[7:], at)
        else:
            fingers = b"".join(node.bytes() for node in self.nodes)
            self.send(bytes([FINGERS]) + self.self.bytes() + fingers + b"\0", at)

    def on_pong(self, data, ident, at, now):
        node = self.himself(ident, at)
        node.unanswered = 0
        took = (self.clock(now) - struct.unpack_from("!I", data, 27)[0]) % (1 << 32)
        node.rtt = took if node.rtt is None else node.rtt + (took - node.rtt) / 8

    # What happens every second.

    def round(self, now):
        if self.rounds % CLEAN_EVERY == 0:
            self.clean()
        self.rounds += 1
        if not self.nodes:
            for seed in self.seeds:
                self.tell_find(self.self.id, seed)
            return
        self.tell(STAB, self.self, self.nodes[0].at)
        self.fix_successor()
        self.fix_finger()
        self.ping_nodes(now)

    def tell_find(self, ident, at):
        self.send(bytes([FIND]) + (ident % RING).to_bytes(20, "big") + at_bytes(self.self.at), at)

    def fix_successor(self):
        if self.backup >= min(SUCCESSORS, len(self.nodes)):
            self.backup = 0
        node = self.nodes[self.backup]
        self.backup += 1
        self.tell_find(node.id + 1, node.at)

    def fix_finger(self):
        self.tell_find(self.self.id + (1 << self.finger), self.nodes[0].at)
        self.finger -= 1
        if self.finger <= 0 or (1 << self.finger) < self.distance(self.nodes[0].id):
            self.finger = BITS - 1

    @staticmethod
    def clock(now):
        return int(now * 1_000_000) % (1 << 32)

    def ping_nodes(self, now):
        self.turn = (self.turn + 1) % len(self.nodes)
        due = [node for i, node in enumerate(self.nodes) if node.unanswered or i == self.turn]
        for node in due:
            if node.unanswered >= UNANSWERED:
                self.nodes.remove(node)
                self.silent.setdefault(node.at, self.rounds)
                continue
            node.unanswered += 1
            self.send(bytes([PING]) + at_bytes(self.self.at) + struct.pack("!I", self.clock(now)), node.at)

    def clean(self):
        """Keeps eight successors, the predecessor and the first of each interval; the rest is forgotten."""
        kept = self.nodes[:SUCCESSORS] + self.nodes[-1:]
        for j in range(BITS):
            kept += [n for n in self.nodes if 1 << j <= self.distance(n.id) < 2 << j][:1]
        self.nodes = [node for node in self.nodes if node in kept]
