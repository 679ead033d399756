"""A lab with servers of i3 and hosts of lab.i3, for the tests of both."""
import contextlib
import hashlib
import json
import os
import re
import socket

import service
from netlab import Lab, need, program, wait_until
from ocalahost import Host, secret, serve_i3

SERVERS = {f"s{n}": f"10.1.0.{10 + n}" for n in range(1, 5)}
HOSTS = {"alpha": "10.1.0.1", "beta": "10.1.0.2", "gamma": "10.1.0.3"}
NAME = "beta.lab.i3"
TIMERS = {"probe": "1s", "retry": "500ms"}


class Net:
    pass


def ring_of(machine):
    """How many other servers a server knows; -1 while it does not answer."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(machine.file("i3-control"))
            s.sendall(b'{"command": "i3"}\n')
            return len(json.loads(s.makefile().readline())["result"]["nodes"])
        except (OSError, ValueError, KeyError):
            return -1


def ring_of_ours(net, servers):
    for name, address in servers.items():
        serve_i3(net.servers[name], address, [a for a in servers.values() if a != address][:2])
    for machine in net.servers.values():
        wait_until(lambda: ring_of(machine) == len(servers) - 1, 60, lambda: f"the ring of {machine.name}: {ring_of(machine)}")


@contextlib.contextmanager
def network(servers=SERVERS, options=None, hosts=("alpha", "beta"), serve=ring_of_ours):
    """Servers and hosts on one switch; `options`: of all hosts, or by name of a host; `serve` starts the servers."""
    need("ping", "curl", "dig", "ip", "tcpdump")
    options = options or {}
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.lab = lab
        net.servers = {name: lab.machine(name) for name in servers}
        net.hosts = {name: lab.machine(name) for name in hosts}
        ports = {net.servers[name]: f"{address}/24" for name, address in servers.items()}
        ports.update({host: f"{HOSTS[name]}/24" for name, host in net.hosts.items() if name in HOSTS})
        if "delta" in hosts:
            net.router = lab.machine("router")
            ports[net.router] = "10.1.0.9/24"
        lab.switch(ports)
        serve(net, servers)
        net.secret = secret()
        for name, host in net.hosts.items():
            join(net, host, servers, {**options.get("all", {}), **options.get(name, {})})
            setattr(net, name, host)
        yield net


def join(net, host, servers, options, text=None):
    listed = ", ".join(f"{address}:5610" for address in servers.values())
    host.join("lab.i3", text or net.secret, options={"servers": listed, **options})
    host.config["timers"] = TIMERS


def about(host):
    """What its module says about lab.i3."""
    return next(o for o in host.ask("overlay")["overlays"] if o["type"] == "i3")["module"]["text"]


def everybody_up(net, *names):
    """Starts the hosts, and waits until they can be found."""
    hosts = [net.hosts[name] for name in names or net.hosts]
    for host in hosts:
        host.up()
    for host in hosts:
        wait_until(lambda: re.search("public trigger [^;]* at ", about(host)), 30, lambda: about(host))


def tunnel_text(host, name):
    """The line about the tunnel in `ocala explain NAME`."""
    return next((s["text"] for s in host.explain(name)["steps"] if s["what"] == "tunnel"), "")


def metric(host, name):
    return next(value for key, value in host.ask("metrics")["metrics"].items() if key.endswith(name))


def await_way(host, name, word, limit=30):
    wait_until(lambda: word in tunnel_text(host, name), limit, lambda: f"'{word}': {tunnel_text(host, name)}")


SIZE = 40 << 20


def download_while(net, disturb, name=NAME, limit=150):
    """A download from beta to alpha, of which a part is there when it is disturbed; it must end whole."""
    path = net.alpha.file("download")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # of one before
    curl = net.alpha.start(["curl", "-sS", "--limit-rate", "8M", "--max-time", str(limit), "-o", path,
                            f"http://{name}:8000/big/{SIZE}"])
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > SIZE / 20, 60,
               lambda: f"the download to begin: {curl.log()}")
    disturb()
    assert os.path.getsize(path) < SIZE, "the download was over before the disturbance was"
    assert curl.wait(limit) == 0, curl.log() + tunnel_text(net.alpha, name)
    with open(path, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() == service.test_digest(SIZE)


NAT = """
table ip nat {
  chain out {
    type nat hook postrouting priority 100
    oifname "eth0" masquerade
  }
}
table ip filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "eth1" accept
  }
}
"""


def translate(router):
    """What is behind the router has its address on the first cable."""
    router.run("echo 1 > /proc/sys/net/ipv4/ip_forward", check=True)
    router.run(["nft", "-f", "-"], check=True, input=NAT)


def behind_a_router(net):
    """delta has an address of its own network; the router, which is on the switch, hides it."""
    net.lab.cable(net.router, "192.168.9.1/24", net.delta, "192.168.9.5/24")
    translate(net.router)
    net.delta.ip("route add default via 192.168.9.1")
