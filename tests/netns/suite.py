"""Runs the cases of one test file and prints TAP.

    @case
    def curl_reaches_beta(net): ...     # takes what the fixture yields, or nothing

    suite.main(__doc__, fixture)

Run a file alone, or with names of cases to run only those; `--list` names them.  A file whose needs are not met prints
why and exits with 77 (as TAP under meson, where OCALA_TAP is set, it says so and exits with 0).
"""
import contextlib
import inspect
import os
import sys
import time
import traceback

import netlab

CASES = []


def case(function):
    CASES.append(function)
    return function


def title(function):
    return (inspect.getdoc(function) or function.__name__.replace("_", " ")).splitlines()[0]


def comment(text):
    for line in text.splitlines():
        print(f"# {line}", flush=True)


def report(function):
    """Why a case failed, the assertion last.  To stderr: of a TAP test that failed meson prints nothing else."""
    logs = [line for lab in netlab.Lab.alive for line in lab.diagnose()]
    busy = " ".join(f"{load:.1f}" for load in os.getloadavg())
    text = [f"in {sys.argv[0]}: {title(function)} (load {busy})"] + logs + traceback.format_exc().splitlines()
    print("\n".join(f"# {line}" for line in text), file=sys.stderr, flush=True)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0 if os.environ.get("OCALA_TAP") else 77)


def run_case(number, function, net):
    """True when the case did not fail."""
    start = time.monotonic()
    reason, word = "", "ok"
    try:
        function(net) if inspect.signature(function).parameters else function()
    except netlab.Skip as e:
        reason = f" # SKIP {e}"
    except Exception:  # whatever went wrong, the other cases still run
        word = "not ok"
        report(function)
    print(f"{word} {number} - {title(function)}{reason}", flush=True)
    comment(f"{time.monotonic() - start:.1f} s")
    return word == "ok"


def main(picture, fixture=None):
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--list" in sys.argv:
        print("\n".join(f"{f.__name__}: {title(f)}" for f in CASES))
        return
    chosen = [f for f in CASES if not names or f.__name__ in names]
    if not chosen:
        sys.exit(f"no such case: {' '.join(names)} (--list names them)")
    comment(picture.strip("\n"))
    failed = 0
    with contextlib.ExitStack() as stack:
        net = None
        try:
            needs_net = any(inspect.signature(f).parameters for f in chosen)
            netlab.need()
            if fixture and needs_net:
                net = stack.enter_context(fixture())
        except netlab.Skip as e:
            skip_all(e)
        except Exception:
            report(fixture)
            print(f"1..1\nnot ok 1 - the network of the test stands", flush=True)
            sys.exit(1)
        print(f"1..{len(chosen)}", flush=True)
        for number, function in enumerate(chosen, 1):
            failed += not run_case(number, function, net)
    sys.exit(1 if failed else 0)
