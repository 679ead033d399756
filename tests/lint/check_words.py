#!/usr/bin/python3
"""Words that do not belong into finished work: marks of what is missing, and folders of somebody's machine."""
import re

import lint

# Written in pieces, so that this file passes its own check.
PATTERNS = [
    (r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b", "finish it, or say in plain words why it is as it is"),
    (r"not (yet )?imple" r"mented|unimple" r"mented", "finish it"),
    (r"(?<![\w.$])/(home|work|root|Users)/\w", "a folder of one machine"),
    (r"[ \t]+$", "white space at the end of a line"),
    (r"^\s*assert\(", "require() or expect() of base/check.h"),
]
ENDINGS = (".c", ".h", ".py", ".sh", ".md", ".build", ".txt", ".yaml", ".yml", ".options")
SCRIPTS = ("demo", "check", ".ci/run", "bench/run", "tools/deps")


def main():
    complaints = []
    paths = [p for p in lint.files() if p.endswith(ENDINGS) or p in SCRIPTS]
    for path in paths:
        for number, line in enumerate(lint.read(path).splitlines(), 1):
            for pattern, advice in PATTERNS:
                if "assert" in pattern and not path.endswith((".c", ".h")):
                    continue
                if path.endswith(".md") and pattern.startswith("[ "):
                    continue  # two blanks at the end mean something there
                match = re.search(pattern, line)
                if match:
                    complaints.append(f"{path}:{number}: {match[0].strip() or 'blank'}: {advice}")
    lint.finish(complaints, f"words of {len(paths)} files")


main()
