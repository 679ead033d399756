#!/usr/bin/python3
"""
    alpha   beta   gamma       s1    s2    s3    s4        lab.i3: three hosts, a ring of four servers
      |       |      |          |     |     |     |
      +-------+------+---- switch ----+-----+-----+        10.1.0.0/24
                          |
                       router (NAT) ---- delta             192.168.9.0/24

Unmodified programs reach hosts by identifiers that servers keep.
"""
import contextlib
import json
import os
import re
import socket

import netlab
import service
import suite
from netlab import Lab, need, program, wait_until
from ocalahost import PORT, Host, secret
from suite import case

SERVERS = {f"s{n}": f"10.1.0.{10 + n}" for n in range(1, 5)}
HOSTS = {"alpha": "10.1.0.1", "beta": "10.1.0.2", "gamma": "10.1.0.3"}
LISTED = ", ".join(f"{address}:5610" for address in SERVERS.values())
NAME = "beta.lab.i3"
TIMERS = {"probe": "1s", "retry": "500ms"}


class Net:
    pass


def ring_of(machine):
    """What `ocala i3` says about a server, or None while it does not answer."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(machine.file("control"))
            s.sendall(b'{"command": "i3"}\n')
            return json.loads(s.makefile().readline())["result"]
        except (OSError, ValueError, KeyError):
            return None


def start_server(machine, address, seeds):
    words = [program("ocala"), "i3-server", "--listen", address, "--control", machine.file("control"), "--ready-file",
             machine.file("ready")]
    for seed in seeds:
        words += ["--seed", f"{seed}:5611"]
    machine.server = machine.start(words, "i3-server.log")
    wait_until(lambda: os.path.exists(machine.file("ready")), 15, lambda: f"{machine.name} to serve: {machine.server.log()}")


@contextlib.contextmanager
def network(servers=SERVERS, options=None, hosts=("alpha", "beta")):
    """Servers and hosts on one switch; `options` of each host by its name."""
    need("ping", "curl", "dig", "ip")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.lab = lab
        net.servers = {name: lab.machine(name) for name in servers}
        net.hosts = {name: lab.machine(name) for name in hosts}
        ports = {net.servers[name]: f"{address}/24" for name, address in servers.items()}
        ports.update({host: f"{HOSTS[name]}/24" for name, host in net.hosts.items()})
        lab.switch(ports)
        for name, address in servers.items():
            start_server(net.servers[name], address, [a for a in servers.values() if a != address][:2])
        text = secret()
        for name, host in net.hosts.items():
            more = {"servers": ", ".join(f"{a}:5610" for a in servers.values())}
            more.update((options or {}).get(name, {}))
            host.join("lab.i3", text, options=more)
            host.config["timers"] = TIMERS
            setattr(net, name, host)
        yield net


def tunnel_text(host, name):
    """The line about the tunnel in `ocala explain NAME`."""
    return next((s["text"] for s in host.explain(name)["steps"] if s["what"] == "tunnel"), "")


def metric(host, name):
    return next(m["value"] for m in host.ask("metrics")["metrics"] if m["name"].endswith(name))


def await_way(host, name, word, limit=30):
    wait_until(lambda: word in tunnel_text(host, name), limit, lambda: f"'{word}': {tunnel_text(host, name)}")


@case
def curl_by_one_server():
    """two daemons and one server: curl over i3, by private identifiers"""
    with network(servers={"s1": "10.1.0.11"}) as net:
        for host in net.hosts.values():
            host.up()
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.beta, "alpha.lab.i3", "by private identifier")


suite.main(__doc__)
