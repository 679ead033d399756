#!/usr/bin/python3
"""Runs the searches of queries.txt in the model handshake.maude and prints TAP.

Maude is what Debian packages of tools for such models (neither ProVerif nor Tamarin is packaged in Debian 12); without
it the test is skipped.
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def queries():
    with open(os.path.join(HERE, "queries.txt")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                expected, says, search = (part.strip() for part in line.split("|", 2))
                yield expected, says, search


def main():
    maude = shutil.which("maude")
    if not maude:
        print("1..0 # SKIP maude is not installed (Debian package maude)")
        return 0
    chosen = list(queries())
    text = "set show timing off .\n" + "".join(f"search [1] {search} .\n" for _, _, search in chosen) + "quit\n"
    done = subprocess.run([maude, "-no-banner", "-no-advise", "-no-wrap", os.path.join(HERE, "handshake.maude")], input=text,
                          capture_output=True, text=True, timeout=600)
    answers = re.split(r"(?m)^=+$", done.stdout)[1:]
    print(f"1..{len(chosen)}")
    bad = len(answers) != len(chosen)
    if bad or "Warning" in done.stderr:
        print("# " + (done.stdout[-2000:] + done.stderr[-3000:]).replace("\n", "\n# "))
        bad = True
    for number, ((expected, says, _), answer) in enumerate(zip(chosen, answers), 1):
        found = "some" if "Solution 1" in answer else "none" if "No solution" in answer else "?"
        states = re.search(r"states: (\d+)", answer)
        bad |= found != expected
        print(f"{'ok' if found == expected else 'not ok'} {number} - {says} ({states[1] if states else '?'} states)")
    return int(bad)


sys.exit(main())
