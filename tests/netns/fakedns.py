#!/usr/bin/python3
"""A resolver for "the rest of the Internet": fakedns.py ADDRESS [POOL_ADDRESS].

Every A question is answered with 192.0.2.80, names that contain "rebind" with POOL_ADDRESS, names that contain "nowhere"
or are of an overlay with NXDOMAIN; other types have no data.  Each question is printed, so that a test sees what left its machine.
"""
import socket
import sys


def question(message):
    """(labels, type, where the question ends)"""
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii", "replace"))
        at += 1 + message[at]
    return labels, int.from_bytes(message[at + 1:at + 3], "big"), at + 5


def answer(message, pool_address):
    labels, kind, end = question(message)
    name = ".".join(labels)
    print(name.lower(), kind, flush=True)
    address = pool_address if "rebind" in name else "192.0.2.80"
    unknown = "nowhere" in name or name.lower().endswith(".ip")
    has_answer = kind == 1 and not unknown
    head = message[:2] + (0x8183 if unknown else 0x8180).to_bytes(2, "big")
    head += b"\0\1" + has_answer.to_bytes(2, "big") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address) if has_answer else b""
    return head + message[12:end] + record


def main():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((sys.argv[1], 53))
    print("ready", flush=True)
    while True:
        message, client = s.recvfrom(4096)
        try:
            s.sendto(answer(message, sys.argv[2] if len(sys.argv) > 2 else "192.0.2.81"), client)
        except (IndexError, OSError) as e:
            print(f"bad question: {e}", flush=True)


if __name__ == "__main__":
    main()
