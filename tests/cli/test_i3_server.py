"""`i3-server`: a real one on a loopback address of its own: what it tells who asks, and what it says about mistakes."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import unittest

from cli import EXAMPLES, OCALA, Case, ocala

DOCUMENT = os.path.join(EXAMPLES, "../doc/protocol/control.md")


class Server(Case):
    def setUp(self):
        super().setUp()
        # All of 127/8 is this machine: nobody else is there.
        self.at = "127." + ".".join(str(random.randrange(1, 255)) for _ in range(3))
        self.control = self.path("control")

    def start(self, *words):
        ready = self.path("ready")
        process = subprocess.Popen([OCALA, "i3-server", "--listen", self.at, "--control", self.control, "--ready-file", ready,
                                    *words], stdin=subprocess.DEVNULL, stderr=open(self.path("log"), "w", encoding="utf-8"))
        self.addCleanup(lambda: (process.kill(), process.wait()))
        limit = time.monotonic() + 30
        while not os.path.exists(ready):
            self.assertIsNone(process.poll(), "it ended: " + self.log())
            self.assertLess(time.monotonic(), limit, self.log())
            time.sleep(0.02)
        return process

    def log(self):
        with open(self.path("log"), encoding="utf-8") as lines:
            return lines.read()

    def ask(self, *words):
        return ocala("--socket", self.control, *words)

    def metrics(self):
        return json.loads(self.expect(self.ask("metrics", "--json"), 0).stdout)["metrics"]

    def test_metrics(self):
        self.start()
        # A ping (40 bytes, 01 and zeros), and three bytes that are no packet.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.sendto(b"abc", (self.at, 5610))
            s.sendto(b"\x01" + bytes(39), (self.at, 5610))
            self.assertEqual(len(s.recv(100)), 40)
        m = self.metrics()
        self.assertEqual((m["i3_server.received"], m["i3_server.pings"], m["i3_server.sent"]), (2, 1, 1))
        self.assertEqual(m["i3_server.drop.version"], 1)
        self.assertEqual((m["i3_server.triggers"], m["i3_server.most_triggers"]), (0, 1000000))
        self.assertEqual((m["i3_ring.settled"], m["i3_ring.nodes"], m["i3_ring.drop.secret"]), (1, 0, 0))

    def test_metrics_have_all_that_status_has(self):
        self.start()
        m = self.metrics()
        state = json.loads(self.ask("i3", "--json").stdout)
        for name in state["counters"]:
            known = [f"i3_server.{name}", "i3_ring." + name.removeprefix("ring_")]
            self.assertTrue(any(k in m for k in known), name)
        self.assertEqual({k for k in m if k.startswith("i3_server.drop.")}, {f"i3_server.drop.{k}" for k in state["drops"]})
        self.assertEqual({k for k in m if k.startswith("i3_ring.drop.")}, {f"i3_ring.drop.{k}" for k in state["ring_drops"]})

    def test_metrics_for_prometheus(self):
        self.start()
        text = self.expect(self.ask("metrics", "--prometheus"), 0).stdout
        for line in text.splitlines():
            self.assertRegex(line, r"^ocala_i3_(server|ring)_[a-z0-9_]+ [0-9]+$")
        self.assertEqual(len(text.splitlines()), len(self.metrics()))
        self.assertIn("\nocala_i3_ring_drop_no_way 0\n", text)

    def test_metrics_are_documented(self):
        self.start()
        with open(DOCUMENT, encoding="utf-8") as document:
            tables = dict(re.findall(r"\| `(i3_\w+\.)` \| meaning \|\n(.*?)\n\n", document.read() + "\n\n", re.DOTALL))
        said = {family + name for family, rows in tables.items() for row in rows.splitlines()
                for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        self.assertEqual(said, {name for name in self.metrics() if ".drop." not in name})

    def test_other_commands(self):
        process = self.start()
        self.expect(self.ask("i3"), 0, "Alone: it knows no other server.")
        self.expect(self.ask("version"), 0, "ocala i3-server")
        self.expect(self.ask("status"), 1, complains="this is a server of i3 and no daemon\nit knows i3, metrics, version and stop")
        self.expect(self.ask("stop"), 0)
        self.assertEqual(process.wait(30), 0)
        self.assertFalse(os.path.exists(self.control) or os.path.exists(self.path("ready")))

    def test_a_signal_ends_it(self):
        process = self.start()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)
        self.assertIn("the i3 server ends", self.log())


if __name__ == "__main__":
    unittest.main()
