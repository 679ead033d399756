#!/usr/bin/python3
"""Says the same to a server and to the model of the original, and compares what they answer and deliver.

    i3_compare.py SERVER SEED STEPS

Three clients, of which one does not know its own address, insert, refresh and remove triggers of all kinds and send data, by
dice.  What is not compared: nonces, which are the server's own affair (each is told those that it gave), and the nonce and
key of CACHE_ADDR, stray memory of the original.  Prints "the same, N answers", or the first difference (status 1).
"""
import random
import select
import socket
import sys
import time

import i3_original_wire as wire
from i3_original_client import KEY, identifier
from i3_original_server import Server
from i3_original_wire import Packet, Trigger, ip4

PATIENCE = 20


def private_id(dice):
    """One that is right-constrained, and the key that goes with it."""
    ident = bytearray(dice.randbytes(32))
    ident[7] &= 0xfe
    return bytes(ident), wire.long_hash(wire.RIGHT, bytes(ident))


class Caller:
    """A client; `says`: where it believes to be."""

    def __init__(self, ip, says=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.at = self.socket.getsockname()
        self.says = says or self.at


class Difference(Exception):
    pass


class Comparison:
    def __init__(self, server, seed):
        self.dice, self.server = random.Random(seed), (server, 5610)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(self.server)
            ip = s.getsockname()[0]
        self.last = Caller(ip)
        self.callers = [Caller(ip), Caller(ip), Caller(ip, ("192.168.7.7", 7777))]
        self.sent, self.ours = [], []
        self.model = Server(self.server, 0, (server, 5611), [(server, 5611)], lambda data, to: self.sent.append((to, data)),
                            None, lambda text: None)
        self.public = [identifier(self.dice) for _ in range(5)]
        self.private = dict(private_id(self.dice) for _ in range(3))
        self.chained = {}
        for to in self.public[:4] + list(self.private)[:2]:
            self.chained[identifier(self.dice, to)] = (to,)
        # An original lets anybody remove a trigger to identifiers, ours only who inserted it.
        self.owners = {ident: self.dice.choice(self.callers) for ident in self.chained}
        self.nonces = {}  # (which, id, target, caller): the one that this server gave
        self.answers = self.pings = 0
        self.began = time.monotonic()

    # One packet to both.

    def say(self, caller, make):
        """make(which) is the packet for the model (0) and for the server (1), which have nonces of their own."""
        # An original answers all; ours shortens what it says to an address beyond 64 times a second.
        time.sleep(max(0, self.began + self.pings / 50 - time.monotonic()))
        self.model.tick(time.time())
        self.model.i3_input(make(0), caller.at)
        self.to_itself()
        caller.socket.sendto(make(1), self.server)
        self.hear()
        model = sorted((to, self.shape(0, to, data)) for to, data in self.sent)
        ours = sorted((to, self.shape(1, to, data)) for to, data in self.ours)
        self.answers += len(ours)
        self.sent, self.ours = [], []
        if model != ours:
            raise Difference(f"{make(1).hex()} from {caller.at}\n  original: {model}\n  server:   {ours}")

    def to_itself(self):
        """What the original says to itself."""
        while any(to == self.server for to, _ in self.sent):
            own = [data for to, data in self.sent if to == self.server]
            self.sent = [(to, data) for to, data in self.sent if to != self.server]
            for data in own:
                self.model.i3_input(data, self.server)

    def hear(self):
        """All that the server has to say: it answers in order, so what is asked last is answered last."""
        self.pings += 1
        # A ping between programs of ours; nothing else is answered always and only once.
        ping = b"\x01" + self.pings.to_bytes(2, "big") + bytes(37)
        self.last.socket.sendto(ping, self.server)
        self.last.socket.settimeout(PATIENCE)
        while self.last.socket.recv(8192)[1:3] != ping[1:3]:
            pass
        for caller in self.callers:
            while select.select([caller.socket], [], [], 0)[0]:
                self.ours.append((caller.at, caller.socket.recv(8192)))

    def shape(self, which, to, data):
        """What is compared; nonces are kept for the next time."""
        if not data[1] & wire.OPTIONS:
            return data.hex()
        packet, options = wire.read(data), []
        for kind, body in packet.options:
            if kind in (wire.CHALLENGE, wire.ACK):
                self.nonces[which, body.id, body.target, to] = body.nonce
            if kind in (wire.CHALLENGE, wire.ACK, wire.FAILED):
                body = body._replace(nonce=b"")
            if kind == wire.CACHE:
                body = body._replace(nonce=b"", key=b"")
            options.append((kind, body))
        return repr((packet.flags, packet.stack, options, packet.payload))

    # What can be said.

    def trigger(self, which, caller, ident, prefix, wrong=False):
        target = ("stack", self.chained[ident]) if ident in self.chained else ip4(*caller.says)
        key = b"" if ident in self.chained else self.private.get(ident, KEY)
        nonce = self.nonces.get((which, ident, target, caller.at), bytes(16))
        return Trigger(0, ident, prefix, bytes(16) if wrong else nonce, target, key)

    def insert(self, caller, ident, prefix=256, wrong=False):
        self.say(caller, lambda which: Packet(wire.OPTIONS | wire.FIRST_HOP, [ident], [
            (wire.SENDER, ip4(*caller.says)), (wire.INSERT, self.trigger(which, caller, ident, prefix, wrong))]).bytes())

    def remove(self, caller, ident, wrong=False):
        sender = [(wire.SENDER, ip4(*caller.says))] if caller.says != caller.at else []
        self.say(caller, lambda which: Packet(wire.OPTIONS | wire.FIRST_HOP, [ident], sender + [
            (wire.REMOVE, self.trigger(which, caller, ident, 256, wrong))]).bytes())

    def data(self, caller, stack, ask=False, sender=True):
        options = [(wire.SENDER, ip4(*caller.says))] * sender + [(wire.ASK, None)] * ask
        payload = self.dice.randbytes(self.dice.randrange(1, 1200))
        self.say(caller, lambda which: Packet(wire.DATA | wire.OPTIONS | wire.FIRST_HOP, stack, options, payload).bytes())

    def anything(self):
        dice = self.dice
        caller = dice.choice(self.callers)
        ident = dice.choice(self.public + list(self.private) + list(self.chained))
        what = dice.random()
        if what < 0.55 and ident in self.chained:
            caller = self.owners[ident]
        if what < 0.4:
            self.insert(caller, ident, dice.choice((128, 129, 192, 255, 256)), dice.random() < 0.2)
        elif what < 0.45:
            # The key does not fit the identifier.
            wrong = dice.randbytes(32)
            self.insert(caller, wrong)
        elif what < 0.55:
            self.remove(caller, ident, dice.random() < 0.3)
        else:
            near = bytearray(ident)
            if dice.random() < 0.4:
                bit = dice.choice((40, 127, 128, 129, 191, 192, 254, 255))
                near[bit // 8] ^= 0x80 >> bit % 8
            stack = [bytes(near)] + [dice.choice(self.public) for _ in range(dice.choice((0, 0, 0, 1, 2, 13, 14)))]
            # A chain to nothing is taken away by the second packet within two seconds: a matter of time, not compared.
            if all(self.model.match(to) for to in self.chained.get(ident, ())):
                self.data(caller, stack, dice.random() < 0.3, dice.random() < 0.8)


def main():
    server, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    comparison = Comparison(server, seed)
    try:
        for _ in range(steps):
            comparison.anything()
    except Difference as e:
        print(f"different: {e}", flush=True)
        sys.exit(1)
    print(f"the same, {comparison.answers} answers", flush=True)


if __name__ == "__main__":
    main()
