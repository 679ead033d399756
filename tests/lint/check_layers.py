#!/usr/bin/python3
"""Who includes whom: layers.txt says who may.

1. Only downwards, plus the arrows of layers.txt.
2. Nobody includes an overlay module (the build's generated list names them).
4. Only daemon/, host/ and sim/ join more than two folders of layer 2.
5. Every folder is in layers.txt.
"""
import os
import re

import lint

PURE = {"host", "sim"}


def folder_of(path, layers):
    """The longest folder of layers.txt that holds the path."""
    parts = os.path.dirname(path).split("/")
    for length in range(len(parts), 0, -1):
        if "/".join(parts[:length]) in layers:
            return "/".join(parts[:length])
    return None


def allowed(user, used, layers, also):
    if used == user or used in also[user]:
        return True
    if used in PURE:
        return False
    if user in PURE:
        return layers[used] <= 2
    return layers[used] < layers[user]


def main():
    layers, also, complaints, joined = {}, {}, [], {}
    for name, layer, *more in lint.table("layers.txt"):
        layers[name], also[name] = 5 if layer == "pure" else int(layer), set(more)
    modules = {name for name in layers if name.startswith("overlay/")}
    sources = [(path[4:], path) for path in lint.files(".c", ".h", under="src")]
    sources += [(path, path) for path in lint.files(".c", ".h", under="sim")]
    for inside, path in sources:
        user = folder_of(inside, layers)
        if not user:
            complaints.append(f"{path}: its folder is not in tests/lint/layers.txt")
            continue
        is_test = re.search(r"_(test|fixture)\.[ch]$", path)
        for number, line in enumerate(lint.read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match or match[1].startswith("tests/") and is_test:
                continue
            if user == "sim" and match[1].startswith("tests/support/"):
                continue  # the seeded entropy: built with the tests, never with the daemon
            where, used = f"{path}:{number}: {match[1]}", folder_of(match[1], layers)
            if "/" not in match[1]:
                complaints.append(f'{where}: write the folder too ("{user}/{match[1]}")')
            elif match[1].startswith("tests/"):
                complaints.append(f"{where}: only tests include from tests/")
            elif not used:
                complaints.append(f"{where}: that folder is not in tests/lint/layers.txt")
            elif used in modules and used != user:
                complaints.append(f"{where}: nobody includes an overlay module")
            elif not allowed(user, used, layers, also):
                complaints.append(f"{where}: {user} (layer {layers[user]}) may not include {used} "
                                  f"(layer {layers[used]})")
            elif not is_test and layers[used] == 2 and used != user:
                joined.setdefault(user, set()).add(used)
    for user, folders in joined.items():
        if len(folders) > 2 and user not in PURE | {"daemon"}:
            complaints.append(f"{user} joins more than two folders of layer 2: {' '.join(sorted(folders))}")
    lint.finish(complaints, f"layers of {len(sources)} files")


main()
