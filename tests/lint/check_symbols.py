#!/usr/bin/python3
"""check_symbols.py BUILD_FOLDER: what the engines (layers 0 to 2, host) use from outside, and whether they keep state.

Every undefined symbol of their libraries must be another engine's or stand in symbols.txt.  Data that can be written
(.data, .bss) is global mutable state: none.
"""
import glob
import os
import subprocess
import sys

import lint

WRITABLE = (".data", ".bss", "*COM*", ".tdata", ".tbss")


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def main():
    build, complaints = sys.argv[1], []
    engines = [name for name, layer, *_ in lint.table("layers.txt") if layer in ("0", "1", "2") or name == "host"]
    allow = {words[0] for words in lint.table("symbols.txt")}
    libraries = [path for name in engines for path in sorted(glob.glob(os.path.join(build, "src", name, "*.a")))]
    if not libraries:
        sys.exit(f"no libraries of engines in {build}: build first")
    defined, used, sanctioned = set(), {}, set()
    for library in libraries:
        for line in output("nm", library).splitlines():
            words = line.split()
            if len(words) == 2 and words[0] == "U":
                used.setdefault(words[1], set()).add(os.path.relpath(library, build))
            elif len(words) == 3:
                defined.add(words[2])
        for line in output("objdump", "-t", library).splitlines():
            words = line.split()
            # value, flags..., section, size, name; the flag O marks an object.
            if "O" in words[1:-3] and words[-3].startswith(WRITABLE) and not words[-3].startswith(".data.rel.ro"):
                complaints.append(f"{os.path.relpath(library, build)}: {words[-1]} in {words[-3]}: global mutable state")
    for symbol in sorted(used):
        if symbol in defined:
            continue
        if symbol in allow:
            sanctioned.add(symbol)
        else:
            complaints.append(f"{symbol}: used by {', '.join(sorted(used[symbol]))}; engines make no system call, read no "
                              "clock, draw no randomness and print nothing (tests/lint/symbols.txt)")
    lint.finish(complaints, f"symbols of {len(libraries)} libraries")


main()
