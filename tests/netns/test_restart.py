#!/usr/bin/python3
"""
          east.ip (40 Mbit/s)            west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2

A large download from beta goes on while ocalad of each machine is killed and started again: the programs' TCP
connection survives.
"""
import contextlib
import hashlib
import os

import service
import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, gateway_overlays, underlay
from suite import case

SIZE = 16 << 20
NAME = "beta.west.ip"


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("curl")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.gate, net.beta = underlay(lab, impair=("--rate 40", None))
        gateway_overlays(net.alpha, net.gate, net.beta)
        for host in (net.gate, net.beta, net.alpha):
            host.up()
        net.beta.serve()
        yield net


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def download_while(net, disturb, *words):
    """Downloads SIZE bytes, calls disturb() after a quarter of it, and compares what came."""
    path = net.alpha.file("download")
    if os.path.exists(path):
        os.unlink(path)
    curl = net.alpha.start(["curl", "-sS", *words, "--max-time", "110", "-o", path, f"http://{NAME}:8000/big/{SIZE}"])
    wait_until(lambda: not curl.running() or (os.path.exists(path) and os.path.getsize(path) > SIZE // 4), 60,
               lambda: f"a quarter of the download: {curl.log()}")
    assert curl.running(), f"curl ended early: {curl.log()}"
    disturb()
    assert os.path.getsize(path) < SIZE, "the download was over before the disturbance was"
    status = curl.wait(110)
    assert status == 0, f"curl ended with {status}: {curl.log()}"
    assert digest(path) == service.test_digest(SIZE)


@case
def nothing_disturbs(net):
    """the download alone"""
    download_while(net, lambda: None)


@case
def gate_is_killed(net):
    """gate's ocalad is killed (SIGKILL) and started again"""
    download_while(net, net.gate.again)


@case
def beta_is_killed(net):
    """beta's ocalad is killed and started again"""
    download_while(net, net.beta.again)


@case
def alpha_is_killed(net):
    """alpha's ocalad is killed and started again"""
    download_while(net, net.alpha.again)


@case
def alpha_is_killed_while_it_talks_ipv6(net):
    """the same with the download over IPv6"""
    download_while(net, net.alpha.again, "-6")


@case
def all_are_killed(net):
    """all three are killed at once and started again"""
    def disturb():
        hosts = (net.alpha, net.gate, net.beta)
        for host in hosts:
            host.kill9()
        for host in hosts:
            host.up()
    download_while(net, disturb)


@case
def gate_is_stopped_in_order(net):
    """gate's ocalad is stopped (SIGTERM) and started again"""
    def disturb():
        assert net.gate.down() == 0
        net.gate.up()
    download_while(net, disturb)


@case
def handles_stay(net):
    """the handle is the same after all machines were restarted"""
    before = net.alpha.lookup(NAME)
    for host in (net.gate, net.beta, net.alpha):
        host.again()
    assert before and net.alpha.lookup(NAME) == before


@case
def the_cable_is_pulled(net):
    """alpha's cable is pulled for five seconds"""
    cable = net.alpha.lab.east

    def disturb():
        cable.command("cut")
        net.alpha.run(["ping", "-c", "1", "-W", "5", "10.1.0.2"])
        cable.command("heal")
    download_while(net, disturb)


if __name__ == "__main__":
    suite.main(__doc__, fixture)
