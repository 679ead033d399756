"""`config check` and `config show FILE`: the examples, and what is wrong with a file or the files it names."""
import json
import os
import shutil
import unittest

from cli import Case, EXAMPLES, SECRET, ocala

GOOD = "name: a\noverlays:\n  - instance: east.ip\n    secret: east.secret\n"


class Config(Case):
    def check(self, *words):
        return ocala("config", "check", *words)

    def test_examples_are_in_order(self):
        names = sorted(name for name in os.listdir(EXAMPLES) if name.endswith(".yaml"))
        self.assertIn("minimal.yaml", names)
        for name in names:
            file = self.path(name)
            shutil.copy(os.path.join(EXAMPLES, name), file)
            self.expect(self.check("--no-files", file), 0, f"{file} is in order.")
        for secret in ("east.secret", "east-new.secret", "west.secret", "club.secret", "friends.secret"):
            self.expect(ocala("key", "new", "--network", self.path(secret)), 0)
        for key in ("delta.pem", "club.pem"):
            self.expect(ocala("key", "new", self.path(key)), 0)
        for name in names:
            result = self.check(self.path(name))
            self.expect(result, 0, "is in order.")
            self.assertEqual(result.stderr, "")
            # What is printed is a configuration again, the same one.
            once = self.expect(ocala("config", "show", self.path(name)), 0).stdout
            again = self.write("again-" + name, once)
            self.assertEqual(ocala("config", "show", again).stdout, once)

    def test_the_shortest_useful_file_is_six_lines(self):
        with open(os.path.join(EXAMPLES, "minimal.yaml")) as f:
            self.assertEqual(len(f.readlines()), 6)

    def test_missing_and_unreadable_files(self):
        self.expect(self.check(self.path("none.yaml")), 78, complains="none.yaml: there is no such file")
        self.expect(self.check(self.folder), 78, complains="this is a folder")
        self.expect(ocala("config", "show", self.path("none.yaml")), 78, complains="there is no such file")

    def test_wrong_text_names_file_line_and_column(self):
        file = self.write("ocala.yaml", "name: a\noverlys: []\n")
        self.expect(self.check(file), 78, complains=f"{file}:2:1: unknown key 'overlys'; did you mean 'overlays'?")
        file = self.write("ocala.yaml", GOOD + "tun: {mtu: 100}\n")
        self.expect(self.check(file), 78, complains=f"{file}:5:12: 'mtu' must be from 1280 to 65535, not 100")
        file = self.write("ocala.yaml", "name: a\noverlays:\n  - instance: east.tor\n")
        self.expect(self.check(file), 78, complains=f"{file}:3:15: unknown overlay type 'tor'")
        file = self.write("ocala.yaml", "x" * (2 << 20))
        self.expect(self.check(file), 78, complains="too large")

    def test_options_of_a_module_are_checked(self):
        file = self.write("ocala.yaml", GOOD + "    options: {frobnicate: 1}\n")
        self.expect(self.check("--no-files", file), 78, complains=f"{file}:5:15: ")
        servers = "servers: '192.0.2.1:5610'"
        i3 = GOOD.replace("east.ip", "east.i3")
        for limit in ("0", "1000001", "many", "'-5'"):
            file = self.write("ocala.yaml", i3 + f"    options: {{{servers}, limit: {limit}}}\n")
            self.expect(self.check("--no-files", file), 78, complains="a number from 1 to 1000000")
        file = self.write("ocala.yaml", i3 + f"    options: {{{servers}, limit: 2000}}\n")
        self.expect(self.check("--no-files", file), 0, "is in order.")

    def test_identifiers_and_hosts_to_be_passed(self):
        i3 = GOOD.replace("east.ip", "east.i3") + "    options: {servers: '192.0.2.1:5610'"
        for name, value, wanted in (("through", "'b, c, b'", "each once"), ("through", "'b,c,d,e,f'", "at most 4"),
                                    ("through", "'not..one'", "names of hosts"), ("id_from", "short", "at least 16 characters")):
            file = self.write("ocala.yaml", i3 + f", {name}: {value}}}\n")
            self.expect(self.check("--no-files", file), 78, complains=wanted)
        for identifier in ("11", "10" * 32, "1g" * 32):  # too short, of a private one, no number
            file = self.write("ocala.yaml", i3 + f"}}\n    members: [{{name: b, options: {{id: '{identifier}'}}}}]\n")
            self.expect(self.check("--no-files", file), 78, complains="64 hexadecimal digits")
        file = self.write("ocala.yaml", i3 + ", through: 'b, c', id_from: a text of sixteen}\n"
                                             f"    members: [{{name: b, options: {{id: '{'11' * 32}', through: c}}}}]\n")
        self.expect(self.check("--no-files", file), 0, "is in order.")

    def test_options_that_do_not_fit_together(self):
        head = "name: a\noverlays:\n  - instance: lab.i3\n"
        options = '    options: {servers: "192.0.2.1:5610", names: keyed}\n'
        file = self.write("ocala.yaml", head + "    secret: s\n")
        self.expect(self.check("--no-files", file), 78, complains=f"{file}:3:15: an overlay of type i3 needs `options: {{servers:")
        file = self.write("ocala.yaml", head + "    trust: pin\n" + options)
        self.expect(self.check("--no-files", file), 78, complains=f"{file}:3:15: `names: keyed` needs a secret")
        file = self.write("ocala.yaml", head + "    secret: s\n" + options)
        self.expect(self.check("--no-files", file), 0)

    def test_endpoints_are_as_many_as_the_type_takes(self):
        file = self.write("ocala.yaml", GOOD + "    listen: ['0.0.0.0:7400', '0.0.0.0:7401']\n")
        self.expect(self.check("--no-files", file), 78, complains=f"{file}:5:13: an overlay of type ip listens on 1 endpoint;")

    def test_secrets(self):
        file = self.write("ocala.yaml", GOOD)
        place = f"{file}:4:13: "
        self.expect(self.check(file), 78, complains=f"{place}cannot read {self.path('east.secret')}: there is no such")
        for mode in (0o640, 0o604, 0o666):
            self.write("east.secret", SECRET, mode)
            self.expect(self.check(file), 78, complains=place)
            self.expect(self.check(file), 78, complains=f"chmod 600 {self.path('east.secret')}")
        self.write("east.secret", "hello\n", 0o600)
        self.expect(self.check(file), 78, complains=f"{place}{self.path('east.secret')} is not a network secret")
        self.write("east.secret", SECRET, 0o600)
        self.expect(self.check(file), 0, "is in order.")
        self.expect(self.check(file, "--json"), 0, '{"ok": true}')

    def test_secret_of_a_ring(self):
        self.write("east.secret", SECRET, 0o600)
        file = self.write("ocala.yaml", GOOD + "i3_server:\n  listen: 192.0.2.1\n  secret: ring.secret\n")
        place, ring = f"{file}:7:11: ", self.path("ring.secret")
        self.expect(self.check(file), 78, complains=f"{place}cannot read {ring}: there is no such")
        self.write("ring.secret", "hello\n", 0o600)
        self.expect(self.check(file), 78, complains=f"{place}{ring} is not a network secret")
        self.write("ring.secret", SECRET)
        self.expect(self.check(file), 78, complains=f"chmod 600 {ring}")
        self.write("ring.secret", SECRET, 0o600)
        self.expect(self.check(file), 0, "is in order.")

    def test_keys(self):
        file = self.write("ocala.yaml", GOOD + "key: my.pem\n")
        self.write("east.secret", SECRET, 0o600)
        place = f"{file}:5:6: "
        self.expect(self.check(file), 78, complains=f"{place}cannot read {self.path('my.pem')}")
        self.expect(ocala("key", "new", self.path("my.pem")), 0)
        self.expect(self.check(file), 0)
        os.chmod(self.path("my.pem"), 0o644)
        self.expect(self.check(file), 78, complains=f"chmod 600 {self.path('my.pem')}")
        self.write("my.pem", SECRET, 0o600)
        self.expect(self.check(file), 78, complains=f"{place}{self.path('my.pem')} is not an identity key")

    def test_a_secret_never_shows(self):
        self.write("east.secret", SECRET, 0o600)
        file = self.write("ocala.yaml", GOOD)
        for words in (["check", file], ["show", file]):
            result = ocala("config", *words)
            self.assertNotIn(SECRET.strip(), result.stdout + result.stderr)

    def test_show_as_json(self):
        file = self.write("ocala.yaml", GOOD)
        reply = json.loads(self.expect(ocala("config", "show", file, "--json"), 0).stdout)
        self.assertEqual(reply["file"], file)
        self.assertIn("mtu: 1400", reply["text"])


if __name__ == "__main__":
    unittest.main()
