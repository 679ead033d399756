#!/usr/bin/python3
"""Links of the documents lead to files and headings that exist; files that they name in backquotes exist too."""
import os
import re

import lint


def anchors(path):
    """Headings as the web shows them: lower case, punctuation off, blanks to hyphens."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"^#+\s+(.*)$", lint.read(path), re.M)}


def main():
    complaints = []
    paths = lint.files(".md")
    for path in paths:
        text = re.sub(r"```.*?```", "", lint.read(path), flags=re.S)
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not os.path.exists(os.path.join(lint.ROOT, file)):
                complaints.append(f"{path}: ({target}) leads nowhere")
            elif anchor and file.endswith(".md") and anchor not in anchors(file):
                complaints.append(f"{path}: {file} has no heading #{anchor}")
        for name in re.findall(r"`((?:src|sim|tests|doc|bench|examples|tools)/[\w./-]*\w/?)`", text):
            if not os.path.exists(os.path.join(lint.ROOT, name)):
                complaints.append(f"{path}: there is no `{name}`")
    lint.finish(complaints, f"links of {len(paths)} documents")


main()
