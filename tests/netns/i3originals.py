"""Servers and clients of the original i3 on machines of the lab.  They are models (tests/interop/), which die of what the
original died of, and say so; what it survived but a good peer does not send they print as "odd".

With OCALA_I3_ORIGINALS they are the original's own programs out of that folder (tests/interop/originals/build)."""
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import netlab
from netlab import Lab, program, wait_until
from ocalahost import Host

MODELS = os.path.join(netlab.ROOT, "tests", "interop")
PROGRAMS = os.environ.get("OCALA_I3_ORIGINALS") or MODELS
sys.path.insert(0, MODELS)
import i3_original_wire as wire  # noqa: E402
from i3_original_client import KEY, identifier  # noqa: E402
PYTHON = "/usr/bin/python3"


def picture(servers):
    """The network of a test, as suite.main() prints it."""
    return f"""
    s1 ---+--- switch ---+--- alice       servers: {servers}
    s2 ---+              +--- bob         clients: with the library of the original
    s3 ---+              +--- mallory     (originals are models of them: tests/interop/)
    s4 ---+
"""


class Original:
    """One that runs."""

    def __init__(self, machine, words, log, **more):
        self.machine = machine
        self.process = machine.start([PYTHON, os.path.join(PROGRAMS, words[0]), *words[1:]], log, **more)
        self.killed = False
        self.process.await_log("ready", 20)

    def log(self):
        return self.process.log()

    def lines(self, word):
        return [line for line in self.log().splitlines() if line.startswith(word)]

    def kill(self):
        self.killed = True
        self.process.end(signal.SIGKILL)

    def end(self):
        if self.process.running():
            self.process.end(signal.SIGKILL)
        if self.process.popen.stdin:
            self.process.popen.stdin.close()

    def check(self, odd=False):
        """It lives, unless the test killed it, and was sent nothing that a good peer does not send (or, `odd`: nothing
        that hurts)."""
        died = self.lines("died of") + self.lines("Traceback")
        assert not died, f"{self.machine.name} {died[0]}: {self.log()[-3000:]}"
        assert self.killed or self.process.running(), f"{self.machine.name} ended: {self.log()[-3000:]}"
        assert odd or not self.lines("odd"), f"{self.machine.name}: {self.lines('odd')}"


class OriginalServer(Original):
    def __init__(self, machine, at, place, seeds=(), *options):
        self.at, self.id = at, place
        words = ["i3_original_server.py", "--at", at, "--id", place]
        for seed in seeds or [at]:
            words += ["--seed", f"{seed}:5611"]
        super().__init__(machine, words + list(options), "original-server.log")

    def state(self):
        """(triggers, addresses of the nodes that it knows)"""
        last = (self.lines("state:") or ["state: 0 triggers; nodes:"])[-1]
        count, nodes = re.fullmatch(r"state: (\d+) triggers; nodes: ?(.*)", last).groups()
        return int(count), set(nodes.split())

    def triggers(self):
        return self.state()[0]

    def knows(self):
        return self.state()[1]


class OriginalClient(Original):
    """`servers`: the addresses that it is configured with."""

    def __init__(self, machine, servers, *options):
        # Of random ports, as the original takes, two may be the same.
        port = str(10000 + len(machine.processes))
        words = ["i3_original_client.py", *servers, "--port", port, *options]
        super().__init__(machine, words, f"original-client-{len(machine.processes)}.log", stdin=subprocess.PIPE)

    def say(self, *words):
        self.process.popen.stdin.write(" ".join(words) + "\n")
        self.process.popen.stdin.flush()

    def inserted(self, ident, *stack):
        """Inserts a trigger and waits until a server has it."""
        self.say("insert", ident.hex(), *(other.hex() for other in stack))
        self.heard(f"inserted {ident.hex()}")

    def heard(self, text, limit=30):
        wait_until(lambda: text in self.log(), limit, lambda: f"'{text}' at {self.machine.name}: {self.log()[-2000:]}")

    def send(self, ident, text):
        self.say("send", ident.hex(), text)

    def reaches(self, other, ident, text, limit=30):
        """Sends until the other client has it."""
        wanted = re.compile(rf"^got \S+ {re.escape(text)}$", re.MULTILINE)
        again_until(lambda: wanted.search(other.log()), lambda: self.send(ident, text), limit,
                    lambda: f"'{text}' at {other.machine.name}: {other.log()[-2000:]}")

    def refused(self, ident, text, limit=30):
        """Sends until it is told that there is no trigger."""
        word = f"absent {ident.hex()}"
        before = self.log().count(word)
        again_until(lambda: self.log().count(word) > before, lambda: self.send(ident, text), limit,
                    lambda: f"'{word}': {self.log()[-2000:]}")


def again_until(condition, act, limit, what):
    """wait_until(condition), and every third of a second act()."""
    due = 0.0

    def look():
        nonlocal due
        if time.monotonic() >= due:
            act()
            due = time.monotonic() + 0.3
        return condition()
    wait_until(look, limit, what)


def places(count):
    """Identifiers of servers, evenly on the ring."""
    return [f"{(2 * n + 1) * (1 << 160) // (2 * count):040x}" for n in range(count)]


def ring_of_originals(*options, period=0.25):
    """For i3lab.network(): all servers are originals, and form one ring.  Shorter rounds than the original's second."""
    def serve(net, servers):
        net.originals = []
        for place, (name, at) in zip(places(len(servers)), servers.items()):
            first = next(iter(servers.values()))
            net.originals.append(OriginalServer(net.servers[name], at, place, [first], "--period", str(period), *options))
        for original in net.originals:
            wait_until(lambda: original.knows() == set(servers.values()) - {original.at}, 30,
                       lambda: f"the ring of {original.machine.name}: {original.log()[-2000:]}")
    return serve


# Rings of ours and of originals, with original clients.

AT = {f"s{n}": f"10.1.0.{10 + n}" for n in range(1, 5)}
PLACE = dict(zip(AT, places(4)))
PERIOD = "0.125"  # of the originals' rounds


class Ours:
    """A server of ours, with what a test asks an original too."""

    def __init__(self, machine, at, place, seeds=()):
        self.machine, self.at, self.id, self.killed = machine, at, place, False
        self.control, ready = machine.file("i3-control"), machine.file("i3-ready")
        for path in (self.control, ready):
            if os.path.exists(path):
                os.unlink(path)
        words = ["--listen", at, "--id", place, "--control", self.control, "--ready-file", ready]
        for seed in seeds:
            words += ["--seed", f"{seed}:5611"]
        self.process = machine.start([program("ocala"), "i3-server", *words], "i3-server.log")
        wait_until(lambda: os.path.exists(ready), 20, lambda: f"{machine.name} to serve: {self.process.log()}")

    def ask(self):
        done = self.machine.run([program("ocala"), "--socket", self.control, "--json", "i3"], check=True)
        return json.loads(done.stdout)

    def triggers(self):
        return self.ask()["triggers"]

    def knows(self):
        state = self.ask()
        return {node["at"].split(":")[0] for node in state["nodes"]} if state["settled"] else set()

    def log(self):
        return self.process.log()

    def kill(self):
        self.killed = True
        self.end()

    def end(self):
        if self.process.running():
            self.process.end(signal.SIGKILL)

    def check(self, odd=False):
        assert self.killed or self.process.running(), f"{self.machine.name} ended: {self.log()[-3000:]}"


class Net:
    def original(self, name, *seeds, options=()):
        return self.serve(name, OriginalServer(self.lab_machine(name), AT[name], PLACE[name], [AT[s] for s in seeds],
                                               "--period", PERIOD, *options))

    def ours(self, name, *seeds):
        return self.serve(name, Ours(self.lab_machine(name), AT[name], PLACE[name], [AT[s] for s in seeds]))

    def serve(self, name, server):
        self.servers[name] = server
        return server

    def lab_machine(self, name):
        return next(machine for machine in self.lab.machines if machine.name == name)

    def client(self, machine, by, *options):
        client = OriginalClient(self.lab_machine(machine), [AT[by]], *options)
        self.clients.append(client)
        return client

    def living(self):
        return {name: server for name, server in self.servers.items() if not server.killed}

    def formed(self, limit=40):
        """Waits until every server that lives knows those and no others."""
        everybody = {server.at for server in self.living().values()}
        for name, server in self.living().items():
            wait_until(lambda: server.knows() == everybody - {server.at}, limit,
                       lambda: f"{name} to know the others, not {server.knows()}: {server.log()[-2000:]}")

    def id_of(self, name, to=None, among=None):
        """An identifier for which this server is responsible, in the ring of those that live, or of `among`."""
        ring = sorted((int(PLACE[other], 16), other) for other in among or self.living())
        while True:
            ident = identifier(self.dice, to)
            key = int.from_bytes(ident[:20], "big")
            if next((other for place, other in ring if place >= key), ring[0][1]) == name:
                return ident

    def check(self, odd=False):
        for peer in [*self.servers.values(), *self.clients]:
            peer.check(odd)

    def clear(self):
        for peer in [*self.servers.values(), *self.clients]:
            peer.end()


@contextlib.contextmanager
def fixture():
    with Lab(machine_class=Host) as lab:
        machines = [lab.machine(name) for name in (*AT, "alice", "bob", "mallory")]
        lab.switch({machine: f"10.1.0.{11 + i}/24" for i, machine in enumerate(machines)})
        yield lab


@contextlib.contextmanager
def net_of(lab, seed):
    net = Net()
    net.lab, net.servers, net.clients, net.dice = lab, {}, [], random.Random(seed)
    try:
        yield net
        net.check()
    finally:
        net.clear()
