"""What is shown of the daemon's replies, and what is said when they are errors or nonsense."""
import json
import unittest

from cli import DaemonCase, ocala

HOST = {
    "name": "alpha", "version": "0.1.0", "pid": 77, "state": "running", "uptime_s": 3725, "workers": 0, "key": "PUBKEY",
    "config": "/etc/ocala/ocala.yaml", "config_age_s": 61, "gateway": True,
    "tun": {"name": "ocala0", "mtu": 1400, "address4": "198.18.0.1", "address6": "fd00::1"},
    "dns": {"mode": "resolvconf", "listen": "127.0.0.1:53", "suffix": None, "questions": 9, "answered": 4,
            "forwarded": 5, "refused": 0},
    "sandbox": {"user": 999, "capabilities": "none", "seccomp": "on", "landlock": "on, version 6", "helper": None},
    "log": {"level": "notice", "areas": {"path": "debug"}},
    "pools": {"ipv4": "198.18.0.0/15", "ipv6": "fd00::/48", "used": 2, "resting": 1, "per_user": 4096},
}
OVERLAY = {
    "instance": "east.ip", "type": "ip", "name": "alpha.east.ip", "key": "PUBKEY", "trust": "psk", "state": "up",
    "reason": None, "listen": ["0.0.0.0:7400", "[::]:7400"],
    "members": [{"name": "gate.east.ip", "at": ["192.0.2.1:7400"], "pinned": False, "link": "open"}], "module": {},
}
PATH = {
    "name": "beta.west.ip", "key": "BETAKEY", "state": "open", "role": "initiator",
    "identity": "vouched for by gate.east.ip", "chain": "beta.west.ip.via.gate.east.ip", "current": True, "rekeys": 0,
    "via": ["gate.east.ip"], "handle4": "198.18.4.7", "handle6": "fd00::7",
    "mtu": 1400, "lanes": 1, "epoch": 0, "cipher": "AES-256-GCM", "records_in": 10, "records_out": 20,
    "bytes_in": 1500, "bytes_out": 5 << 20, "rtt_us": 812, "age_s": 90000, "idle_s": 4,
    "tunnel": {"instance": "east.ip", "local": "0.0.0.0:7400", "remote": "192.0.2.1:7400", "recipe": "send udp",
               "overhead": 28, "mtu": 1500, "facts": {}},
}
LINK = dict(PATH, name="gate.east.ip", identity="member of east.ip", via=[], instance="east.ip", rtt_us=None,
            loss_permille=0, keepalive_s=25)
TRANSIT = {"from": "alpha.east.ip", "to": "beta.west.ip", "target": "beta.west.ip", "state": "open", "records": 7,
           "bytes": 700, "age_s": 5, "idle_s": 1}
HANDLE = {"name": "beta.west.ip", "key": "BETAKEY", "ipv4": "198.18.4.7", "ipv6": "fd00::7", "state": "used",
          "user": 1000, "age_s": 60, "idle_s": 0, "rest_s": None}
DROPS = [{"name": "bad-tag", "text": "the record does not authenticate", "packets": 3},
         {"name": "garbage", "text": "not a record", "packets": 0}]
STATUS = {"host": HOST, "overlays": [OVERLAY], "links": [LINK], "paths": [PATH], "transits": [TRANSIT],
          "handles": [HANDLE], "drops": DROPS[:1]}
STORY = {
    "name": "beta.west.ip",
    "steps": [{"what": "name", "text": "beta in instance west.ip", "ok": True, "detail": {"type": "ip"}},
              {"what": "link", "text": "gate.east.ip does not answer", "ok": False, "detail": {"tries": 3}},
              {"what": "path", "text": "not reached", "ok": None, "detail": {}}],
    "ok": False, "verdict": "beta.west.ip cannot be reached.", "todo": "Look after gate.",
}
DNS = {
    "configured": "auto", "mode": "resolvconf", "automatic": True, "why": "systemd-resolved does not run",
    "listen": "127.0.0.1:53", "listen6": "[::1]:53", "domains": ["ip", "ron"], "suffix": "ov.example.org",
    "pools": ["198.18.0.0/15", "fd00::/48"], "own_names": ["alpha.east.ip"], "upstreams": ["192.0.2.1:53"],
    "counters": {"questions": 9, "overlay": 4, "reverse": 1, "foreign": 4, "foreign-refused": 0, "replies": 9,
                 "nxdomain": 2, "servfail": 1, "upstream-timeout": 3},
    "resolvconf": {"path": "/etc/resolv.conf", "found": True, "ours": True, "stub": False, "writer": "NetworkManager",
                   "link": "", "taken_back": 2, "fight": False},
    "under_way": 0, "tun": "ocala0", "trouble": "", "clash": "198.18.0.0/15 is used by docker0", "resolved_runs": False,
}
NOTHING = {"overlays": [], "links": [], "paths": [], "transits": [], "handles": [], "keys": [], "drops": []}


def squeeze(text):
    """Runs of spaces as one, so that the width of columns does not matter."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


class Replies(DaemonCase):
    def shows(self, *words, status=0):
        result = self.expect(self.ask(*words), status)
        self.assertEqual(result.stderr, "")
        return squeeze(result.stdout)

    def test_status(self):
        daemon = self.daemon(status=[{"result": STATUS}])
        text = self.shows("status")
        self.assertEqual(daemon.requests, [{"command": "status"}])
        for line in ("alpha, running for 1h 2m (ocalad 0.1.0, process 77)",
                     "config /etc/ocala/ocala.yaml, read 1m 1s ago",
                     "tun ocala0, MTU 1400, 198.18.0.1, fd00::1",
                     "dns mode resolvconf, at 127.0.0.1:53; 9 questions: 4 answered, 5 forwarded, 0 refused",
                     "handles 2 used, 1 resting; from 198.18.0.0/15 and fd00::/48",
                     "workers none, one thread does everything; gateway for others",
                     "sandbox user 999, capabilities none, seccomp on, landlock on, version 6", "log notice",
                     "OVERLAY NAME STATE TRUST LISTEN REASON",
                     "east.ip alpha.east.ip up psk 0.0.0.0:7400, [::]:7400 -",
                     "gate.east.ip open - 1.5 KiB 5.0 MiB 1d 1h member of east.ip",
                     "alpha.east.ip beta.west.ip beta.west.ip open 7 700 B 1s",
                     "Dropped packets: bad-tag 3"):
            self.assertIn(line, text)

    def test_paths(self):
        self.daemon(path=[{"result": {"paths": [PATH], "transits": []}}])
        self.assertEqual(self.shows("path"), "PATH STATE VIA HANDLE MTU RTT IN OUT IDLE IDENTITY\n"
                                             "beta.west.ip open gate.east.ip 198.18.4.7 1400 0.81 ms 1.5 KiB 5.0 MiB "
                                             "4s vouched for by gate.east.ip")

    def test_other_listings(self):
        self.daemon(handle=[{"result": {"handles": [HANDLE]}}],
                    overlay=[{"result": {"overlays": [OVERLAY], "links": [LINK]}}],
                    drops=[{"result": {"drops": DROPS}}],
                    key=[{"result": {"keys": [{"name": "a.b.c", "key": "K", "how": "vouched", "voucher": "g.b.c"}]}}],
                    metrics=[{"result": {"metrics": {"path_records_in": 5, "x": 0}}}],
                    config=[{"result": {"file": "f", "text": "name: 'a'\n"}}])
        self.assertIn("beta.west.ip 198.18.4.7 fd00::7 used 1000 1m 0s 0s -", self.shows("handle"))
        self.assertIn("gate.east.ip 192.0.2.1:7400 no open", self.shows("overlay"))
        self.assertEqual(self.shows("drops"), "DROP PACKETS BECAUSE\nbad-tag 3 the record does not authenticate")
        self.assertIn("garbage 0 not a record", self.shows("drops", "--all"))
        self.assertEqual(self.shows("key", "list"), "NAME HOW VOUCHER KEY\na.b.c vouched g.b.c K")
        self.assertEqual(self.shows("metrics"), "path_records_in 5\nx 0")
        self.assertEqual(self.shows("metrics", "--prometheus"), "ocala_path_records_in 5\nocala_x 0")
        self.assertEqual(self.shows("config", "show"), "name: 'a'")

    def test_what_a_module_says_of_itself(self):
        evil = dict(OVERLAY, module={"text": "2 servers\u001b[31m"})
        long = dict(OVERLAY, module={"text": "x" * 1000})
        self.daemon(overlay=[{"result": {"overlays": [OVERLAY, evil, long], "links": []}}])
        text = self.shows("overlay")
        self.assertEqual(text.count("east.ip: "), 2)  # the first says nothing
        self.assertIn("\n\neast.ip: 2 servers", text)
        self.assertNotIn("\u001b", text)
        self.assertIn("\n\neast.ip: " + "x" * 1000 + "\n", text)

    def test_status_without_paths(self):
        self.daemon(status=[{"result": dict(STATUS, paths=[])}])
        self.assertIn("No paths by way of gateways.", self.shows("status"))

    def test_dns(self):
        self.daemon(dns=[{"result": DNS}])
        self.assertEqual(self.shows("dns"), """\
mode resolvconf (auto): systemd-resolved does not run
answers at 127.0.0.1:53, [::1]:53
ours *.ip, *.ron, *.ov.example.org; the names of 198.18.0.0/15, fd00::/48
others asked from 192.0.2.1:53
resolv.conf /etc/resolv.conf is ours; before us it was written by NetworkManager; put back 2 times
questions 9: 4 for overlay names, 1 for names of addresses, 4 for others, 0 refused
answers 9: 2 no such name, 1 trouble; 3 tries without an answer from other resolvers
trouble 198.18.0.0/15 is used by docker0""")

    def test_doctor(self):
        """What is found depends on this machine; that the daemon's own troubles are among it does not."""
        self.daemon(dns=[{"result": dict(DNS, mode="none", listen="127.0.0.1:1", own_names=[])}])
        result = self.ask("dns", "doctor", "--json")
        self.assertEqual(result.returncode, 1)
        found = {f["id"]: f for f in json.loads(result.stdout)["findings"]}
        self.assertTrue(found["range-clash"]["problem"])
        self.assertFalse(found["mode-none"]["problem"])
        for finding in found.values():
            self.assertTrue(finding["what"] and finding["why"] and finding["remedy"], finding)

    def test_doctor_without_daemon(self):
        result = self.ask("dns", "doctor")
        self.assertEqual(result.returncode, 1)
        self.assertIn("start ocalad", squeeze(result.stdout))

    def test_empty_listings(self):
        self.daemon(**{c: [{"result": NOTHING}] for c in ("path", "handle", "overlay", "drops", "key")})
        self.assertEqual(self.shows("path"), "No paths.")
        self.assertEqual(self.shows("handle"), "No handles are given.")
        self.assertEqual(self.shows("overlay"), "No overlays.\n\nNo members are configured.\n\nNo links.")
        self.assertEqual(self.shows("drops"), "Nothing was dropped.")
        self.assertEqual(self.shows("key", "list"), "No name is bound to a key yet.")

    def test_json_is_the_reply(self):
        results = {"status": STATUS, "path": {"paths": [PATH], "transits": []}, "handle": {"handles": [HANDLE]},
                   "overlay": {"overlays": [OVERLAY], "links": []}, "drops": {"drops": DROPS}, "key": NOTHING,
                   "metrics": {"metrics": {"a": 1}}, "config": {"file": "f", "text": "t\u00e9\u001b"}}
        self.daemon(**{command: [{"result": result}] for command, result in results.items()})
        for command, result in results.items():
            words = {"key": ["key", "list"], "config": ["config", "show"]}.get(command, [command])
            for order in (["--json", *words], [*words, "--json"]):
                self.assertEqual(json.loads(self.expect(self.ask(*order), 0).stdout), result)

    def test_explain_tells_a_story(self):
        daemon = self.daemon(explain=[{"result": STORY}])
        self.assertEqual(self.ask("explain", "beta.west.ip").stdout,
                         "beta.west.ip\n"
                         "  ok  name      beta in instance west.ip\n"
                         "  !!  link      gate.east.ip does not answer\n"
                         "  --  path      not reached\n"
                         "beta.west.ip cannot be reached.\n"
                         "To do: Look after gate.\n")
        self.assertEqual(daemon.requests, [{"command": "explain", "args": {"name": "beta.west.ip"}}])
        self.expect(self.ask("explain", "beta.west.ip"), 1)
        self.expect(self.ask("explain", "--verbose", "beta.west.ip"), 1, "\n                  tries: 3\n")
        self.assertEqual(json.loads(self.ask("explain", "beta.west.ip", "--json").stdout), STORY)

    def test_explain_of_a_name_that_works(self):
        self.daemon(explain=[{"result": dict(STORY, ok=True, todo=None)}])
        self.assertNotIn("To do", self.expect(self.ask("explain", "beta.west.ip"), 0).stdout)

    def test_ping(self):
        daemon = self.daemon(ping=[
            {"result": {"sequence": 1, "rtt_us": 812, "lost": False}, "more": True},
            {"result": {"sequence": 2, "rtt_us": None, "lost": True}, "more": True},
            {"result": {"name": "b.w.ip", "sent": 2, "received": 1, "least_us": 812, "average_us": 812, "most_us": 812}}])
        self.assertEqual(self.shows("ping", "-c", "2", "b.w.ip"),
                         "1: 0.81 ms\n2: no answer\n"
                         "b.w.ip: 1 of 2 answered; least 0.81 ms, average 0.81 ms, most 0.81 ms")
        self.assertEqual(daemon.requests, [{"command": "ping", "args": {"name": "b.w.ip", "count": 2}}])
        lines = self.expect(self.ask("ping", "b.w.ip", "--json"), 0).stdout.splitlines()
        self.assertEqual([json.loads(line).get("sequence") for line in lines], [1, 2, None])

    def test_ping_without_any_answer(self):
        self.daemon(ping=[{"result": {"name": "b.w.ip", "sent": 1, "received": 0, "least_us": None,
                                      "average_us": None, "most_us": None}}])
        self.expect(self.ask("ping", "b.w.ip"), 1, "b.w.ip: 0 of 1 answered\n")

    def test_changes(self):
        daemon = self.daemon(path_close=[{"result": {"closed": 2}}], key_forget=[{"result": {"forgotten": 1}}],
                             reload=[{"result": {"changed": ["rules"], "restart": ["workers"]}}],
                             stop=[{"result": {"stopping": True}}])
        self.assertEqual(self.shows("path", "close", "a.b.c"), "Paths closed: 2")
        self.assertIn("The key of a.b.c is forgotten", self.shows("key", "forget", "a.b.c"))
        self.assertEqual(self.shows("reload"), "changed: rules\nat the next start only: workers")
        self.assertEqual(self.shows("stop"), "The daemon is about to end.")
        self.assertEqual(daemon.requests[0], {"command": "path.close", "args": {"name": "a.b.c"}})
        self.assertEqual(daemon.requests[1], {"command": "key.forget", "args": {"name": "a.b.c"}})

    def test_log(self):
        log = {"level": "notice", "areas": {"path": "debug", "dns": "notice"}}
        daemon = self.daemon(log=[{"result": log}], log_set=[{"result": log}])
        text = "notice unless an area has a level of its own\npath debug\ndns notice"
        self.assertEqual(self.shows("log"), text)
        self.assertEqual(self.shows("log", "notice", "path=debug"), text)
        self.assertEqual([r.get("args") for r in daemon.requests],
                         [None, {"level": "notice"}, {"level": "path=debug"}])

    def test_version(self):
        self.daemon(version=[{"result": {"name": "ocalad", "version": "9.9", "protocol": 1}}])
        self.assertRegex(self.shows("version"), r"^ocala [0-9.]+\nocalad 9\.9$")
        self.assertEqual(json.loads(self.ask("version", "--json").stdout)["daemon"]["version"], "9.9")

    def test_the_socket_may_come_from_the_environment(self):
        daemon = self.daemon(stop=[{"result": {}}])
        self.expect(ocala("stop", env={"OCALA_SOCKET": daemon.path}), 0)

    def test_error_replies(self):
        def error(code, **more):
            return [{"error": dict(code=code, message="it is so", **more)}]
        self.daemon(status=error("failed", hint="do that"), stop=error("denied"), ping=error("bad-argument"),
                    explain=error("unknown-argument"), path=error("not-found"))
        self.expect(self.ask("status"), 1, complains="ocala: status: it is so\ndo that\n")
        self.expect(self.ask("status", "--json"), 1, complains="it is so")
        self.expect(self.ask("stop"), 1, complains="ocala: stop: it is so\n")
        self.expect(self.ask("ping", "x"), 2, complains="it is so")
        self.expect(self.ask("explain", "x"), 2, complains="it is so")
        self.expect(self.ask("path"), 1, complains="it is so")

    def test_nonsense_is_not_believed(self):
        self.daemon(status=[b"hello\n"], stop=[None], path=[b'{"result":'], handle=[b"[1]\n"], overlay=[{}],
                    drops=[{"error": 5}], key_forget=[{"error": {"code": 5, "message": "no such thing"}}], key=[{"result": {"keys": [5, {"name": 7}]}}],
                    reload=[{"result": {"changed": [5]}}], explain=[{"result": {"steps": [5], "name": []}}],
                    config=[{"result": {"text": 5}}])
        self.expect(self.ask("status"), 1, complains="does not speak the control protocol")
        self.expect(self.ask("stop"), 1, complains="closed the connection without an answer")
        self.expect(self.ask("path"), 1, complains="closed the connection without an answer")
        self.expect(self.ask("handle"), 1, complains="does not speak the control protocol")
        self.expect(self.ask("overlay"), 1, complains="overlay: -")
        self.expect(self.ask("drops"), 1, complains="drops: -")
        self.expect(self.ask("key", "forget", "x"), 1, complains="ocala: key forget: no such thing")
        self.expect(self.ask("key", "list"), 0, "7")
        self.expect(self.ask("reload"), 0, "changed: -")
        self.expect(self.ask("explain", "x"), 1)
        self.expect(self.ask("config", "show"), 0)

    def test_what_could_steer_a_terminal_is_escaped(self):
        evil = "a\u001b[31m\u009bb\nc"
        self.daemon(explain=[{"result": dict(STORY, name=evil, verdict=evil, todo=evil)}],
                    path=[{"result": {"paths": [dict(PATH, name=evil)], "transits": []}}],
                    metrics=[{"result": {"metrics": {evil: 1}}}],
                    status=[{"result": dict(STATUS, host=dict(HOST, name=evil))}],
                    stop=[{"error": {"code": "failed", "message": evil, "hint": evil}}])
        for words in (["explain", "x"], ["path"], ["metrics"], ["status"], ["stop"], ["path", "--json"]):
            result = self.ask(*words)
            for character in "\u001b\u009b":
                self.assertNotIn(character, result.stdout + result.stderr, words)


if __name__ == "__main__":
    unittest.main()
