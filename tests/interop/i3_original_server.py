#!/usr/bin/python3
"""A server as the original i3 of 2005 was one: a model, made from observations (i3_original_wire.py says how).

    i3_original_server.py --at IP --id HEX --seed IP:PORT... [--port N] [--ring-port N] [--period S] [--backwards]

It has no limits, its nonces can be computed by anybody, and it dies (status 70, the reason on the last line) of everything
that the original died of.  What the original survived, but a good peer does not send, is printed as "odd".  Two
liberties: it dies at once where the original read or wrote memory that was not its own and happened to survive, and the
process of its ring is not one of its own.
"""
import argparse
import random
import select
import socket
import struct
import sys
import time

import i3_original_wire as wire
from i3_original_chord import Chord
from i3_original_wire import Death, Dropped, Packet, Trigger, ip4

TRIGGER_LIFE, NAT_LIFE, CACHE_LIFE, CACHE_ASK, CACHE_TRIES = 30, 30, 20, 17, 3
PUSH_BACK = 2000  # in units of its own: seconds * 1024 + microseconds / 1024
CACHE_SLOTS, PUSH_SLOTS, REPLY_ROOM, PER_PACKET = 32768, 16384, 1024, 25


def backwards(at):
    """An original on a machine with eth0 tells its address so."""
    return ".".join(reversed(at[0].split("."))), at[1]


class Stored:
    """A trigger in the table."""

    def __init__(self, trigger, now):
        self.trigger, self.refreshed = trigger, now


class Route:
    """Which server is responsible, as far as it was told."""

    def __init__(self, at, now):
        self.at, self.told, self.asked, self.unanswered = at, now, now, 0


class Server:
    """`send_i3`, `send_ring`: (bytes, (ip, port)).  `odd(text)` hears of what good peers do not send."""

    def __init__(self, at, ident, ring_at, seeds, send_i3, send_ring, odd=print, dice=None, told=None, lucky=False):
        self.at, self.told = at, told or at
        self.send_i3, self.odd, self.lucky = send_i3, odd, lucky
        self.dice = dice or random.Random(0)
        self.now = self.seconds = 0
        self.chord = Chord(ident, ring_at, seeds, send_ring, lambda data: self.packet(data, None))
        self.table = {}  # id: [Stored, ...] in the order of their coming
        self.cache, self.pushed, self.nat = {}, {}, []

    # Doors.

    def tick(self, now):
        """Time passes; the server's own clock goes by seconds."""
        self.now, self.seconds = now, int(now)

    def i3_input(self, data, source):
        self.packet(data, source)

    def ring_input(self, data):
        self.chord.input(data, self.now)

    def triggers(self):
        """How many it has, those included that are over and not yet thrown away."""
        return sum(len(stored) for stored in self.table.values())

    # A packet.

    def packet(self, data, source):
        try:
            packet = wire.read(data)
        except Dropped as e:
            self.odd(f"dropped: {e}: {data.hex()}")
            return
        self.look_for_oddities(packet)
        natted = False
        if packet.flags & wire.FIRST_HOP:
            sender = packet.option(wire.SENDER)
            moves = packet.has(wire.INSERT), packet.has(wire.REMOVE)
            natted = bool(source and sender and sender[0] == "ip4" and sender[1] != source
                          and (packet.flags & wire.DATA or any(moves)) and not all(moves))
            packet.flags &= ~wire.FIRST_HOP
        if not packet.stack:
            if not self.relay_challenge(packet):
                self.control(packet, False, source)
        elif not self.chord.owns(packet.stack[0][:20]):
            if natted:
                self.translate(packet, source)
            self.chord.route(packet.stack[0][:20], packet.bytes())
        else:
            self.own(packet, natted, source)

    def look_for_oddities(self, packet):
        kinds = [kind for kind, _ in packet.options]
        sender = packet.option(wire.SENDER)
        if wire.LOG in kinds or wire.STAMP in kinds:
            if len(packet.payload) < wire.NEWS or packet.payload[0] != 0x18:
                raise Death("LOG_PACKET or APPEND_TS without a header of 96 bytes: assertion failed")
        if sender and sender[0] != "ip4":
            self.odd(f"a sender that is no IPv4 address: {sender}")
        if wire.SENDER in kinds[1:]:
            self.odd("SENDER is not the first option")
        if not packet.flags & wire.OPTIONS:
            self.odd("no option list")
        if sum(kind in wire.WITH_TRIGGER for kind in kinds) > PER_PACKET:
            self.odd("more triggers than it has room for")
        for kind, body in packet.options:
            if kind in (wire.INSERT, wire.CACHE, wire.FORCE) and body.target[0] == "ip6":
                self.odd("a trigger to an IPv6 address, which it cannot send to")

    def own(self, packet, natted, source):
        """The first identifier is ours."""
        if natted:
            packet.options = [(kind, ip4(*source) if kind == wire.SENDER else body) for kind, body in packet.options]
        self.control(packet, natted, source)
        if packet.flags & wire.DATA:
            sender = packet.option(wire.SENDER)
            kept = [(kind, None) for kind, _ in packet.options if kind in (wire.LOG, wire.STAMP)]
            self.forward(packet.stack, packet.payload, kept, sender)

    def control(self, packet, natted, source):
        """The options, one after the other; what is to be said is said again after each."""
        replies, reply_to, inserted = [], None, False
        for kind, body in packet.options:
            if inserted and kind != wire.SENDER and not self.lucky:
                raise Death(f"option {kind} behind an INSERT: memory that was given back")
            if kind == wire.SENDER:
                reply_to = body
            elif kind == wire.INSERT:
                replies.append(self.on_insert(body, natted, source))
                inserted = True
            elif kind == wire.REMOVE:
                self.on_remove(body, natted, source)
            elif kind == wire.ASK:
                if not packet.stack:
                    raise Death("REQUEST_FOR_CACHE with an empty stack")
                replies.append([(wire.CACHE, self.responsible(packet.stack[0], bytes(16)))])
            elif kind == wire.CACHE:
                self.cache[self.slot(body.id)] = Route(body.target, self.now)
            elif kind == wire.NOT_PRESENT:
                self.pushed[hash(body) % PUSH_SLOTS] = body, self.units()
            if reply_to:
                for options in replies:
                    self.say(Packet(wire.OPTIONS, (), options).bytes(), reply_to)

    def say(self, data, address):
        if address[0] != "ip4":
            raise Death(f"a reply to {address}: it can only send to IPv4")
        if len(data) > REPLY_ROOM:
            raise Death("a reply that is larger than its room for replies")
        self.send_i3(data, address[1])

    def stray(self):
        """Whatever was in memory."""
        return self.dice.randbytes(16)

    def responsible(self, ident, key):
        return Trigger(0, ident, wire.MIN_MATCH, self.stray(), ip4(*self.told), key)

    def on_insert(self, trigger, natted, source):
        """Returns the options of the reply."""
        cache = wire.CACHE, self.responsible(trigger.id, trigger.key or self.stray())
        if not wire.constraint_holds(trigger):
            return [(wire.FAILED, trigger), cache]
        real = ip4(*source) if natted and trigger.target[0] == "ip4" else trigger.target
        nonce = wire.nonce_of(real)
        if trigger.nonce != nonce:
            return [(wire.CHALLENGE, trigger._replace(nonce=nonce)), cache]
        self.store(trigger._replace(target=real))
        return [(wire.ACK, trigger), cache]

    def store(self, trigger):
        stored = self.table.setdefault(trigger.id, [])
        for other in stored:
            if other.trigger.target == trigger.target:
                other.refreshed = self.seconds
                return
        stored.append(Stored(trigger, self.seconds))

    def on_remove(self, trigger, natted, source):
        target = ip4(*source) if natted and trigger.target[0] == "ip4" else trigger.target
        if trigger.nonce == wire.nonce_of(target):
            self.drop(trigger.id, lambda t: t.target == target)

    def drop(self, ident, which):
        left = [stored for stored in self.table.get(ident, ()) if not which(stored.trigger)]
        if left:
            self.table[ident] = left
        else:
            self.table.pop(ident, None)

    # The first server of a client behind a NAT.

    def translate(self, packet, source):
        sender = ip4(*source) if packet.flags & wire.DATA else ip4(*self.told)
        options = []
        for kind, body in packet.options:
            if kind == wire.SENDER:
                body = sender
            elif kind == wire.INSERT:
                private, real = body.target, ip4(*source) if body.target[0] == "ip4" else body.target
                self.nat.append((body.id, real, private, body.prefix, source, self.now))
                body = body._replace(target=real, nonce=bytes(16))
            options.append((kind, body))
        packet.options = options

    def relay_challenge(self, packet):
        """The challenge for a client of ours, from the server that is responsible."""
        self.nat = [entry for entry in self.nat if self.now - entry[5] <= NAT_LIFE]
        challenge = packet.option(wire.CHALLENGE)
        if not challenge:
            return False
        for ident, real, private, _, client, _ in reversed(self.nat):
            if (ident, real) != (challenge.id, challenge.target):
                continue
            changed = {wire.CHALLENGE: lambda t: (wire.CHALLENGE, t._replace(target=private)),
                       wire.CACHE: lambda t: (wire.FORCE, t)}
            options = [changed[kind](body) if kind in changed else (kind, body) for kind, body in packet.options]
            self.say(Packet(wire.OPTIONS, (), options).bytes(), ip4(*client))
            return True
        return False

    # Matching and forwarding.

    def match(self, ident):
        """The triggers of the one identifier that fits best; those that are over go now."""
        best, bits = None, 0
        for other in self.table:
            if other[:4] == ident[:4]:
                common = wire.common_bits(other, ident)
                if common > bits:
                    best, bits = other, common
        if best is None or bits < max(wire.MIN_MATCH, self.table[best][0].trigger.prefix):
            return []
        over = [stored.trigger for stored in self.table[best] if self.seconds - stored.refreshed > TRIGGER_LIFE]
        if over:
            self.drop(best, lambda t: t in over)
            return self.match(ident)
        return [stored.trigger for stored in self.table[best]]

    def forward(self, stack, payload, kept, reply_to, steps=0):
        if steps > 64:
            raise Death("triggers that lead in a circle: it goes round until its memory ends")
        if not self.chord.owns(stack[0][:20]):
            self.to_server(stack, payload, kept)
            return
        if kept:
            payload = self.measured(payload, kept)
        triggers = self.match(stack[0])
        if not triggers and reply_to:
            self.say(Packet(wire.OPTIONS, (), [(wire.NOT_PRESENT, stack[0])]).bytes(), reply_to)
        for trigger in triggers:
            kind, value = trigger.target
            if kind == "ip4":
                self.send_i3(Packet(wire.DATA, stack, (), payload).bytes(), value)
            elif kind == "stack" and not self.is_pushed_back(trigger):
                longer = list(value) + stack[1:]
                if len(longer) <= wire.STACK_MAX:
                    self.forward(longer, payload, kept, ip4(*self.told), steps + 1)

    def measured(self, payload, kept):
        """APPEND_TS: this server's address and the time (low half first) at the end; one entry and 14 bytes more."""
        if not any(kind == wire.STAMP for kind, _ in kept):
            return payload
        time_us = int(self.now * 1_000_000)
        entry = (socket.inet_aton(self.at[0]) + struct.pack("!H", self.at[1])
                 + struct.pack("!II", time_us & 0xffffffff, time_us >> 32))
        size = struct.unpack_from("!I", payload, 8)[0] + len(entry)
        return payload[:3] + bytes([payload[3] + 1]) + payload[4:8] + struct.pack("!I", size) + payload[12:] + entry

    def units(self):
        return int(self.now) * 1024 + int(self.now % 1 * 1_000_000) // 1024

    def is_pushed_back(self, trigger):
        """The next server said that the identifier is not there: the trigger goes, and the packet with it."""
        first = trigger.target[1][0]
        ident, when = self.pushed.get(hash(first) % PUSH_SLOTS, (None, 0))
        if ident != first or self.units() - when > PUSH_BACK:
            return False
        self.drop(trigger.id, lambda t: t.target == trigger.target)
        return True

    # From server to server.

    @staticmethod
    def slot(ident):
        return (struct.unpack_from("<H", ident, 0)[0] + struct.unpack_from("<H", ident, 2)[0]) % CACHE_SLOTS

    def route_for(self, ident):
        """(address, ask again); the identifier in the slot is not compared."""
        slot = self.slot(ident)
        route = self.cache.get(slot)
        if not route:
            return None, True
        age = self.now - route.told
        if age > CACHE_LIFE or route.unanswered >= CACHE_TRIES:
            del self.cache[slot]
            return None, True
        if age < CACHE_ASK or self.now - route.asked < 1:
            return route.at, False
        route.asked, route.unanswered = self.now, route.unanswered + 1
        return route.at, True

    def to_server(self, stack, payload, kept):
        at, ask = self.route_for(stack[0])
        options = [(wire.SENDER, ip4(*self.told)), *kept] + ([(wire.ASK, None)] if ask else [])
        data = Packet(wire.DATA | wire.OPTIONS, stack, options, payload).bytes()
        if at:
            self.say_to_server(data, at)
        else:
            self.chord.route(stack[0][:20], data)

    def say_to_server(self, data, at):
        if at[0] != "ip4":
            raise Death(f"a packet to {at}: it can only send to IPv4")
        self.send_i3(data, at[1])


# The program.

class Program:
    def __init__(self, args):
        self.args = args
        self.i3, self.ring, self.ephemeral = (self.bound(port) for port in (args.port, args.ring_port, 0))
        at = args.at, args.port
        self.server = Server(at, int(args.id, 16), (args.at, args.ring_port), args.seed,
                             lambda data, to: self.send(self.i3, data, to),
                             lambda data, to: self.send(self.ephemeral, data, to),
                             odd=lambda text: self.say(f"odd: {text}"), dice=random.Random(),
                             told=backwards(at) if args.backwards else at)
        self.shown = None

    @staticmethod
    def bound(port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("", port))
        return s

    @staticmethod
    def say(text):
        print(text, flush=True)

    @staticmethod
    def send(s, data, to):
        try:
            s.sendto(data, to)
        except OSError as e:
            raise Death(f"sending to {to[0]}:{to[1]}: {e.strerror}") from None

    def show(self):
        """What a test waits for: whom it knows and how many triggers it has."""
        nodes = " ".join(sorted(node.at[0] for node in self.server.chord.nodes))
        now = f"state: {self.server.triggers()} triggers; nodes: {nodes}"
        if now != self.shown:
            self.shown = now
            self.say(now)

    def run(self):
        due = time.time()
        self.say("ready")
        while True:
            ready, _, _ = select.select([self.i3, self.ring], [], [], max(0, due - time.time()))
            self.server.tick(time.time())
            if time.time() >= due:
                self.server.chord.round(self.server.now)
                due += self.args.period
            if self.i3 in ready:
                data, source = self.i3.recvfrom(4096)
                self.server.i3_input(data, source)
            if self.ring in ready:
                self.server.ring_input(self.ring.recv(8192))
            self.show()


def endpoint(text):
    ip, _, port = text.rpartition(":")
    return ip, int(port)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--seed", type=endpoint, action="append", required=True)
    parser.add_argument("--port", type=int, default=5610)
    parser.add_argument("--ring-port", type=int, default=5611)
    parser.add_argument("--period", type=float, default=1.0, help="seconds between the rounds of the ring")
    parser.add_argument("--backwards", action="store_true", help="tell the address as one with eth0 did")
    try:
        Program(parser.parse_args()).run()
    except Death as e:
        print(f"died of: {e}", flush=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
