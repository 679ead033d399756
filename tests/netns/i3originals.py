"""Servers and clients of the original i3 on machines of the lab.  They are models (tests/interop/), which die of what the
original died of, and say so; what it survived but a good peer does not send they print as "odd"."""
import os
import re
import signal
import subprocess
import sys
import time

import netlab
from netlab import wait_until

MODELS = os.path.join(netlab.ROOT, "tests", "interop")
sys.path.insert(0, MODELS)
import i3_original_wire as wire  # noqa: E402
from i3_original_client import KEY, identifier  # noqa: E402
PYTHON = "/usr/bin/python3"


class Original:
    """A model that runs."""

    def __init__(self, machine, words, log, **more):
        self.machine = machine
        self.process = machine.start([PYTHON, os.path.join(MODELS, words[0]), *words[1:]], log, **more)
        self.killed = False
        self.process.await_log("ready", 20)

    def log(self):
        return self.process.log()

    def lines(self, word):
        return [line for line in self.log().splitlines() if line.startswith(word)]

    def kill(self):
        self.killed = True
        self.process.end(signal.SIGKILL)

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
        words = ["i3_original_client.py", *servers, *options]
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
