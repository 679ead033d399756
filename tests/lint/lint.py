"""What the checks of this folder share: the files of the project, and how complaints are made."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = {".git", ".cache", "__pycache__", "corpus", "subprojects"}


def files(*endings, under=""):
    """Paths of the project's files from its root, in order; build folders are left out."""
    found = []
    for folder, folders, names in os.walk(os.path.join(ROOT, under)):
        folders[:] = sorted(f for f in folders if f not in SKIPPED and
                            not os.path.exists(os.path.join(folder, f, "meson-private")))
        for name in sorted(names):
            if not endings or name.endswith(endings):
                found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return found


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


def table(name):
    """Lines of a list in this folder as words, comments left out."""
    with open(os.path.join(HERE, name)) as f:
        lines = [line.split("#")[0].split() for line in f]
    return [words for words in lines if words]


def finish(complaints, what):
    for complaint in complaints:
        print(complaint)
    print(f"{what}: {len(complaints)} complaint{'' if len(complaints) == 1 else 's'}")
    sys.exit(1 if complaints else 0)
