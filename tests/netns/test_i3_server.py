#!/usr/bin/python3
"""
    one ---+--- switch ---+--- alice        four servers of i3 (`ocala i3-server`), two machines with clients as the
    two ---+              +--- bob          original has them (tests/interop/)
    three -+
    four --+
"""
import base64
import contextlib
import json
import os
import random
import signal

import suite
from i3originals import OriginalClient, identifier
from netlab import Lab, program, wait_until
from ocalahost import Host, secret
from suite import case

NAMES = ("one", "two", "three", "four")
HASTY = 0.1  # clients refresh after 1.5 to 2 s, not after 15 to 20


class Net:
    def server(self, name):
        return self.servers[name]

    def up(self, *names, options=()):
        for name in names:
            machine = self.server(name)
            machine.process = machine.start(
                [program("ocala"), "i3-server", "--listen", machine.at, "--seed", f"{self.server('one').at}:5611",
                 "--control", machine.file("i3-control"), "--ready-file", machine.file("i3-ready"), *options])
        for name in names:
            wait_until(lambda: os.path.exists(self.server(name).file("i3-ready")), 20,
                       lambda: f"{name} to serve: {self.server(name).process.log()}")

    def ask(self, name):
        machine = self.server(name)
        done = machine.run([program("ocala"), "--socket", machine.file("i3-control"), "--json", "i3"], check=True)
        return json.loads(done.stdout)

    def metrics(self, name):
        machine = self.server(name)
        done = machine.run([program("ocala"), "--socket", machine.file("i3-control"), "--json", "metrics"], check=True)
        return json.loads(done.stdout)["metrics"]

    def knows(self, name, others):
        state = self.ask(name)
        return state["settled"] and {node["at"].split(":")[0] for node in state["nodes"]} == {
            self.server(other).at for other in others if other != name}

    def formed(self, *names, limit=40):
        for name in names:
            wait_until(lambda: self.knows(name, names), limit, lambda: f"{name} to know the others: {self.ask(name)}")

    def down(self):
        for machine in self.servers.values():
            process = getattr(machine, "process", None)
            if process and process.running():
                process.end()
            machine.process = None

    def client(self, machine, by, hurry=HASTY):
        client = OriginalClient(machine, [self.server(by).at], "--hurry", str(hurry))
        self.clients.append(client)
        return client

    def receiver(self, by, ident, hurry=HASTY):
        client = self.client(self.bob, by, hurry)
        client.inserted(ident)
        return client

    def reaches(self, by, ident, receiver, text, limit=20):
        self.client(self.alice, by).reaches(receiver, ident, text, limit)

    def end_clients(self):
        for client in self.clients:
            client.end()
        self.clients.clear()


@contextlib.contextmanager
def fixture():
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.lab, net.clients = lab, []
        net.servers = {name: lab.machine(name) for name in NAMES}
        net.alice, net.bob = lab.machine("alice"), lab.machine("bob")
        lab.switch({machine: f"10.1.0.{i + 1}/24" for i, machine in enumerate(lab.machines)})
        for i, name in enumerate(NAMES):
            net.servers[name].at = f"10.1.0.{i + 1}"
        yield net


@contextlib.contextmanager
def ring(net, *names, options=()):
    try:
        net.up(*names, options=options)
        net.formed(*names)
        yield
        for client in net.clients:
            client.check()
    finally:
        net.end_clients()
        net.down()


@case
def any_server_reaches_any_trigger(net):
    """four servers form a ring; a trigger inserted by one is reached by all"""
    dice = random.Random(1)
    with ring(net, *NAMES):
        for by in NAMES:
            ident = identifier(dice)
            bob = net.receiver(by, ident)
            for other in NAMES:
                net.reaches(other, ident, bob, f"by-{by}-and-{other}")
        triggers = [net.ask(name)["triggers"] for name in NAMES]
        assert sum(triggers) == 4, f"{triggers} triggers at the servers"
        metrics = [net.metrics(name) for name in NAMES]
        assert sum(m["i3_server.triggers"] for m in metrics) == 4 and sum(m["i3_server.inserted"] for m in metrics) == 4
        assert all(m["i3_ring.nodes"] == 3 and m["i3_ring.settled"] == 1 for m in metrics), metrics
        assert sum(m["i3_server.delivered"] for m in metrics) >= 16 and sum(m["i3_ring.delivered"] for m in metrics) > 0


@case
def a_server_is_killed(net):
    """one dies without a word: the others close the ring, and its triggers come back with their clients' refresh"""
    dice = random.Random(2)
    with ring(net, *NAMES):
        idents = [identifier(dice) for _ in range(8)]
        bobs = [net.receiver("one", ident) for ident in idents]
        for ident, bob in zip(idents, bobs):
            net.reaches("two", ident, bob, "before")
        # One that has some of them.
        victim = max(NAMES[1:], key=lambda name: net.ask(name)["triggers"])
        assert net.ask(victim)["triggers"] > 0
        net.server(victim).process.send_signal(signal.SIGKILL)
        rest = [name for name in NAMES if name != victim]
        for ident, bob in zip(idents, bobs):
            net.reaches(rest[-1], ident, bob, "after", limit=40)
        net.formed(*rest)
        lost = net.ask(rest[0])["counters"]["ring_lost"]
        assert lost >= 1, "nobody noticed"


@case
def a_ring_with_a_secret(net):
    """who does not have the secret is not heard; a server's death loses no trigger"""
    dice = random.Random(3)
    key = base64.b64encode(dice.randbytes(32)).decode() + "\n"
    path = net.server("one").write("secret", key, 0o600)
    with ring(net, "one", "two", "three", options=["--secret", path]):
        net.up("four")  # without it
        idents = [identifier(dice) for _ in range(6)]
        bobs = [net.receiver("one", ident, 4) for ident in idents]
        victim = max(("two", "three"), key=lambda name: net.ask(name)["triggers"])
        net.server(victim).process.send_signal(signal.SIGKILL)
        rest = [name for name in ("one", "two", "three") if name != victim]
        net.formed(*rest)
        for ident, bob in zip(idents, bobs):
            net.reaches("one", ident, bob, "from a copy", limit=30)
        assert net.ask("one")["ring_drops"]["secret"] > 0
        assert not net.ask("four")["nodes"]


@case
def what_it_runs_as(net):
    """no capability, and system calls that it does not need are refused"""
    with ring(net, "one"):
        with open(f"/proc/{net.server('one').process.pid}/status") as lines:
            status = dict(line.split(":", 1) for line in lines if ":" in line)
        assert int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"


@case
def garbage_and_floods(net):
    """noise on both ports changes nothing, and is counted"""
    dice = random.Random(4)
    with ring(net, "one", "two"):
        ident = identifier(dice)
        bob = net.receiver("two", ident)
        lines = "".join(dice.randbytes(dice.randrange(1, 200)).hex() + "\n" for _ in range(2000))
        path = net.alice.write("noise", lines)
        for port in ("5610", "5611"):
            with open(path) as noise:
                blast = net.alice.start([program("ocala-blast"), net.server("one").at, port, "2", "5000"], stdin=noise)
            wait_until(lambda: not blast.running(), 30, "the noise to end")
        net.reaches("one", ident, bob, "still here")
        state = net.ask("one")
        assert sum(state["drops"].values()) > 1000 and sum(state["ring_drops"].values()) > 1000
        net.formed("one", "two")


@case
def inside_the_daemon(net):
    """the same server in an ocalad by its configuration: `ocala i3` shows it, and it forms a ring with others"""
    one = net.server("one")
    one.join("east.ip", secret(), {})
    one.config["i3_server"] = {"listen": one.at}
    one.up()
    try:
        net.up("two")
        wait_until(lambda: len(one.ask("i3")["nodes"]) == 1 and net.ask("two")["settled"], 20, "the two to meet")
        ident = identifier(random.Random(5))
        bob = net.receiver("one", ident)
        net.reaches("two", ident, bob, "by two")
        net.reaches("one", ident, bob, "by one")
        assert one.ask("i3")["counters"]["received"] > 0
        metrics = one.ask("metrics")["metrics"]
        assert metrics["i3_server.received"] > 0 and metrics["i3_ring.nodes"] == 1
        assert metrics["i3_server.delivered"] + net.metrics("two")["i3_server.delivered"] >= 2
        assert metrics["drop.garbage"] >= 0, "the daemon's own are there too"
    finally:
        net.end_clients()
        net.server("two").process.end()
        one.down()


suite.main(__doc__, fixture)
