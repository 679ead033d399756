#!/usr/bin/python3
"""An original server, run and observed as its model is (../i3_original_server.py has the same command line).

What is the original's own stays so: a round of its ring is a second, whatever --period says, and it has no identifier of a
machine but the one it is told.  The file "i3_server" of this folder is made by `build`.
"""
import argparse
import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GET_FINGERS, REPL_FINGERS = 8, 9
EACH = 26  # bytes of a node: identifier, address, port


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(args, folder):
    conf = os.path.join(folder, "chord.conf")
    with open(conf, "w") as f:
        f.write("\n".join([f"{args.ring_port} {args.id}", *args.seed]) + "\n")
    # It reads memory that it has freed, which the allocator of its time left as it was.
    environment = {"I3_STATE_FILE": os.path.join(folder, "state"), "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    if not args.backwards:
        environment["I3_LOCAL_ADDR"] = args.at
    with open(os.path.join(folder, "log"), "wb") as log:
        return subprocess.Popen([os.path.join(HERE, "i3_server"), conf, str(args.port)], stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log, env=environment, cwd=folder, preexec_fn=die_with_parent)


def read(folder, name):
    try:
        with open(os.path.join(folder, name), errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def nodes_of(data):
    """The addresses in a REPL_FINGERS, without the node that sends it."""
    count = (len(data) - 2) // EACH
    return [socket.inet_ntoa(data[1 + n * EACH + 20:][:4]) for n in range(1, count)]


def ended(server):
    """Why the server is of no use any more: it, or the process of its ring, has ended."""
    if server.poll() is not None:
        return f"the end of i3_server, status {server.returncode}"
    try:
        with open(f"/proc/{server.pid}/task/{server.pid}/children") as f:
            rings = f.read().split()
        for ring in rings:
            with open(f"/proc/{ring}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] in "ZX":
                    return f"the end of the process of its ring, {ring}"
    except OSError:
        pass
    return None


def watch(args, server, folder):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((args.at, 0))
    me = socket.inet_aton(args.at) + struct.pack("!H", s.getsockname()[1])
    told = ready = None
    # Until its first second is over its clock says 1970: what is inserted by then has expired a moment later.
    usable = time.monotonic() + 2.5
    while True:
        time.sleep(0.1)
        s.sendto(bytes([GET_FINGERS]) + me + b"\0\0\0\1", (args.at, args.ring_port))
        nodes = None
        if select.select([s], [], [], 0.2)[0]:
            nodes = nodes_of(s.recv(65536))
        reason = ended(server)
        if reason:
            print(read(folder, "log")[-2000:], f"died of: {reason}", sep="\n", flush=True)
            sys.exit(70)
        triggers = read(folder, "state").strip()
        if nodes is None or not triggers or time.monotonic() < usable:
            continue
        if not ready:
            ready = print("ready", flush=True) or True
        line = f"state: {triggers} triggers; nodes: {' '.join(sorted(set(nodes)))}".strip()
        if line != told:
            print(line, flush=True)
            told = line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--seed", action="append", required=True)
    parser.add_argument("--port", type=int, default=5610)
    parser.add_argument("--ring-port", type=int, default=5611)
    parser.add_argument("--period")
    parser.add_argument("--backwards", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="i3-original-") as folder:
        watch(args, start(args, folder), folder)


main()
