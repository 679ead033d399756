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

from i3client import ACK, CACHE, CHALLENGE, DATA, INSERT, NOT_PRESENT, OPTIONS, PORT, SENDER, address

CONSTRAINT_FAILED = 0x10
NONCE = slice(35, 51)  # of a trigger


def answer(kind, body):
    return bytes([0x10, OPTIONS, 0]) + struct.pack("!H", len(body) + 3) + bytes([kind]) + body


def inserted(data, at):
    """The trigger of an INSERT among the options, which is the last of them; None: there is none."""
    end = at + struct.unpack_from("!H", data, at)[0]
    at += 2
    while at < end:
        if data[at] == INSERT:
            return data[at + 1:end]
        if data[at] != SENDER:
            return None
        at += 8
    return None


def lies_about(data, own, lies):
    depth = data[2]
    ident = data[3:35]
    trigger = inserted(data, 3 + 32 * depth) if data[1] & OPTIONS else None
    if trigger and "challenge" in lies:
        yield answer(CHALLENGE, trigger[:NONCE.start] + os.urandom(16) + trigger[NONCE.stop:])
    if trigger and "ack" in lies:
        yield answer(ACK, trigger)
    if trigger and "constraint" in lies:
        yield answer(CONSTRAINT_FAILED, trigger)
    if "claim" in lies:
        yield answer(CACHE, b"\0" + ident + struct.pack("!H", 128) + bytes(16) + own + bytes(16))
    if data[1] & DATA and "missing" in lies:
        yield answer(NOT_PRESENT, ident)


def main():
    where, *lies = sys.argv[1:]
    own = address(where, PORT)
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
