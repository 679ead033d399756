#!/usr/bin/python3
"""
           9000             narrow             9000            9000
    alpha ------ router-a ---------- router-b ------ gate ---------- beta
    10.1.0.1                                       10.3.0.2          10.4.0.2
          east.ip, by way of the routers         west.ip

No interface of a host is small: only the routers know what gets through between them, and say so by ICMP or do not.  A
mebibyte each way, to the gateway and behind it, arrives whole whatever that is, and half of one when it changes meanwhile.
"""
import contextlib

import service
import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, SERVICES, Host, secret
from suite import case

GATE, BETA, SIZE, LARGE = "gate.east.ip", "beta.west.ip", 1 << 20, 9000
CHANGING = SIZE // 2 # bytes, while the MTU changes
OVERHEAD = {4: 28, 6: 48} # of the underlay's IP and UDP
NO_ICMP = """
table inet quiet {
    chain output {
        type filter hook output priority 0;
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
"""


class Routers:
    """The network of the picture; `family`: IP version of the underlay; `rate`: of alpha's cable, in Mbit/s."""

    def __init__(self, lab, family, icmp, rate):
        self.family = family
        self.alpha, self.a, self.b, self.gate, self.beta = (
            lab.machine(name) for name in ("alpha", "router-a", "router-b", "gate", "beta"))
        v4 = family == 4
        at = {n: f"10.{n}.0." if v4 else f"fd0{n}::" for n in (1, 2, 3, 4)}
        size = 24 if v4 else 64
        self.cable = lab.cable(self.alpha, f"{at[1]}1/{size}", self.a, f"{at[1]}2/{size}", LARGE,
                               f"--rate {rate} --limit 200000" if rate else None)
        for n, left, right in ((2, self.a, self.b), (3, self.b, self.gate),
                               (4, self.gate, self.beta)):
            lab.cable(left, f"{at[n]}1/{size}", right, f"{at[n]}2/{size}", LARGE)
        self.alpha.ip(f"-{family} route add default via {at[1]}2")
        self.gate.ip(f"-{family} route add {at[1]}{'0' if v4 else ''}/{size} via {at[3]}1")
        self.a.ip(f"-{family} route add default via {at[2]}2")
        self.b.ip(f"-{family} route add default via {at[2]}1")
        for router in (self.a, self.b):
            router.run("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
                       check=True)
            if not icmp:
                router.run(["nft", "-f", "-"], input=NO_ICMP, check=True)
        self.overlays(*(f"{at[n]}{end}:{PORT}" if v4 else f"[{at[n]}{end}]:{PORT}"
                        for n, end in ((1, 1), (3, 2), (4, 1), (4, 2))))

    def overlays(self, alpha, gate_east, gate_west, beta):
        east, west, options = secret(), secret(), {"mtu": LARGE}
        self.alpha.join("east.ip", east, {"gate": gate_east}, alpha, options=options)
        self.gate.join("east.ip", east, {"alpha": alpha}, gate_east, options=options)
        self.gate.join("west.ip", west, {"beta": beta}, gate_west, options=options)
        self.beta.join("west.ip", west, {"gate": gate_west}, beta, options=options)
        self.gate.config["dns"]["mode"] = "none"
        for there, back in (("east.ip", "west.ip"), ("west.ip", "east.ip")):
            self.gate.add("forward", **{"from": there, "to": back})
        self.alpha.add("rules", names="*.west.ip", via=GATE)
        self.beta.add("rules", names="*.east.ip", via="gate.west.ip")
        self.alpha.add("believe", gateway=GATE, instances=["west.ip"])
        self.beta.add("believe", gateway="gate.west.ip", instances=["east.ip"])
        for host in (self.gate, self.beta):
            host.add("policy", peer="*.east.ip", allow=SERVICES)
        for host in (self.alpha, self.gate, self.beta):
            host.config["tun"]["mtu"] = LARGE
            host.config["timers"] = {"raise": "1s"}

    def up(self):
        for host in (self.gate, self.beta, self.alpha):
            host.up()
        for host in (self.gate, self.beta):
            host.serve()

    def narrow(self, mtu):
        """From now on this is what gets through between the routers."""
        self.a.ip(f"link set eth1 mtu {mtu}")
        self.b.ip(f"link set eth0 mtu {mtu}")

    def paths(self):
        """Both ends of the link to the gateway and of the path behind it: whose, and its name there."""
        return ((self.alpha, GATE), (self.gate, "alpha.east.ip"), (self.alpha, BETA), (self.beta, "alpha.east.ip"))

    def await_record(self, mtu):
        """Until all ends have measured what gets through, exactly."""
        def seen():
            return [(path(host, name)["record_mtu"], path(host, name)["mtu_known"]) for host, name in self.paths()]
        wait_until(lambda: seen() == [(mtu - OVERHEAD[self.family], "confirmed")] * 4, 30,
                   lambda: f"records for an MTU of {mtu}: {seen()}")


def path(host, name):
    return next(p for p in host.ask("path")["paths"] if p["name"] == name and p["current"])


@contextlib.contextmanager
def routers(family, icmp, rate=None):
    need("curl", "ping", "nft")
    with Lab(machine_class=Host) as lab:
        yield Routers(lab, family, icmp, rate)


def download(alpha, name, inner, size=SIZE):
    return ["curl", "-sS", "--max-time", "90", f"-{inner}", "-o", alpha.file("data"),
            f"http://{name}:8000/big/{size}"]


def upload(alpha, name, inner):
    return ["curl", "-sS", "--max-time", "90", f"-{inner}", "-H", "Expect:", "--data-binary",
            f"@{alpha.file('data')}", f"http://{name}:8000/upload"]


def digest(alpha):
    return alpha.run(["sha256sum", alpha.file("data")], check=True).stdout.split()[0]


def whole(alpha, name, inner):
    alpha.run(download(alpha, name, inner), limit=100, check=True)
    assert digest(alpha) == service.test_digest(SIZE), "the download differs"
    back = alpha.run(upload(alpha, name, inner), limit=100, check=True).stdout
    assert back.strip() == digest(alpha), "the upload differs"


def fresh(family, icmp, mtus):
    """A path that is opened over a way with this MTU."""
    with routers(family, icmp) as net:
        net.up()
        for mtu in mtus:
            net.narrow(mtu)
            assert net.alpha.down() == 0
            net.alpha.up()
            for name, inner in ((GATE, 4), (BETA, 6)):
                assert net.alpha.ping(name)
                whole(net.alpha, name, inner)
            net.await_record(mtu)


def transfer(net, name, words, counter, mtu):
    """Runs curl, and changes the MTU once a fifth has passed."""
    before = path(net.alpha, name)[counter]
    curl = net.alpha.start(words)
    wait_until(lambda: not curl.running() or path(net.alpha, name)[counter] - before > CHANGING // 5, 60,
               "a fifth of the transfer")
    assert curl.running(), "the transfer was over before the MTU changed"
    net.narrow(mtu)
    assert curl.wait(100) == 0, curl.log()
    return curl.log()


def changing(family, icmp, changes):
    """The way's MTU changes while half a mebibyte is under way: shrinks and grows, down and up."""
    with routers(family, icmp, rate=3) as net:
        net.up()
        for name in (GATE, BETA):
            assert net.alpha.ping(name)
        for number, (down, up) in enumerate(changes):
            name, inner = (GATE, BETA)[number % 2], (4, 6)[number // 2 % 2]
            transfer(net, name, download(net.alpha, name, inner, CHANGING), "bytes_in", down)
            assert digest(net.alpha) == service.test_digest(CHANGING), "the download differs"
            said = transfer(net, name, upload(net.alpha, name, inner), "bytes_out", up)
            assert said.split()[-1] == digest(net.alpha), "the upload differs"
        net.cable.command("rate 0")

        def grown(): # what grew is found while it is used
            for name in (GATE, BETA):
                whole(net.alpha, name, 4)
            return all(path(host, name)["record_mtu"] == expected for host, name in net.paths())
        expected = changes[-1][1] - OVERHEAD[family]
        wait_until(grown, 60, lambda: f"{expected}: {[path(h, n)['record_mtu'] for h, n in net.paths()]}")


@case
def ipv4_silent():
    """underlay MTU 1500, 1420, 1280, 1124, 576, 9000 over IPv4; routers say nothing"""
    fresh(4, False, (1500, 1420, 1280, 1124, 576, 9000))


@case
def ipv4_icmp():
    """the same; routers say "fragmentation needed" """
    fresh(4, True, (1500, 1420, 1280, 1124, 576, 9000))


@case
def ipv6_silent():
    """underlay MTU 1500, 1420, 1280, 9000 over IPv6; routers say nothing"""
    fresh(6, False, (1500, 1420, 1280, 9000))


@case
def ipv6_icmp():
    """the same; routers say "packet too big" """
    fresh(6, True, (1500, 1420, 1280, 9000))


@case
def ipv4_changes_silently():
    """the MTU changes in the middle of transfers over IPv4; routers say nothing"""
    changing(4, False, ((1420, 9000), (1500, 1124), (576, 1280)))


@case
def ipv4_changes_with_icmp():
    """the same; routers say "fragmentation needed" """
    changing(4, True, ((1500, 1124), (576, 1280)))


@case
def ipv6_changes_silently():
    """the MTU changes in the middle of transfers over IPv6; routers say nothing"""
    changing(6, False, ((1420, 9000), (1280, 1500)))


@case
def ipv6_changes_with_icmp():
    """the same; routers say "packet too big" """
    changing(6, True, ((1420, 9000), (1280, 1500), (9000, 1420)))


suite.main(__doc__)
