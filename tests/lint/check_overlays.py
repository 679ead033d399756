#!/usr/bin/python3
"""check_overlays.py BUILD_FOLDER: can each overlay module be left out (-Dwithout_overlays=NAME)?

Building the whole thing once for each module takes minutes, so nothing is compiled here.  Meson configures each variant,
which takes seconds and says which sources its targets have; what those sources use is known from the objects of
BUILD_FOLDER.  A source of the variant that needs a symbol which only the module defines would not link.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import lint


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def objects(build):
    """Source (absolute path) to one object that was made of it."""
    found = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        for command in json.load(f):
            path = os.path.join(command["directory"], command["output"])
            if os.path.exists(path):
                found[os.path.realpath(os.path.join(command["directory"], command["file"]))] = path
    return found


def symbols(path):
    """Those that an object defines for others, and those that it wants of them."""
    defined, wanted = set(), set()
    for line in output("nm", "-g", path).splitlines():
        words = line.split()
        (wanted if words[-2] == "U" else defined).add(words[-1])
    return defined, wanted


def sources_without(module):
    """Sources of all targets of a build without the module; None when meson refuses."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["meson", "setup", folder, lint.ROOT, f"-Dwithout_overlays={module}"], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            print(done.stdout[-2000:])
            return None
        return {os.path.realpath(source) for target in json.loads(output("meson", "introspect", folder, "--targets"))
                for part in target["target_sources"] for source in part.get("sources", [])}


def main():
    build, complaints = sys.argv[1], []
    modules = [os.path.basename(os.path.dirname(path)) for path in
               sorted(glob.glob(os.path.join(lint.ROOT, "src/overlay/*/meson.build")))]
    made = objects(build)
    of = {source: symbols(path) for source, path in made.items()}
    for module in modules:
        folder = os.path.join(lint.ROOT, "src/overlay", module) + os.sep
        inside = {source for source in of if source.startswith(folder)}
        if not inside:
            continue  # this build is one without it
        only_here = set.union(*(of[source][0] for source in inside)) - \
            set().union(*(of[source][0] for source in of if source not in inside))
        rest = sources_without(module)
        if rest is None:
            complaints.append(f"meson setup -Dwithout_overlays={module} fails")
            continue
        for source in sorted(rest & set(of)):
            missing = of[source][1] & only_here
            if missing or source in inside:
                complaints.append(f"{os.path.relpath(source, lint.ROOT)} is built without the module {module} and needs "
                                  f"{', '.join(sorted(missing)) or 'it'} of it; the module's meson.build should name that test")
    lint.finish(complaints, f"builds without {', '.join(modules)}")


main()
