"""Packets as the original i3 of 2005 reads and writes them.

Written from what was observed on the running original, and checked against its captured packets
(test_i3_original.py); no code in common with ours.  Where the original crashes, exits or reads memory that is not its
own, Death is raised with the reason; where it throws a packet away, Dropped.
"""
import socket
import struct
from typing import NamedTuple

DATA, OPTIONS, FIRST_HOP = 0x10, 0x20, 0x40
SENDER, INSERT, CHALLENGE, ACK, REMOVE, NOT_PRESENT, ASK, CACHE, FORCE = 1, 2, 3, 4, 5, 6, 7, 8, 9
LOG, STAMP, FAILED, BROKEN = 10, 11, 16, 17
WITH_TRIGGER = (INSERT, CHALLENGE, ACK, REMOVE, CACHE, FORCE, FAILED, BROKEN)
KINDS = (SENDER, *WITH_TRIGGER, NOT_PRESENT, ASK, LOG, STAMP)
# What its client library accepts.
CLIENT_KINDS = (SENDER, CHALLENGE, ACK, NOT_PRESENT, CACHE, FORCE, FAILED, BROKEN)
MIN_MATCH, STACK_MAX, NEWS = 128, 15, 96


class Death(Exception):
    """What the original dies of."""


class Dropped(Exception):
    """What the original throws away without a word."""


# Addresses are ("stack", (id, ...)), ("ip4", (ip, port)) and ("ip6", (ip, port)).

def ip4(ip, port):
    return "ip4", (ip, port)


class Trigger(NamedTuple):
    flags: int
    id: bytes
    prefix: int
    nonce: bytes
    target: tuple
    key: bytes


class Packet:
    def __init__(self, flags, stack=(), options=(), payload=b""):
        self.flags, self.stack, self.options, self.payload = flags, list(stack), list(options), payload

    def option(self, kind):
        """The body of the first option of a kind, or None."""
        return next((body for found, body in self.options if found == kind), None)

    def has(self, kind):
        return any(found == kind for found, _ in self.options)

    def bytes(self):
        data = bytes([0x10, self.flags, len(self.stack)]) + b"".join(self.stack)
        if self.flags & OPTIONS:
            body = b"".join(option_bytes(*option) for option in self.options)
            data += struct.pack("!H", len(body) + 2) + body
        return data + self.payload


def address_bytes(address):
    kind, value = address
    if kind == "stack":
        return bytes([0x10, len(value)]) + b"".join(value)
    family, mark = (socket.AF_INET, b"\x20") if kind == "ip4" else (socket.AF_INET6, b"\x30")
    return mark + socket.inet_pton(family, value[0]) + struct.pack("!H", value[1])


def trigger_bytes(t):
    end = b"" if t.target[0] == "stack" else t.key
    return bytes([t.flags]) + t.id + struct.pack("!H", t.prefix) + t.nonce + address_bytes(t.target) + end


def option_bytes(kind, body):
    if kind == SENDER:
        return bytes([kind]) + address_bytes(body)
    if kind == NOT_PRESENT:
        return bytes([kind]) + body
    return bytes([kind]) + (trigger_bytes(body) if kind in WITH_TRIGGER else b"")


class Reader:
    """Reads an option list that ends at `end`."""

    def __init__(self, data, at, end):
        self.data, self.at, self.end = data, at, end

    def take(self, size):
        if self.at + size > self.end:
            raise Dropped("an option that is longer than the list")
        self.at += size
        return self.data[self.at - size:self.at]

    def short(self):
        return struct.unpack("!H", self.take(2))[0]

    def address(self):
        kind = self.take(1)[0]
        if kind == 0x10:
            count = self.take(1)[0] & 15  # the high half is stray memory
            return "stack", tuple(self.take(32) for _ in range(count))
        if kind == 0x20:
            return "ip4", (socket.inet_ntop(socket.AF_INET, self.take(4)), self.short())
        if kind == 0x30:
            return "ip6", (socket.inet_ntop(socket.AF_INET6, self.take(16)), self.short())
        raise Dropped(f"an address of type {kind:#x}")

    def trigger(self):
        flags, ident, prefix, nonce = self.take(1)[0], self.take(32), self.short(), self.take(16)
        target = self.address()
        if target == ("stack", ()):
            raise Death("a trigger whose target is an empty stack")
        return Trigger(flags, ident, prefix, nonce, target, b"" if target[0] == "stack" else self.take(16))

    def option(self, kinds):
        kind = self.take(1)[0]
        if kind not in kinds:
            raise Dropped(f"option {kind:#04x} (invalid packet -7)")
        if kind == SENDER:
            return kind, self.address()
        if kind == NOT_PRESENT:
            return kind, self.take(32)
        return kind, self.trigger() if kind in WITH_TRIGGER else None


def read_options(data, at, kinds):
    """The options, and where the payload begins.  The list's length is believed without a look at the datagram's."""
    if at + 2 > len(data):
        raise Death("an option list that begins behind the datagram: it reads on")
    end = at + struct.unpack_from("!H", data, at)[0]
    if end < at + 2:
        raise Death("an option list shorter than its own length: it reads on without end")
    if end > len(data):
        raise Death("an option list longer than the datagram: it reads on")
    reader, options = Reader(data, at + 2, end), []
    while reader.at < end:
        options.append(reader.option(kinds))
    return options, end


def read_header(data):
    if len(data) < 3 or data[0] != 0x10 or data[1] > 0x70 or data[2] > STACK_MAX:
        raise Dropped("no packet of i3")
    at = 3 + 32 * data[2]
    if at > len(data):
        raise Dropped("a stack longer than the datagram")
    return data[1] & 0x70, [data[i:i + 32] for i in range(3, at, 32)], at


def read(data):
    """A packet as a server reads it."""
    flags, stack, at = read_header(data)
    if not flags & OPTIONS:
        if len(data) - at < 1 + 32 * len(stack):
            raise Dropped("no option list: it counts the stack twice, and finds the packet too short")
        if flags & FIRST_HOP or not stack:
            raise Death("no option list in a control packet or one of a client: it reads the payload as one")
        return Packet(flags, stack, (), data[at:])
    options, at = read_options(data, at, KINDS)
    return Packet(flags, stack, options, data[at:])


# The two keyed functions, and AES-128 for them (FIPS 197).

def _double(x):
    return (x << 1) ^ (0x11b if x & 0x80 else 0)


def _substitution():
    """The S-box: the inverse in GF(2^8) by walking it with generator 3 and its inverse, then the affine map."""
    box, p, q = [0x63] * 256, 1, 1
    while True:
        p ^= _double(p)
        for shift in (1, 2, 4):
            q ^= q << shift & 0xff
        q ^= 0x09 if q & 0x80 else 0
        turned = q ^ 0x63
        for n in range(1, 5):
            turned ^= (q << n | q >> 8 - n) & 0xff
        box[p] = turned
        if p == 1:
            return box


BOX = _substitution()


def _schedule(key):
    words, constant = [key[i:i + 4] for i in range(0, 16, 4)], 1
    for i in range(4, 44):
        word = words[-1]
        if i % 4 == 0:
            word = bytes(BOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _double(constant)
        words.append(bytes(a ^ b for a, b in zip(words[i - 4], word)))
    return [b"".join(words[i:i + 4]) for i in range(0, 44, 4)]


def _encrypt(rounds, block):
    state = [a ^ b for a, b in zip(block, rounds[0])]
    for number in range(1, 11):
        state = [BOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 10:
            mixed = []
            for c in range(0, 16, 4):
                column = state[c:c + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += [column[i] ^ every ^ _double(column[i] ^ column[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, rounds[number])]
    return bytes(state)


LEFT = _schedule(bytes.fromhex("23ce4519c5b6b58219143626a4e09ca2"))
RIGHT = _schedule(bytes.fromhex("20ce4919c5b6d5e2b61df656a5effce2"))


def short_hash(side, block):
    """h_l and h_r: 128 bits to 128."""
    return bytes(a ^ b for a, b in zip(_encrypt(side, block), block))


def long_hash(side, ident):
    """H_l and H_r: an identifier to 128 bits."""
    return short_hash(side, short_hash(side, ident[:16])[:8] + short_hash(side, ident[16:])[8:])


def key_of(ident):
    return ident[8:24]


def is_public(ident):
    return ident[7] & 1


def constraint_holds(t):
    if t.target[0] == "stack":
        first = t.target[1][0]
        left, right = key_of(t.id) == long_hash(LEFT, first), key_of(first)
    else:
        left, right = key_of(t.id) == short_hash(LEFT, t.key), t.key
    return left or (not is_public(t.id) and right == long_hash(RIGHT, t.id))


def nonce_of(target):
    """The original's: anybody can compute it."""
    kind, value = target
    if kind == "stack":
        return value[0][:16]
    if kind == "ip6":
        return socket.inet_pton(socket.AF_INET6, value[0])
    return socket.inet_aton(value[0])[::-1] + struct.pack("<H", value[1]) + bytes(10)


def common_bits(a, b):
    difference = int.from_bytes(a, "big") ^ int.from_bytes(b, "big")
    return 8 * len(a) - difference.bit_length()
