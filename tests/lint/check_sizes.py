#!/usr/bin/python3
"""Files stay small: up to 600 lines, up to 700 with a reason in sizes.txt ("path  reason"), never more."""
import os

import lint

SMALL, LIMIT = 600, 700


def main():
    complaints = []
    reasons = {words[0]: " ".join(words[1:]) for words in lint.table("sizes.txt")}
    paths = lint.files(".c", ".h", ".py")
    for path in paths:
        lines = lint.read(path).count("\n")
        if lines > LIMIT:
            complaints.append(f"{path}: {lines} lines; {LIMIT} is the end: split it (one idea per file)")
        elif lines > SMALL and not reasons.get(path):
            print(f"warning: {path}: {lines} lines; split it, or say why not in tests/lint/sizes.txt")
    for path in reasons:
        if not os.path.exists(os.path.join(lint.ROOT, path)):
            complaints.append(f"tests/lint/sizes.txt: there is no {path}")
    lint.finish(complaints, f"sizes of {len(paths)} files")


main()
