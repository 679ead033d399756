#!/usr/bin/python3
"""The unit file and its companions as systemd's own programs read them.

    OCALA_BUILD=build tests/packaging/test_packaging.py
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("OCALA_BUILD") or os.path.join(ROOT, "build")


class Skip(Exception):
    pass


def call(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def need(program):
    if not shutil.which(program):
        raise Skip(f"needs {program}")


def unit_text():
    with open(os.path.join(ROOT, "packaging", "ocalad.service.in")) as f:
        return f.read()


def the_unit_is_understood(folder):
    need("systemd-analyze")
    for program in ("ocalad", "ocala"):
        with open(os.path.join(folder, program), "w") as f:
            f.write("#!/bin/sh\n")
        os.chmod(f.name, 0o755)
    path = os.path.join(folder, "ocalad.service")
    with open(path, "w") as f:
        f.write(unit_text().replace("@bindir@", folder).replace("@docdir@", "/usr/share/doc/ocala"))
    done = call("systemd-analyze", "verify", "--man=no", path)
    ours = [line for line in done.stderr.splitlines() if "ocalad" in line]
    assert not ours, "\n".join(ours)


def the_unit_says_what_it_must(folder):
    lines = unit_text().splitlines()
    for line in ("Type=notify", "NotifyAccess=all", "Restart=on-failure", "RestartPreventExitStatus=78",
                 "RuntimeDirectory=ocala", "RuntimeDirectoryPreserve=yes", "StateDirectory=ocala", "KillMode=mixed"):
        assert line in lines, f"{line} is missing"


def the_unit_in_the_build_names_programs(folder):
    path = os.path.join(BUILD, "packaging", "ocalad.service")
    if not os.path.exists(path):
        raise Skip(f"there is no {path}")
    with open(path) as f:
        text = f.read()
    assert "@" not in text.replace("%", ""), "something was not filled in"
    assert "/ocalad\n" in text and "/ocala reload\n" in text


def the_user_is_made(folder):
    need("systemd-sysusers")
    os.makedirs(os.path.join(folder, "etc"), exist_ok=True)
    done = call("systemd-sysusers", f"--root={folder}", os.path.join(ROOT, "packaging", "ocala.sysusers"))
    assert done.returncode == 0, done.stderr
    with open(os.path.join(folder, "etc/passwd")) as f:
        assert any(line.startswith("ocala:") for line in f)
    with open(os.path.join(folder, "etc/group")) as f:
        assert any(line.startswith("ocala:") for line in f)


def the_folders_are_made(folder):
    need("systemd-tmpfiles")
    if os.geteuid():
        raise Skip("needs root")
    the_user_is_made(folder)
    done = call("systemd-tmpfiles", "--create", f"--root={folder}", os.path.join(ROOT, "packaging", "ocala.tmpfiles"))
    assert done.returncode == 0, done.stderr
    state = os.stat(os.path.join(folder, "var/lib/ocala"))
    assert state.st_mode & 0o777 == 0o750 and state.st_uid != 0


def main():
    cases = [the_unit_is_understood, the_unit_says_what_it_must, the_unit_in_the_build_names_programs,
             the_user_is_made, the_folders_are_made]
    print(f"1..{len(cases)}")
    failed = 0
    for number, case in enumerate(cases, 1):
        title = case.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory(prefix="ocala-packaging-") as folder:
            try:
                case(folder)
                print(f"ok {number} - {title}")
            except Skip as e:
                print(f"ok {number} - {title} # SKIP {e}")
            except Exception as e:  # the other cases still run
                failed += 1
                print(f"# {e}\nnot ok {number} - {title}")
    sys.exit(1 if failed else 0)


main()
