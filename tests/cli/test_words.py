"""Usage: right and wrong words, and their exit codes."""
import unittest

from cli import Case, ocala


class Words(Case):
    def test_no_command_prints_usage(self):
        self.expect(ocala(), 2, complains="usage: ocala [--socket PATH] [--json] COMMAND")

    def test_help_lists_every_command(self):
        for words in (["--help"], ["-h"]):
            result = self.expect(ocala(*words), 0, "usage: ocala")
            for name in ("run", "status", "explain", "ping", "path", "path close", "handle", "overlay", "drops",
                         "metrics", "key new", "key show", "key list", "key forget", "config check", "config show",
                         "log", "reload", "stop", "version"):
                self.assertIn(f"\n  {name} ", result.stdout)

    def test_help_of_a_command(self):
        self.expect(ocala("ping", "--help"), 0, "usage: ocala ping [-c COUNT] NAME\nmeasure")
        self.expect(ocala("--help", "key", "new"), 0, "usage: ocala key new [--network] [FILE]")
        self.expect(ocala("run", "--help"), 0, "usage: ocala run [--config FILE]")

    def test_unknown_commands(self):
        self.expect(ocala("frob"), 2, complains="there is no command 'frob'; `ocala --help` lists them")
        self.expect(ocala("sta"), 2, complains="there is no command 'sta'")
        self.expect(ocala("key", "frob"), 2, complains="there is no command 'key frob'\nusage: ocala key new")
        self.expect(ocala("key"), 2, complains="usage: ocala key forget NAME")
        self.expect(ocala(""), 2, complains="there is no command ''")

    def test_wrong_arguments(self):
        self.expect(ocala("status", "now"), 2, complains="ocala status: what is 'now' for?\nusage: ocala status")
        self.expect(ocala("path", "frob"), 2, complains="what is 'frob' for?")
        self.expect(ocala("path", "close"), 2, complains="ocala path close: an argument is missing")
        self.expect(ocala("explain"), 2, complains="an argument is missing")
        self.expect(ocala("explain", "a.b.c", "d.e.f"), 2, complains="what is 'd.e.f' for?")
        self.expect(ocala("handle", "--frob"), 2, complains="unknown option '--frob'")
        self.expect(ocala("ping", "-c"), 2, complains="-c needs a value")
        self.expect(ocala("key", "forget"), 2, complains="an argument is missing")
        self.expect(ocala("run"), 2, complains="which program?")
        self.expect(ocala("run", "--frob", "true"), 2, complains="unknown option '--frob'")
        self.expect(ocala("run", "--config"), 2, complains="--config needs a file")
        self.expect(ocala("--socket"), 2, complains="--socket needs a path")
        for count in ("0", "1001", "x", "", "-1", "3x", "99999999999999999999"):
            self.expect(ocala("ping", "-c", count, "a.b.c"), 2, complains="COUNT is a number from 1 to 1000")
        for word in ("-c1001", "--count=1001"):
            self.expect(ocala("ping", word, "a.b.c"), 2, complains="COUNT is a number from 1 to 1000, not '1001'")
        self.expect(ocala("ping", "--counts=3", "a.b.c"), 2, complains="unknown option '--counts=3'")

    def test_version_needs_no_daemon(self):
        for words in (["version"], ["--version"]):
            self.expect(ocala("--socket", self.path("none"), *words), 0, "ocala 0.")

    def test_no_daemon(self):
        path = self.path("none.sock")
        for words in (["status"], ["explain", "a.b.c"], ["stop"], ["path", "--json"]):
            self.expect(ocala("--socket", path, *words), 1,
                        complains=f"cannot reach the daemon at {path}: No such file or directory\nStart it with")
        self.expect(ocala("status", env={"OCALA_SOCKET": path}), 1, complains=f"the daemon at {path}")
        self.expect(ocala("status", f"--socket={self.folder}"), 1, complains="Connection refused\nStart it with")
        self.expect(ocala("--socket", "/" + "x" * 200, "status"), 1, complains="File name too long")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            self.expect(ocala("--help", stdout=full), 1, complains="the output could not be written")


if __name__ == "__main__":
    unittest.main()
