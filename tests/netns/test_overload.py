#!/usr/bin/python3
"""
    alpha ---- switch ---- beta        one overlay, east.ip; keys are replaced every second.
    10.1.0.1     |     10.1.0.2        More arrives at beta than it can carry: control lives on.
               gamma
              10.1.0.3
"""
import contextlib
import threading

import netlab
import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, secret
from suite import case

BETA = "beta.east.ip"

# Sends copies of one datagram to a place for some seconds, as many as the kernel takes, many with each call; prints how
# many they were.  Bytes 8 to 15, the counter of a record, count up from far ahead.
FLOOD = """
import socket, sys, time
host, port, seconds, start = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), bytes.fromhex(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
record, counter, sent, end = start[:8] + bytes(8) + bytes(1000), 1 << 40, 0, time.monotonic() + seconds
batch = bytearray(record * 40)
segment = [(socket.IPPROTO_UDP, 103, len(record).to_bytes(2, sys.byteorder))]
while time.monotonic() < end:
    for i in range(40):
        at = i * len(record) + 8
        batch[at:at + 8] = counter.to_bytes(8, "big")
        counter += 1
    try:
        s.sendmsg([batch], segment, 0, (host, port))
        sent += 40
    except OSError:
        pass
print(sent)
"""


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("ping", "tcpdump", "iperf3")
    with Lab(machine_class=Host) as lab:
        net, key, names = Net(), secret(), ("alpha", "beta", "gamma")
        net.alpha, net.beta, net.gamma = hosts = [lab.machine(name) for name in names]
        place = {host: f"10.1.0.{number + 1}" for number, host in enumerate(hosts)}
        ports = lab.switch({host: [f"{place[host]}/24"] for host in hosts})
        for host in hosts:
            host.join("east.ip", key, {other.name: f"{place[other]}:{PORT}" for other in hosts if other != host})
            host.config["timers"] = {"rekey": "1s", "old_keys": "1s", "keepalive": "2s"}
        net.beta.up(), net.alpha.up()
        wire = net.alpha.capture(ports[net.alpha])
        assert net.alpha.ping(BETA, 3)
        net.record = max((f[42:58] for f in wire.frames() if f[23:24] == b"\x11" and f[42:43] == b"\xc0"
                          and f[30:34] == bytes([10, 1, 0, 2]) and f[49] & 15), key=lambda f: f[8:])
        yield net


def link(host, name):
    return next(l for l in host.ask("overlay")["links"] if l["name"] == name)


def lives(net, seconds, load):
    """While load() runs: keys are replaced, the link stays the same one, and another host's set-up works."""
    before = link(net.alpha, BETA)
    thread = threading.Thread(target=load)
    thread.start()
    net.alpha.start(["ping", "-i", "0.2", "-w", "20", BETA])  # keys age by use
    try:
        net.gamma.up()
        wait_until(lambda: net.gamma.ping(BETA), seconds, "a link to be set up under overload")
        wait_until(lambda: link(net.alpha, BETA)["rekeys"] >= before["rekeys"] + 3, seconds,
                   lambda: f"keys to be replaced under overload: {link(net.alpha, BETA)}")
        assert thread.is_alive(), "the load ended too early to show anything"
    finally:
        thread.join()
        net.gamma.down()
    after = link(net.alpha, BETA)
    assert after["state"] == "open" and after["age_s"] > before["age_s"], (before, after)
    assert net.alpha.ping(BETA)


@case
def a_flood_of_records_that_do_not_open(net):
    """records with the right label from the right host, each of which must be tried: as many as the wire takes"""
    netlab.need_quiet()
    def flood():
        net.flood = net.alpha.run(["/usr/bin/python3", "-c", FLOOD, "10.1.0.2", str(PORT), "15", net.record.hex()],
                                  limit=60, check=True).stdout
    lives(net, 12, flood)
    drops = net.beta.drops()
    tried = drops["bad-tag"] + drops["overload"] + drops["unknown-epoch"]
    suite.comment(f"{net.flood.strip()} sent; beta: {tried} of the flood dropped by name, {drops['overload']} unread")
    assert tried > 1000, drops


@case
def more_than_the_tunnel_carries(net):
    """programs that send as many small packets as they can, four at a time"""
    netlab.need_quiet()
    server = net.beta.start(["iperf3", "-s", "--forceflush"])
    server.await_log("listening")

    def flood():
        net.alpha.run(["iperf3", "-u", "-c", BETA, "-b", "0", "-l", "200", "-t", "15", "-P", "4"], limit=60)
    lives(net, 12, flood)


if __name__ == "__main__":
    suite.main(__doc__, fixture)
