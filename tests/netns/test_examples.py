#!/usr/bin/python3
"""
          east.ip                        west.ip
    alpha ------------------- gate ------------------- beta
    192.0.2.2       192.0.2.1       198.51.100.1       198.51.100.2       the files of examples/, as they are

Each machine has its configuration in /etc/ocala and everything else where it is by default.
"""
import json
import os
import shutil

import i3lab
import netlab
import suite
from netlab import Lab, need, program, wait_until
from ocalahost import Host, secret, serve_i3, yaml
from suite import case

EXAMPLES = os.path.join(netlab.ROOT, "examples")


def install(host, example, **secrets):
    """Puts an example and the files that it names where a user would; keys are made by `ocala key new`."""
    host.run("mkdir -p /etc/ocala; mount -t tmpfs tmpfs /var/lib", check=True)
    if os.path.isabs(example):
        shutil.copy(example, host.file("etc/ocala/ocalad.yaml"))
    else:
        shutil.copy(os.path.join(EXAMPLES, example), host.file("etc/ocala/ocalad.yaml"))
    for name, text in secrets.items():
        host.write(f"etc/ocala/{name.replace('_', '-')}.secret", text, 0o600)
    return host


def start(host):
    """ocalad as a service manager starts it, with all defaults; the command finds it by default too."""
    host.process = host.start([program("ocalad"), "--config", "/etc/ocala/ocalad.yaml"], "ocalad.log")

    def status():
        done = host.run([program("ocala"), "status", "--json"])
        return done.returncode == 0 and json.loads(done.stdout)["host"]["state"] == "running"
    wait_until(lambda: status() or not host.process.running(), 20, lambda: host.log())
    assert host.process.running(), host.log()


def network(lab, alpha_example, **alpha_secrets):
    need("ping", "dig")
    alpha, gate, beta = (lab.machine(name) for name in ("alpha", "gate", "beta"))
    lab.cable(alpha, "192.0.2.2/24", gate, "192.0.2.1/24")
    lab.cable(gate, "198.51.100.1/24", beta, "198.51.100.2/24")
    east, west = alpha_secrets["east"], secret()
    install(gate, "gateway.yaml", east=east, west=west)
    install(alpha, alpha_example, **alpha_secrets)
    beta_file = beta.write("beta.yaml", yaml({
        "name": "beta",
        "overlays": [{"instance": "west.ip", "secret": "west.secret", "listen": "0.0.0.0:7400"}],
        "policy": [{"peer": "*", "allow": ["icmp"]}],
        "believe": [{"gateway": "gate.west.ip", "instances": ["east.ip"]}]}))
    install(beta, beta_file, west=west)
    return alpha, gate, beta


@case
def minimal_and_gateway():
    """minimal.yaml on alpha and gateway.yaml on gate"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, _ = network(lab, "minimal.yaml", east=secret())
        start(gate), start(alpha)
        assert alpha.ping("gate.east.ip"), alpha.log() + gate.log()
        assert alpha.down() == 0 and gate.down() == 0


@case
def two_overlays_reach_a_third():
    """two-overlays.yaml on alpha reaches beta.west.ip through gateway.yaml on gate"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab, "two-overlays.yaml", east=secret(), east_new=secret(), club=secret())
        alpha.run([program("ocala"), "key", "new", "/etc/ocala/club.pem"], check=True)
        for host in (gate, beta, alpha):
            start(host)
        assert alpha.ping("gate.east.ip"), alpha.log() + gate.log()
        assert alpha.ping("beta.west.ip"), alpha.log() + gate.log() + beta.log()


@case
def pinned():
    """pinned.yaml starts, with a key made by `ocala key new`"""
    with Lab(machine_class=Host) as lab:
        delta = lab.machine("delta")
        install(delta, "pinned.yaml")
        delta.run([program("ocala"), "key", "new", "/etc/ocala/delta.pem"], check=True)
        start(delta)
        assert delta.down() == 0


@case
def a_friend_behind_a_nat():
    """i3.yaml on delta, behind a NAT: a friend reaches it by a server of i3"""
    need("ping", "nft")
    with Lab(machine_class=Host) as lab:
        server, router, delta, friend = (lab.machine(name) for name in ("server", "router", "delta", "friend"))
        lab.switch({server: "192.0.2.7/24", router: "192.0.2.1/24", friend: "192.0.2.2/24"})
        lab.cable(router, "192.168.9.1/24", delta, "192.168.9.5/24")
        i3lab.translate(router)
        delta.ip("route add default via 192.168.9.1")
        serve_i3(server, "192.0.2.7")
        friends = secret()
        install(delta, "i3.yaml", friends=friends)
        with open(os.path.join(EXAMPLES, "i3.yaml")) as f:
            install(friend, friend.write("friend.yaml", f.read().replace("name: delta", "name: friend")), friends=friends)
        start(delta), start(friend)
        wait_until(lambda: friend.ping("delta.friends.i3"), 60, lambda: friend.log() + delta.log())
        assert delta.ping("friend.friends.i3"), delta.log()


@case
def none_is_forgotten():
    """every configuration of examples/ is used above"""
    configurations = {name for name in os.listdir(EXAMPLES) if name.endswith(".yaml")}
    assert configurations == {"minimal.yaml", "gateway.yaml", "two-overlays.yaml", "pinned.yaml", "i3.yaml"}


suite.main(__doc__)
