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

from cli import EXAMPLES, OCALA, SECRET, Case, ocala

DOCUMENT = os.path.join(EXAMPLES, "../doc/protocol/control.md")


class Server(Case):
    def setUp(self):
        super().setUp()
        # All of 127/8 is this machine: nobody else is there.
        self.net = "127." + ".".join(str(random.randrange(1, 255)) for _ in range(2))
        self.at = f"{self.net}.1"
        self.control = self.path("control")

    def start(self, *words, name=""):
        """Runs a server; `name`: of one more, at the address of that number in the same network."""
        at = f"{self.net}.{name}" if name else self.at
        ready, control = self.path("ready" + name), self.path("control" + name)
        with open(self.path("log" + name), "w", encoding="utf-8") as log:
            process = subprocess.Popen([OCALA, "i3-server", "--listen", at, "--control", control, "--ready-file", ready,
                                        *words], stdin=subprocess.DEVNULL, stderr=log)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.await_that(lambda: os.path.exists(ready) or process.poll() is not None, "to serve", name)
        self.assertIsNone(process.poll(), "it ended: " + self.log(name))
        return process

    def await_that(self, so, what, name=""):
        limit = time.monotonic() + 45
        while not so():
            self.assertLess(time.monotonic(), limit, f"{what}: {self.log(name)}")
            time.sleep(0.02)

    def await_log(self, text, name=""):
        self.await_that(lambda: text in self.log(name), text, name)

    def log(self, name=""):
        with open(self.path("log" + name), encoding="utf-8") as lines:
            return lines.read()

    def refuses(self, status, complains, *words):
        """What is wrong is said on one line, and how to find help when the words are wrong."""
        result = ocala("i3-server", *words)
        self.expect(result, status, complains="ocala i3-server: " + complains)
        self.assertEqual("Try 'ocala i3-server --help'." in result.stderr, status == 2, result.stderr)

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

    def test_wrong_words(self):
        at = ("--listen", self.at)
        for complains, *words in (
                ("--listen is missing: at which address?",),
                ("a value is missing behind --listen", "--listen"),
                ("there is no option --frob", *at, "--frob"),
                ("which option belongs in front of this? extra", *at, "extra"),
                *((f"--listen is one address of this machine, in digits (others are told it), alone or with a port up to 65535 "
                   f"behind it, not {wrong}", "-l", wrong) for wrong in ("0.0.0.0", "host", self.at + ":70000", self.at + ":0")),
                ("--ring is the port for clients; it needs one of its own", *at, "--ring", "5610"),
                ("--ring is missing: there is no port behind that of --listen", "-l", self.at + ":65535"),
                ("--ring is a port, not 0", *at, "--ring", "0"),
                *(("--seed is the address of a server, in digits, alone or with its port for the ring behind it (5611 unless "
                   f"said), not {wrong}", *at, "--seed", wrong) for wrong in ("host", "192.0.2.1:0", "192.0.2.1:65536")),
                ("--seed is our own port for clients", *at, "--seed", self.at + ":5610"),
                ("a ring without a --secret needs an IPv4 address", "-l", "::1"),
                ("--id is 40 lower-case hexadecimal digits, not 12", *at, "--id", "12"),
                ("--triggers is a number from 1 to 100000000, not 0", *at, "--triggers", "0"),
                ("--per-client is a number, not -1", *at, "--per-client", "-1"),
                ("--requests is a number, not many", *at, "--requests", "many"),
                ("--per-address is a number, not 1.5", *at, "--per-address", "1.5"),
                ("no such log level: loud", *at, "--log-level", "loud")):
            self.refuses(2, complains, *words)

    def test_files(self):
        at = ("--listen", self.at)
        none, short, open_to_all = self.path("none"), self.write("short", "hello\n", 0o600), self.write("open", SECRET)
        self.refuses(78, f"--secret: cannot read {none}: there is no such file or folder", *at, "--secret", none)
        self.refuses(78, f"--secret: {short} is not a network secret: not one line of 44 base64", *at, "--secret", short)
        self.refuses(78, f"--secret: {open_to_all} can be read by others (mode 0644); run: chmod 600", *at, "--secret", open_to_all)
        self.refuses(1, f"cannot make the control socket {none}/x: there is no such", *at, "--control", none + "/x")
        self.refuses(1, f"cannot write {none}/x: there is no such file or folder", *at, "--ready-file", none + "/x")

    def test_places_that_are_taken(self):
        self.start()
        self.refuses(1, f"cannot listen for clients of i3 at {self.at}:5610: another program listens there (`ss -lunp` shows "
                     "which); end it, or take another port", "-l", self.at)
        self.refuses(1, f"cannot listen for the ring of i3 at {self.at}:5611: another program listens there",
                     "-l", self.at + ":99", "--ring", "5611")
        self.refuses(1, f"another ocalad listens on the control socket {self.control}", "-l", self.net + ".2",
                     "--control", self.control)
        self.refuses(1, "cannot listen for clients of i3 at 192.0.2.1:5610: that is no address of this machine (`ip address` "
                     "lists them)", "-l", "192.0.2.1")
        self.expect(self.ask("i3"), 0)  # the one that was there has noticed nothing

    def test_a_ring_forms_and_falls_apart(self):
        self.start()
        self.start("--seed", self.at + ":5611", name="2")
        for name in ("", "2"):
            self.await_log("in a ring: 1 other server is known so far", name)
        self.expect(ocala("--socket", self.path("control2"), "stop"), 0)
        self.await_log("no other server of the ring answers any more: serving alone")
        # It comes back to the same place.
        os.rename(self.path("log2"), self.path("log-before"))
        self.start("--seed", self.at + ":5611", name="2")
        self.await_log("in a ring: 1 other server is known so far", "2")

    def test_a_seed_that_does_not_answer(self):
        self.start("--seed", self.net + ".77:5611", "--seed", self.net + ".78:5611")
        self.await_log(f"found no ring by the seeds ({self.net}.77:5611, {self.net}.78:5611): serving alone, and asking on.")
        self.assertEqual(self.metrics()["i3_ring.settled"], 1)

    def test_a_wrong_secret(self):
        self.start("--secret", self.write("secret", SECRET, 0o600))
        self.start("--secret", self.write("other", "B" + SECRET[1:], 0o600), "--seed", self.at + ":5611", name="2")
        self.start("--seed", self.at + ":5611", name="3")  # has none
        for name in ("2", "3"):
            self.await_log(f"found no ring by the seeds ({self.at}:5611)", name)
        self.await_log("sends messages of a ring without our secret, or with another one")
        self.assertTrue(f"{self.net}.2:5611 sends" in self.log() or f"{self.net}.3:5611 sends" in self.log(), self.log())
        self.assertEqual(self.log().count("without our secret"), 1)  # once a minute
        self.assertGreater(self.metrics()["i3_ring.drop.secret"], 0)
        self.assertEqual(self.metrics()["i3_ring.nodes"], 0)

    def test_two_servers_with_one_id(self):
        place = "5" * 40
        self.start("--id", place)
        self.start("--id", place, "--seed", self.at + ":5611", name="2")
        self.await_log(f"{self.at}:5611 speaks of a server with our place on the ring ({place}) or our address", "2")
        self.assertEqual(self.metrics()["i3_ring.nodes"], 0)


if __name__ == "__main__":
    unittest.main()
