#!/usr/bin/python3
"""
    alpha ------------ beta        `ocala run -- PROGRAM` on alpha by an ordinary user, without a daemon of root
    10.1.0.1           10.1.0.2
"""
import contextlib
import os

import service
import suite
from netlab import Lab, Skip, need, program
from ocalahost import Host, two_hosts
from suite import case

NAME, NOBODY = "beta.east.ip", "65534"


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("curl", "dig", "ping")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.beta = two_hosts(lab)
        net.alpha.run("chmod 666 /dev/net/tun; mount -t tmpfs -o mode=1777 tmpfs /run/user")
        if net.alpha.run(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "unshare", "-Urn",
                          "true"]).returncode != 0:
            raise Skip("ordinary users may not make namespaces here")
        net.beta.up()
        net.beta.serve()
        home = net.alpha.file("home")
        os.mkdir(home)
        net.alpha.config.update(state=home + "/state", runtime=home + "/run", control=home + "/control",
                                dns={"mode": "none"})
        for path in (home, net.alpha.write_config(), net.alpha.config["overlays"][0]["secret"]):
            os.chown(path, int(NOBODY), int(NOBODY))
        net.home = home
        yield net


def run(net, *words, limit=40):
    """`ocala run -- words` as nobody."""
    return net.alpha.run(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "env", f"HOME={net.home}",
                          f"XDG_RUNTIME_DIR={net.home}", program("ocala"), "run", "--config",
                          net.alpha.file("ocalad.yaml"), "--", *words], limit=limit)


@case
def curl_without_root(net):
    """curl fetches from beta by name"""
    done = run(net, "curl", "-sS", "--max-time", "20", f"http://{NAME}:8000/marker")
    assert done.stdout == service.MARKER + "\n", (done.returncode, done.stderr)


@case
def the_exit_status_is_passed_on(net):
    """the program's exit status is passed on"""
    for status in (0, 1, 42):
        done = run(net, "sh", "-c", f"exit {status}")
        assert done.returncode == status, (done.returncode, done.stderr)
    assert run(net, "sh", "-c", "kill -TERM $$").returncode == 128 + 15
    assert run(net, "/no/such/program").returncode == 127


@case
def a_whole_shell(net):
    """a whole shell with several programs, which sees its own uid"""
    done = run(net, "sh", "-c", f"id -u; ping -c 1 -w 10 {NAME} >/dev/null && echo pinged; "
               f"curl -sS http://{NAME}:8000/marker; dig +short {NAME}")
    lines = done.stdout.split("\n")
    assert lines[0] == NOBODY and service.MARKER in lines and lines[-2].startswith("198.1"), (done.stdout, done.stderr)


@case
def foreign_names_get_words(net):
    """a foreign name gets an answer that says that only overlay names are reachable"""
    done = run(net, "dig", "+tries=1", "+time=5", "www.example.com")
    assert "EDE" in done.stdout and "overlay" in done.stdout, (done.stdout, done.stderr)


@case
def nothing_stays(net):
    """when the program has ended, no process and no interface is left"""
    run(net, "true")
    assert "ocala" not in net.alpha.run(["ps", "-eo", "args"]).stdout.replace("ocala-", "")
    assert "ocala0" not in net.alpha.run(["ip", "link"]).stdout


@case
def the_machines_own_network_is_not_touched(net):
    """outside, the name is unknown and resolv.conf unchanged while a program runs"""
    before = net.alpha.etc("resolv.conf")
    process = net.alpha.start(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "env",
                               f"HOME={net.home}", f"XDG_RUNTIME_DIR={net.home}", program("ocala"), "run", "--config",
                               net.alpha.file("ocalad.yaml"), "--", "sh", "-c", "echo inside; exec sleep 60"])
    process.await_log("inside", 20)
    assert net.alpha.etc("resolv.conf") == before
    assert "ocala0" not in net.alpha.run(["ip", "link"]).stdout
    process.end()


suite.main(__doc__, fixture)
