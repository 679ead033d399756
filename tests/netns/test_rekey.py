#!/usr/bin/python3
"""
          east.ip                        west.ip
    alpha ------------------- gate ------------------- beta        keys are replaced every second
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2
"""
import contextlib

import service
import suite
from netlab import Lab, need
from ocalahost import Host, gateway_overlays, underlay
from suite import case

NAME = "beta.west.ip"


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("ping", "curl")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.gate, net.beta = underlay(lab, impair=("--rate 100", None))
        gateway_overlays(net.alpha, net.gate, net.beta)
        for host in (net.gate, net.beta, net.alpha):
            host.config["timers"] = {"rekey": "1s", "old_keys": "1s"}
            host.up()
        net.beta.serve()
        yield net


def epoch(host):
    return next(p["epoch"] for p in host.ask("path")["paths"] if p["name"] == NAME)


@case
def no_packet_is_lost(net):
    """500 pings, one every 10 ms, over several epochs: none is lost"""
    assert net.alpha.ping(NAME)
    before = epoch(net.alpha)
    echoes = net.alpha.echoes(NAME, 500, 0.01)
    assert echoes["answered"] == 500 and not echoes["twice"], echoes
    assert epoch(net.alpha) != before, "no new epoch in five seconds"


@case
def a_download_crosses_epochs(net):
    """32 MiB at 100 Mbit/s over several epochs, unharmed"""
    path = net.alpha.file("data")
    before = epoch(net.alpha)
    net.alpha.curl(f"http://{NAME}:8000/big/{32 << 20}", "-o", path, limit=60)
    seen = net.alpha.run(["sha256sum", path], check=True).stdout.split()[0]
    assert seen == service.test_digest(32 << 20)
    assert epoch(net.alpha) != before
    drops = {**net.alpha.drops(), **net.beta.drops()}
    for reason in ("bad-tag", "unknown-epoch", "replayed", "key-spent"):
        assert drops.get(reason, 0) == 0, (reason, drops)


suite.main(__doc__, fixture)
