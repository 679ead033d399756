#!/usr/bin/python3
"""
    alpha 10.1.0.1 ---- 10.1.0.2 beta

What a service manager sees of ocalad: when it is ready, reloads and ends, and what is left when everything was killed.
"""
import contextlib
import os
import signal
import socket

import suite
from netlab import Lab, need, program, wait_until
from ocalahost import Host, alive, tree, two_hosts
from suite import case


class Net:
    pass


class Manager:
    """Plays systemd: the socket that NOTIFY_SOCKET names."""

    def __init__(self, host):
        self.path = host.file("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(20)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@contextlib.contextmanager
def fixture():
    need()
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.beta = two_hosts(lab)
        net.beta.up()
        yield net


def launch(host, manager):
    host.process = host.start(["env", f"NOTIFY_SOCKET={manager.path}", program("ocalad"), "--config",
                               host.write_config()], "ocalad.log")


@case
def states(net):
    """READY, RELOADING and STOPPING are said at the right moments, also after a reload that failed"""
    manager = Manager(net.alpha)
    launch(net.alpha, manager)
    assert manager.next() == {"READY": "1"}
    assert net.alpha.is_running()
    for broken in (False, True):
        if broken:
            with open(net.alpha.file("ocalad.yaml"), "a") as f:
                f.write("nonsense: 1\n")
        os.kill(net.alpha.process.pid, signal.SIGHUP)  # what systemd knows is the main process, the helper
        said = manager.next()
        assert said["RELOADING"] == "1" and int(said["MONOTONIC_USEC"]) > 0, said
        assert manager.next() == {"READY": "1"}
    assert net.alpha.ocala("reload", check=False).returncode == 1
    assert manager.next()["RELOADING"] == "1" and manager.next() == {"READY": "1"}
    net.alpha.process.send_signal(signal.SIGTERM)
    assert manager.next() == {"STOPPING": "1"}
    assert net.alpha.process.wait() == 0
    os.unlink(manager.path)


@case
def log_levels(net):
    """levels are set while it runs, for everything or for one area, and shown"""
    beta = net.beta
    assert beta.ask("log")["areas"]["path"] == beta.ask("log")["level"] == "notice"
    assert beta.ocala("log", "path=info").stdout.startswith("notice unless")
    net.alpha.up()
    try:
        assert net.alpha.ping("beta.east.ip")
        assert beta.ask("status")["host"]["log"]["areas"]["path"] == "info"
        net.alpha.ask("path.close", name="beta.east.ip")
        beta.await_log("info: ")
    finally:
        net.alpha.down()
    assert beta.ocala("log", "loud", check=False).returncode != 0
    assert "levels are" in beta.ocala("log", "path=loud", check=False).stderr
    assert "no such area" in beta.ocala("log", "pith=info", check=False).stderr
    assert beta.ask("log.set", level="path=")["areas"]["path"] == "notice"


@case
def a_wrong_configuration(net):
    """ends with the status that the unit does not restart for"""
    with open(net.alpha.write_config(), "a") as f:
        f.write("nonsense: 1\n")
    done = net.alpha.run([program("ocalad"), "--config", net.alpha.file("ocalad.yaml")])
    assert done.returncode == 78, done.returncode


@case
def everything_is_killed(net):
    """when all processes were killed at once, the next start undoes what they left and goes on"""
    before = net.alpha.run(["cat", "/etc/resolv.conf"]).stdout
    net.alpha.up()
    assert net.alpha.run(["cat", "/etc/resolv.conf"]).stdout != before
    everything = tree(net.alpha.process.pid)
    for pid in everything:
        os.kill(pid, signal.SIGSTOP)  # nobody may undo anything
    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    net.alpha.process.wait()
    wait_until(lambda: not any(map(alive, everything)), 15, "all processes to end")
    assert net.alpha.run(["cat", "/etc/resolv.conf"]).stdout != before
    net.alpha.up()
    assert net.alpha.ping("beta.east.ip")
    assert net.alpha.down() == 0
    assert net.alpha.run(["cat", "/etc/resolv.conf"]).stdout == before
    assert "unreachable" not in net.alpha.run(["ip", "route", "show", "table", "all", "type", "unreachable"]).stdout
    assert "ocala" not in net.alpha.run(["nft", "list", "tables"]).stdout


if __name__ == "__main__":
    suite.main(__doc__, fixture)
