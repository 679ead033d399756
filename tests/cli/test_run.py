"""`run`: finds the daemon, hands the words over, ends with its status."""
import os
import shutil
import unittest

from cli import Case, OCALA, ocala

DAEMON = '#!/bin/sh\nprintf "%s|" ocalad "$@"\nexit 37\n'


class Run(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("bin"))
        self.program = shutil.copy(OCALA, self.path("bin/ocala"))

    def put(self, folder):
        os.makedirs(self.path(folder), exist_ok=True)
        self.write(os.path.join(folder, "ocalad"), DAEMON, 0o755)

    def run_it(self, *words):
        return ocala("run", *words, program=self.program, env={"PATH": self.path("else") + ":/usr/bin:/bin"})

    def test_words_and_status_are_passed_on(self):
        self.put("bin")
        self.expect(self.run_it("--", "prog", "-x", "a b"), 37, "ocalad|--run|--|prog|-x|a b|")
        self.expect(self.run_it("prog", "--json", "--help"), 37, "ocalad|--run|--|prog|--json|--help|")
        self.expect(self.run_it("--config", "f.yaml", "--", "--odd"), 37,
                    "ocalad|--config|f.yaml|--run|--|--odd|")
        self.expect(self.run_it("--config=g.yaml", "prog"), 37, "ocalad|--config|g.yaml|--run|--|prog|")
        self.expect(self.run_it("-c", "h.yaml", "prog", "--", "x"), 37,
                    "ocalad|--config|h.yaml|--run|--|prog|--|x|")

    def test_places_of_the_daemon(self):
        for folder in ("libexec", "libexec/ocala", "sbin", "else"):
            self.put(folder)
            self.expect(self.run_it("prog"), 37, "ocalad|--run|--|prog|")
            shutil.rmtree(self.path(folder))

    def test_no_daemon(self):
        self.expect(ocala("run", "prog", program=self.program, env={"PATH": self.path("else")}), 1,
                    complains="cannot start ocalad: No such file or directory; it belongs beside `ocala`")


if __name__ == "__main__":
    unittest.main()
