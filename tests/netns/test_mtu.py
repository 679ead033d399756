#!/usr/bin/python3
"""
          east.ip (MTU varies)           west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2

A mebibyte each way whatever the underlay's MTU; programs are told a path MTU that is never below 1280.
"""
import service
import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, gateway_overlays, underlay
from suite import case

NAME, SIZE = "beta.west.ip", 1 << 20

LARGE = """
import hashlib, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(4)
s.connect((sys.argv[1], 7))
for size in (1, 1200, 1272, 1273, 1400, 1473, 9000, 65507):
    data = bytes(i % 251 for i in range(size))
    for attempt in range(4): # the first large one may be lost while its path learns the MTU
        s.send(data)
        try:
            while len(got := s.recv(65536)) < size: # that of another attempt, which came late
                pass
            assert got == data, size
            break
        except TimeoutError:
            assert attempt < 3, size
print("whole")
"""


# Prints which of the datagrams came, once all have.
COUNT = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 33500))
print("ready", flush=True)
seen = set()
while len(seen) < 20:
    seen.add(s.recv(65536)[0])
    print(len(seen), "came", flush=True)
"""
BURST = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    s.sendto(bytes([i]) * 1400, (sys.argv[1], 33500))
"""


def whole(alpha, family="-4"):
    """Downloads and uploads SIZE bytes and compares them."""
    path = alpha.file("data")
    alpha.curl(f"http://{NAME}:8000/big/{SIZE}", family, "-o", path, limit=60)
    seen = alpha.run(["sha256sum", path], check=True).stdout.split()[0]
    assert seen == service.test_digest(SIZE), "the download differs"
    back = alpha.curl(f"http://{NAME}:8000/upload", family, "-H", "Expect:", "--data-binary", f"@{path}", limit=60)
    assert back.strip() == seen, "the upload differs"


def over(mtu, change=None):
    need("curl", "ping")
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = underlay(lab, mtu=(max(mtu, 1280) if change is None else 1500, 1500))
        gateway_overlays(alpha, gate, beta)
        if change is None and mtu < 1280: # IPv6 ends below 1280
            alpha.ip(f"link set eth0 mtu {mtu}")
            gate.ip(f"link set eth0 mtu {mtu}")
        for host in (gate, beta, alpha):
            host.up()
        beta.serve()
        assert alpha.ping(NAME)
        if change:
            change(alpha, gate)
        whole(alpha)
        whole(alpha, "-6")
        out = alpha.run(["/usr/bin/python3", "-c", LARGE, alpha.lookup(NAME)[0]], limit=60)
        assert out.stdout.strip() == "whole", out.stderr
        mtu_seen = next(p["mtu"] for p in alpha.ask("path")["paths"] if p["name"] == NAME)
        assert 1280 <= mtu_seen <= 1500, mtu_seen


@case
def mtu_1500():
    """underlay MTU 1500"""
    over(1500)


@case
def mtu_1400():
    """underlay MTU 1400"""
    over(1400)


@case
def mtu_1280():
    """underlay MTU 1280: inner packets travel in several records"""
    over(1280)


@case
def mtu_576():
    """underlay MTU 576: inner packets travel in many records"""
    over(576)


@case
def mtu_shrinks_under_way():
    """the underlay's MTU shrinks from 1500 to 1300 while the path stands"""
    def change(alpha, gate):
        for host in (alpha, gate):
            host.ip("link set eth0 mtu 1300")
    over(1500, change)


@case
def what_is_refused_goes_again():
    """an interface gets smaller: what was sealed for the larger one is not lost, although UDP would not send it again"""
    need("ping")
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = underlay(lab)
        gateway_overlays(alpha, gate, beta)
        for host in (gate, beta, alpha):
            host.up()
        assert alpha.ping(NAME)
        at, count = alpha.lookup(NAME)[0], beta.start(["/usr/bin/python3", "-c", COUNT])
        count.await_log("ready")

        def record_mtu():
            return next(p["record_mtu"] for p in alpha.ask("path")["paths"] if p["name"] == NAME)
        wait_until(lambda: record_mtu() > 1400, 30, record_mtu)
        alpha.ip("link set eth0 mtu 1300")
        assert record_mtu() > 1400, "the MTU is known before it was met"
        alpha.run(["/usr/bin/python3", "-c", BURST, at], check=True)
        count.await_log("20 came")
        assert record_mtu() < 1300


@case
def do_not_fragment_is_answered():
    """a packet that is too large and must not be fragmented: the program is told the path's MTU"""
    need("ping")
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = underlay(lab)
        gateway_overlays(alpha, gate, beta)
        for host in (gate, beta, alpha):
            host.up()
        assert alpha.ping(NAME)
        out = alpha.run(["ping", "-4", "-M", "do", "-s", "1490", "-c", "1", "-W", "15", NAME])
        assert "essage too long" in out.stdout + out.stderr or "Frag needed" in out.stdout, out.stdout + out.stderr


suite.main(__doc__)
