#!/usr/bin/python3
"""A client of i3 as the original of 2005 is one, written from the description of its packets: no code in common with ours.

    i3client.py receive SERVER ID [SECONDS]   insert a trigger for ID, refresh it (every 15 to 20 s, or SECONDS), print what comes
    i3client.py send SERVER ID TEXT           send TEXT to ID
"""
import random
import socket
import struct
import sys
import time

PORT = 5610
DATA, OPTIONS, FIRST_HOP = 0x10, 0x20, 0x40
SENDER, INSERT, CHALLENGE, ACK, NOT_PRESENT, CACHE = 1, 2, 3, 4, 6, 8
# A key and what the left constraint makes of it, as captured.
KEY = b"this is test key"
LEFT = bytes.fromhex("479f2dafb6db2fb673b18448bb611105")


def identifier(dice=random):
    """Public, for KEY: prefix and suffix are free."""
    prefix = bytearray(dice.randbytes(8))
    prefix[7] |= 1
    return bytes(prefix) + LEFT + dice.randbytes(8)


def address(ip, port):
    return b"\x20" + socket.inet_aton(ip) + struct.pack("!H", port)


def packet(flags, ident, options, payload=b""):
    body = b"".join(options)
    return bytes([0x10, flags | OPTIONS, 1]) + ident + struct.pack("!H", len(body) + 2) + body + payload


def trigger(ident, target, nonce):
    return b"\0" + ident + struct.pack("!H", 256) + nonce + target + KEY


class Client:
    def __init__(self, server):
        self.server = (server, PORT)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(self.server)
        ip = self.socket.getsockname()[0]
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.own = address(*self.socket.getsockname())
        self.nonce = random.randbytes(16)  # as the original: whatever was in memory

    def say(self, data):
        self.socket.sendto(data, self.server)

    def insert(self, ident):
        self.say(packet(FIRST_HOP, ident, [bytes([SENDER]) + self.own,
                                           bytes([INSERT]) + trigger(ident, self.own, self.nonce)]))

    def data(self, ident, payload):
        self.say(packet(FIRST_HOP | DATA, ident, [bytes([SENDER]) + self.own], payload))

    def hear(self, limit):
        """(kind, what): an option type with its nonce, or DATA with the payload; None when nothing comes."""
        self.socket.settimeout(max(limit, 0.001))
        try:
            data = self.socket.recv(8192)
        except socket.timeout:
            return None
        flags, depth = data[1], data[2]
        if flags & DATA:
            return DATA << 8, data[3 + 32 * depth:]
        return data[5], data[5 + 1 + 1 + 32 + 2:][:16]


def receive(server, ident, every=None):
    client = Client(server)
    due = 0.0
    while True:
        now = time.monotonic()
        if now >= due:
            client.insert(ident)
            due = now + 2
        heard = client.hear(due - now)
        if not heard:
            continue
        kind, what = heard
        if kind == CHALLENGE:
            client.nonce = what
            client.insert(ident)
        elif kind == ACK:
            print("inserted", flush=True)
            due = time.monotonic() + (every or random.uniform(15, 20))
        elif kind == DATA << 8:
            print(what.decode(), flush=True)


def main():
    what, server, ident, *more = sys.argv[1:]
    if what == "receive":
        receive(server, bytes.fromhex(ident), float(more[0]) if more else None)
    Client(server).data(bytes.fromhex(ident), more[0].encode())


if __name__ == "__main__":
    main()
