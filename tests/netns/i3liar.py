#!/usr/bin/python3
"""A server of i3 that is none: it answers whatever comes at once, and never with the truth.

    i3liar.py ADDRESS LIE...

    ack          keeps each trigger                challenge    wants another nonce each time
    claim        is responsible for everything     constraint   no trigger keeps the constraints
    missing      there is no trigger               many         ten times each
    nothing      swallows what comes
"""
import os
import socket
import struct
import sys

from i3originals import wire

PORT = 5610
NONCE = slice(35, 51)  # of a trigger


def answer(kind, body):
    return bytes([0x10, wire.OPTIONS, 0]) + struct.pack("!H", len(body) + 3) + bytes([kind]) + body


def inserted(data, at):
    """The trigger of an INSERT among the options, which is the last of them; None: there is none."""
    end = at + struct.unpack_from("!H", data, at)[0]
    at += 2
    while at < end:
        if data[at] == wire.INSERT:
            return data[at + 1:end]
        if data[at] != wire.SENDER:
            return None
        at += 8
    return None


def lies_about(data, own, lies):
    depth = data[2]
    ident = data[3:35]
    trigger = inserted(data, 3 + 32 * depth) if data[1] & wire.OPTIONS else None
    if trigger and "challenge" in lies:
        yield answer(wire.CHALLENGE, trigger[:NONCE.start] + os.urandom(16) + trigger[NONCE.stop:])
    if trigger and "ack" in lies:
        yield answer(wire.ACK, trigger)
    if trigger and "constraint" in lies:
        yield answer(wire.FAILED, trigger)
    if "claim" in lies:
        yield answer(wire.CACHE, b"\0" + ident + struct.pack("!H", 128) + bytes(16) + own + bytes(16))
    if data[1] & wire.DATA and "missing" in lies:
        yield answer(wire.NOT_PRESENT, ident)


def main():
    where, *lies = sys.argv[1:]
    own = wire.address_bytes(wire.ip4(where, PORT))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((where, PORT))
        print("ready", flush=True)
        while True:
            data, source = s.recvfrom(8192)
            if len(data) < 37 or data[0] != 0x10 or not data[2]:
                continue
            for said in lies_about(data, own, lies):
                for _ in range(10 if "many" in lies else 1):
                    s.sendto(said, source)


if __name__ == "__main__":
    main()
