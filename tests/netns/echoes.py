#!/usr/bin/python3
"""echoes.py NAME COUNT INTERVAL: sends echo requests, and waits for each answer for ten seconds; prints
{"answered": how many, "twice": how many came again, "ms": [round trips, sorted]}.

ping(8) waits for the last answers as long as two round trips took before: on a busy machine it counts as lost what is only
late.  And it has no room for the answers that come together when it could not run for a while.
"""
import json
import os
import socket
import struct
import sys
import time

PATIENCE, ROOM = 10, 8 << 20


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(kind, ident, number):
    head = struct.pack("!BBHHH", kind, 0, 0, ident, number) + bytes(48)
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]  # of IPv6 the kernel makes it


def main(name, count, interval):
    family, _, _, _, address = socket.getaddrinfo(name, None, type=socket.SOCK_RAW)[0]
    v4 = family == socket.AF_INET
    ask, reply = (8, 0) if v4 else (128, 129)
    s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6)
    s.setsockopt(socket.SOL_SOCKET, 33, ROOM)  # SO_RCVBUFFORCE
    ident, sent, took, twice = os.getpid() & 0xFFFF, [], {}, 0
    begin = time.monotonic()
    while len(took) < count:
        now = time.monotonic()
        due = begin + len(sent) * interval if len(sent) < count else sent[-1] + PATIENCE
        if now >= due and len(sent) == count:
            break
        if now >= due:
            s.sendto(request(ask, ident, len(sent)), address)
            sent.append(now)
            continue
        s.settimeout(due - now)
        try:
            data = s.recv(2048)
        except TimeoutError:
            continue
        data = data[(data[0] & 15) * 4:] if v4 else data
        kind, _, _, who, number = struct.unpack_from("!BBHHH", data)
        if kind == reply and who == ident and number < len(sent):
            twice += number in took
            took.setdefault(number, (time.monotonic() - sent[number]) * 1000)
    print(json.dumps({"answered": len(took), "twice": twice, "ms": sorted(took.values())}))


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
