"""Keys and secrets: made with the right permissions, never overwritten, the public part shown."""
import base64
import json
import os
import stat
import subprocess
import unittest

from cli import Case, ocala


class Key(Case):
    def assert_private(self, name):
        self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)

    def test_an_identity_key(self):
        file = self.path("key.pem")
        made = self.expect(ocala("key", "new", file), 0).stdout.strip()
        self.assert_private("key.pem")
        self.assertEqual(len(base64.b64decode(made, validate=True)), 32)
        self.assertEqual(ocala("key", "show", file).stdout.strip(), made)
        seen = ocala("key", "show", "--seen", file).stdout.strip()
        self.assertNotEqual(seen, made)
        self.assertEqual(json.loads(ocala("key", "show", "--json", file).stdout), {"key": made, "seen": seen})
        self.assertNotEqual(ocala("key", "new", self.path("other.pem")).stdout.strip(), made)

    def test_openssl_agrees(self):
        file = self.path("key.pem")
        made = ocala("key", "new", file).stdout.strip()
        try:
            der = subprocess.run(["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"], check=True,
                                 capture_output=True).stdout
        except FileNotFoundError:
            self.skipTest("no openssl program")
        self.assertEqual(der[-32:], base64.b64decode(made))

    def test_a_network_secret(self):
        file = self.path("net.secret")
        result = self.expect(ocala("key", "new", "--network", file), 0, complains=f"{file} now holds")
        self.assertEqual(result.stdout, "")
        self.assert_private("net.secret")
        with open(file) as f:
            text = f.read()
        self.assertEqual(len(base64.b64decode(text.strip(), validate=True)), 32)
        self.assertTrue(text.endswith("\n") and text.count("\n") == 1)
        self.assertNotIn(text.strip(), result.stderr)

    def test_nothing_is_overwritten(self):
        file = self.write("key.pem", "precious", 0o600)
        for words in (["new"], ["new", "--network"]):
            self.expect(ocala("key", *words, file), 1, complains=f"{file} is there already and is not overwritten")
        with open(file) as f:
            self.assertEqual(f.read(), "precious")

    def test_places_where_nothing_can_be_written(self):
        self.expect(ocala("key", "new", self.path("none/key.pem")), 1, complains="there is no such file or folder")
        self.expect(ocala("key", "new", "a", "b"), 2, complains="what is 'b' for?")

    def test_to_stdout(self):
        result = self.expect(ocala("key", "new"), 0, "-----BEGIN PRIVATE KEY-----")
        self.assertEqual(len(base64.b64decode(result.stderr.strip(), validate=True)), 32)
        secret = self.expect(ocala("key", "new", "--network"), 0).stdout.strip()
        self.assertEqual(len(base64.b64decode(secret, validate=True)), 32)

    def test_a_file_that_others_can_read_is_warned_of(self):
        with open(self.path("open.pem"), "w") as f:
            os.fchmod(f.fileno(), 0o644)
            self.expect(ocala("key", "new", stdout=f), 0, complains="others can read")

    def test_show_refuses_what_is_no_key(self):
        self.expect(ocala("key", "show", self.path("none")), 1, complains="there is no such file or folder")
        file = self.write("text", "hello", 0o600)
        self.expect(ocala("key", "show", file), 1, complains=f"{file} is not an identity key")
        os.chmod(file, 0o644)
        self.expect(ocala("key", "show", file), 1, complains=f"chmod 600 {file}")


if __name__ == "__main__":
    unittest.main()
