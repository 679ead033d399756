#!/usr/bin/python3
"""
          east.ip (16 Mbit/s)            west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2

New configurations under a running download: what has nothing to do with it leaves it alone, and a right that is taken
away is gone within a second.
"""
import contextlib
import copy
import hashlib
import os
import signal
import time

import service
import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, gateway_overlays, secret, underlay
from suite import case

SIZE = 12 << 20
NAME = "beta.west.ip"
MEGABITS = 16 # a second, between alpha and gate
A_SECOND = MEGABITS * 125000 # bytes
UNDER_WAY = 1 << 20 # what gate had let pass before, and curl had not written yet


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("curl")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.gate, net.beta = underlay(lab, impair=(f"--rate {MEGABITS}", None))
        gateway_overlays(net.alpha, net.gate, net.beta)
        for host in (net.gate, net.beta, net.alpha):
            host.up()
        net.beta.serve()
        yield net


@contextlib.contextmanager
def changed(host):
    """The configuration to be changed inside; afterwards the old one is loaded again."""
    before = copy.deepcopy(host.config)
    try:
        yield host.config
    finally:
        host.config = before
        host.write_config()
        host.ask("reload")


def reload(host):
    host.write_config()
    return host.ask("reload")


class Download:
    def __init__(self, net):
        self.path = net.alpha.file("download")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.curl = net.alpha.start(["curl", "-sS", "--max-time", "100", "-o", self.path,
                                     f"http://{NAME}:8000/big/{SIZE}"])
        wait_until(lambda: not self.curl.running() or self.size() > SIZE // 8, 60,
                   lambda: f"the download to begin: {self.curl.log()}")
        assert self.curl.running(), f"curl ended early: {self.curl.log()}"

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def goes_on(self):
        before = self.size()
        assert before < SIZE, "the download was over before the reload was"
        wait_until(lambda: self.size() > before, 30, "the download to go on")

    def complete(self):
        assert self.curl.wait(100) == 0, self.curl.log()
        with open(self.path, "rb") as f:
            assert hashlib.file_digest(f, "sha256").hexdigest() == service.test_digest(SIZE)

    def stops_within_a_second(self):
        """Nothing comes any more, although curl waits.  How soon that was the bytes say: they come at a known rate."""
        first = size = self.size()
        since, end = time.monotonic(), time.monotonic() + 10
        while time.monotonic() < since + 0.7:
            if self.size() != size:
                size, since = self.size(), time.monotonic()
            assert since < end, "it still runs"
            time.sleep(0.02)
        assert size - first < A_SECOND + UNDER_WAY, f"{size - first} bytes came after it"
        assert size < SIZE and self.curl.running(), self.curl.log()
        self.curl.end(signal.SIGKILL)


@case
def what_does_not_concern_it(net):
    """a download goes on while unrelated things change on all three machines"""
    download = Download(net)
    with changed(net.alpha) as a, changed(net.gate) as g, changed(net.beta) as b:
        a["rules"].append({"names": "*.north.ip", "via": ["gate.east.ip"]})
        a["dns"]["ttl"] = 5
        a["timers"] = {"keepalive": "10s"}
        a["overlays"][0]["members"].append({"name": "delta", "at": "10.1.0.9:7400"})
        assert sorted(reload(net.alpha)["changed"]) == ["dns.ttl", "east.ip members", "rules", "timers.keepalive"]
        g["forward"].append({"from": "delta.east.ip", "to": "west.ip"})
        assert reload(net.gate) == {"changed": ["forward"], "restart": []}
        b["policy"].insert(0, {"peer": "delta.east.ip", "allow": ["any"]})
        b["handles"] = {"per_user": 10}
        assert sorted(reload(net.beta)["changed"]) == ["handles.per_user", "policy"]
        download.goes_on()
    download.complete()


@case
def policy(net):
    """a flow that the policy does not allow any more ends within a second"""
    download = Download(net)
    with changed(net.beta) as b:
        b["policy"][0]["allow"] = ["icmp", "tcp/7"]
        assert reload(net.beta) == {"changed": ["policy"], "restart": []}
        download.stops_within_a_second()
        assert net.beta.drops()["policy"] > 0
        assert net.alpha.ping(NAME)
    assert net.alpha.curl(f"http://{NAME}:8000/marker").strip() == service.MARKER


@case
def forward(net):
    """a gateway that does not forward any more has no transit left within a second"""
    download = Download(net)
    with changed(net.gate) as g:
        g["forward"] = [{"from": "nobody.east.ip", "to": "west.ip"}]
        assert reload(net.gate)["changed"] == ["forward"]
        wait_until(lambda: not net.gate.ask("path")["transits"], 1, "the transits to go")
        download.stops_within_a_second()
    wait_until(lambda: net.alpha.ping(NAME), 60, "the way over gate again")


@case
def believe(net):
    """a name whose gateway is not believed any more is not reached"""
    net.alpha.lookup(NAME)
    download = Download(net)
    with changed(net.alpha) as a:
        a["believe"] = []
        assert reload(net.alpha)["changed"] == ["believe"]
        download.stops_within_a_second()
        assert "believe" in str(net.alpha.explain(NAME))
    wait_until(lambda: net.alpha.ping(NAME), 60, "the name again")


@case
def a_bad_file(net):
    """a file with a mistake changes nothing, and says where it is"""
    download = Download(net)
    before = net.beta.ask("config")["text"]
    path = net.beta.write_config()
    for mistake, words in (("\npolicy: [{peer: '*', allow: [icmpp]}]\n", "icmpp"), ("\nnonsense: 1\n", "nonsense"),
                           ("\n  : [", "ocalad.yaml:")):
        with open(path, "w") as f:
            f.write("name: beta\noverlays: [{instance: west.ip}]" + mistake)
        done = net.beta.ocala("reload", check=False)
        assert done.returncode == 1 and words in done.stderr and "ocalad.yaml:" in done.stderr, done.stderr
        assert "nothing was changed" in done.stderr, done.stderr
    os.rename(path, path + ".away")
    assert net.beta.ocala("reload", check=False).returncode == 1
    os.rename(path + ".away", path)
    net.beta.write_config()
    secret_file = net.beta.config["overlays"][0]["secret"]
    os.rename(secret_file, secret_file + ".away")
    done = net.beta.ocala("reload", check=False)
    os.rename(secret_file + ".away", secret_file)
    assert done.returncode == 1 and "secret" in done.stderr, done.stderr
    assert net.beta.ask("config")["text"] == before
    assert net.beta.ask("reload") == {"changed": [], "restart": []}
    download.goes_on()
    download.complete()


@case
def what_needs_a_restart(net):
    """an option that cannot change is named, the rest is taken"""
    with changed(net.beta) as b:
        b["tun"] = {"name": "ocala0", "mtu": 1300}
        b["dns"]["ttl"] = 7
        done = net.beta.ocala("reload") if net.beta.write_config() else None
        assert done.stdout == "changed: dns.ttl\nat the next start only: tun.mtu\n", done.stdout
        assert net.beta.ask("status")["host"]["tun"]["mtu"] == 1400
        net.beta.await_log("takes effect only after a restart: tun.mtu")


@case
def hangup(net):
    """SIGHUP does the same"""
    with changed(net.beta) as b:
        b["dns"]["ttl"] = 8
        net.beta.write_config()
        os.kill(net.beta.process.pid, signal.SIGHUP)
        net.beta.await_log("changed: dns.ttl")


@case
def the_secret(net):
    """the network's secret is changed in three steps under a download, and the old one is worth nothing then"""
    download = Download(net)
    old, new = net.alpha.config["overlays"][0]["secret"], secret()
    with changed(net.alpha) as a, changed(net.gate) as g:
        for host, both in ((net.gate, 0), (net.alpha, 1)):
            overlay = host.config["overlays"][0]
            files = [overlay.pop("secret"), host.write("new.secret", new, 0o600)]
            overlay["secrets"] = files[::-1] if both else files
            assert reload(host)["changed"] == ["east.ip secret"]
        for host in (net.gate, net.alpha):
            host.config["overlays"][0]["secrets"] = [host.file("new.secret")]
            assert reload(host)["changed"] == ["east.ip secret"]
        download.goes_on()
        download.complete()
        net.alpha.ask("path.close", name="gate.east.ip")
        assert net.alpha.ping(NAME)
        a["overlays"][0]["secrets"] = [old]
        reload(net.alpha)
        net.alpha.ask("path.close", name="gate.east.ip")
        wait_until(lambda: "secret mismatch" in str(net.alpha.explain("gate.east.ip")), 30, "the old secret to be refused")
    wait_until(lambda: net.alpha.ping(NAME), 60, "the way over gate again")


if __name__ == "__main__":
    suite.main(__doc__, fixture)
