#!/usr/bin/python3
"""A client with the library of the original i3 of 2005: a model, made from observations (i3_original_wire.py says how).

    i3_original_client.py SERVER... [--at IP] [--port N] [--hurry FACTOR]

reads commands, a line each, and prints what happens:

    insert HEX [HEX...] a trigger to this client, or to a stack of identifiers; kept until it is removed
    prefix HEX BITS     the same to this client, for a match of so many bits
    remove HEX          the triggers of this identifier
    send HEX[,HEX] TEXT

    ready   inserted HEX   constraint HEX   absent HEX   got HEX[,HEX] TEXT   odd ...   died of: ...

It dies (status 70) of everything that the library died of.
"""
import argparse
import random
import select
import socket
import sys
import time

import i3_original_wire as wire
from i3_original_wire import Death, Dropped, Packet, Trigger, ip4

KEY = b"this is test key"
INSERT_EVERY, INSERT_TRIES, PAUSE = 2.0, 7, (13.0, 18.0)
ID_LIFE, ID_ASK, ID_ASK_EVERY, ID_TRIES = 30.0, 24.0, 2.0, 3


def identifier(dice, to=None):
    """A public identifier whose trigger leads to the one who knows KEY, or to the identifier `to`."""
    prefix = bytearray(dice.randbytes(8))
    prefix[7] |= 1
    key = wire.long_hash(wire.LEFT, to) if to else wire.short_hash(wire.LEFT, KEY)
    return bytes(prefix) + key + dice.randbytes(8)


class Bound:
    """A trigger of this client."""

    def __init__(self, trigger):
        self.trigger, self.tries, self.due = trigger, 0, 0.0


class Owner:
    """The server that was told for an identifier."""

    def __init__(self, server, now):
        self.server, self.told, self.asked, self.unanswered = server, now, now, 0


class Client:
    """`send`: (bytes, (ip, port)); `event(text)` hears what happens; `hurry` is a factor for all its times."""

    def __init__(self, at, servers, send, event=print, dice=None, hurry=1.0):
        self.at, self.send, self.event, self.hurry = at, send, event, hurry
        self.dice = dice or random.Random(0)
        self.up, self.down = list(servers), []
        self.bound, self.had, self.owners, self.now = [], set(), {}, 0.0

    # Which server.

    def any_server(self):
        return self.dice.choice(self.up or self.down)

    def owner(self, ident):
        owner = self.owners.get(ident[:16])
        if owner and self.now - owner.told > ID_LIFE * self.hurry:
            del self.owners[ident[:16]]
            return None
        return owner

    def server_for(self, ident):
        owner = self.owner(ident)
        return owner.server if owner else self.any_server()

    def learn(self, trigger):
        if trigger.target[0] != "ip4":
            self.event(f"odd a server's address that is no IPv4: {trigger.target}")
            return
        self.owners[trigger.id[:16]] = Owner(trigger.target[1], self.now)
        if trigger.target[1] in self.down:
            self.down.remove(trigger.target[1])
            self.up.append(trigger.target[1])

    def must_ask(self, ident):
        """Is REQUEST_FOR_CACHE to go with the next packet?  A server that does not answer it is one that is down."""
        owner = self.owner(ident)
        if not owner:
            return True
        if self.now - owner.told < ID_ASK * self.hurry or self.now - owner.asked < ID_ASK_EVERY * self.hurry:
            return False
        if owner.unanswered >= ID_TRIES:
            del self.owners[ident[:16]]
            if owner.server in self.up:
                self.up.remove(owner.server)
                self.down.append(owner.server)
            return True
        owner.asked, owner.unanswered = self.now, owner.unanswered + 1
        return True

    # What it sends.

    def insert(self, ident, stack=(), key=KEY, bits=256):
        target = ("stack", tuple(stack)) if stack else ip4(*self.at)
        # The nonce of the first INSERT is whatever was in memory.
        trigger = Trigger(0, ident, max(bits, wire.MIN_MATCH), self.dice.randbytes(16), target, b"" if stack else key)
        self.bound.append(Bound(trigger))
        self.send_insert(self.bound[-1])

    def send_insert(self, bound, server=None):
        bound.tries += 1
        bound.due = self.now + INSERT_EVERY * self.hurry
        trigger = bound.trigger
        packet = Packet(wire.OPTIONS | wire.FIRST_HOP, [trigger.id], [(wire.SENDER, ip4(*self.at)), (wire.INSERT, trigger)])
        self.send(packet.bytes(), server or self.server_for(trigger.id))

    def remove(self, ident):
        for bound in [b for b in self.bound if b.trigger.id == ident]:
            self.bound.remove(bound)
            self.had.add(ident)
            packet = Packet(wire.OPTIONS | wire.FIRST_HOP, [ident], [(wire.REMOVE, bound.trigger)])
            self.send(packet.bytes(), self.server_for(ident))

    def data(self, stack, payload):
        options = [(wire.SENDER, ip4(*self.at))]
        if self.must_ask(stack[0]):
            options.append((wire.ASK, None))
        packet = Packet(wire.DATA | wire.OPTIONS | wire.FIRST_HOP, stack, options, payload)
        self.send(packet.bytes(), self.server_for(stack[0]))

    def tick(self, now):
        """Time passes."""
        self.now = now
        for bound in [bound for bound in self.bound if now >= bound.due]:
            if bound.tries < INSERT_TRIES:
                self.send_insert(bound)
            else:
                bound.tries, bound.due = 0, now + self.dice.uniform(*PAUSE) * self.hurry

    def deadline(self):
        return min((bound.due for bound in self.bound), default=self.now + 60)

    # What it hears.

    def input(self, data):
        if len(data) == 1:
            raise Death("a datagram of one byte: it parses on without end")
        try:
            flags, stack, at = wire.read_header(data)
            options, at = wire.read_options(data, at, wire.CLIENT_KINDS) if flags & wire.OPTIONS else ([], at)
        except Dropped as e:
            if "invalid packet -7" in str(e):
                raise Death(f"{e}: it exits") from None
            self.event(f"odd dropped: {e}: {data.hex()}")
            return
        # FORCE_CACHE_ADDR is heard before all others; the second INSERT goes where the first did unless there is one.
        for kind, body in options:
            if kind == wire.FORCE:
                self.learn(body)
        server = self.server_for(stack[0]) if stack else None
        for kind, body in options:
            if kind == wire.CHALLENGE:
                server = server or self.server_for(body.id)
        for kind, body in options:
            self.on_option(kind, body, server)
        if flags & wire.DATA and stack:
            self.on_data(stack, data[at:])

    def own(self, trigger):
        """The trigger that an answer is about: identifier and target must be repeated exactly."""
        return next((b for b in self.bound if (b.trigger.id, b.trigger.target) == (trigger.id, trigger.target)), None)

    def on_option(self, kind, body, server):
        if kind in (wire.FAILED, wire.BROKEN):
            if not self.own(body):
                raise Death(f"option {kind:#04x} for a trigger that it does not have: null pointer")
            self.event(f"constraint {body.id.hex()}")
        elif kind == wire.CACHE:
            self.learn(body)
        elif kind == wire.NOT_PRESENT:
            self.event(f"absent {body.hex()}")
        elif kind in (wire.CHALLENGE, wire.ACK):
            bound = self.own(body)
            if not bound:
                self.event(f"odd an answer for a trigger that it does not have: {body}")
            elif kind == wire.CHALLENGE:
                bound.trigger = body
                self.send_insert(bound, server)
            else:
                self.on_ack(bound)

    def on_ack(self, bound):
        bound.tries, bound.due = 0, self.now + (INSERT_EVERY + self.dice.uniform(*PAUSE)) * self.hurry
        self.event(f"inserted {bound.trigger.id.hex()}")

    def on_data(self, stack, payload):
        mine = [b for b in self.bound if b.trigger.target == ip4(*self.at)
                and wire.common_bits(b.trigger.id, stack[0]) >= b.trigger.prefix]
        if not mine and stack[0] not in self.had:  # what was under way when it was removed is nobody's fault
            self.event(f"odd data for {stack[0].hex()}, which it does not have")
        for _ in mine:
            self.event(f"got {','.join(i.hex() for i in stack)} {payload.decode(errors='replace')}")


# The program.

def obey(client, line):
    word, *rest = line.split(" ", 2)
    ids = [bytes.fromhex(part) for part in rest[0].split(",")] if rest else []
    if word == "insert":
        client.insert(ids[0], [bytes.fromhex(part) for part in " ".join(rest[1:]).split()])
    elif word == "prefix":
        client.insert(ids[0], bits=int(rest[1]))
    elif word == "remove":
        client.remove(ids[0])
    elif word == "send":
        client.data(ids, rest[1].encode())
    else:
        raise SystemExit(f"unknown command: {line}")


def own_ip(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(server)
        return s.getsockname()[0]


def bound_socket(ip, port, dice):
    """A port between 10000 and 10999 unless one is given."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ip, port or dice.randrange(10000, 11000)))
    return s


def run(args):
    dice = random.Random()
    servers = [(ip, 5610) for ip in args.servers]
    s = bound_socket(args.at or own_ip(servers[0]), args.port, dice)
    client = Client(s.getsockname(), servers, s.sendto, lambda text: print(text, flush=True), dice, args.hurry)
    client.event("ready")
    lines = b""
    while True:
        ready, _, _ = select.select([s, sys.stdin], [], [], max(0, client.deadline() - time.time()))
        client.tick(time.time())
        if s in ready:
            client.input(s.recv(4096 + 512))
        if sys.stdin in ready:
            new = sys.stdin.buffer.raw.read(65536)
            if not new:
                return
            *whole, lines = (lines + new).split(b"\n")
            for line in whole:
                obey(client, line.decode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--at")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hurry", type=float, default=1.0)
    try:
        run(parser.parse_args())
    except Death as e:
        print(f"died of: {e}", flush=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
