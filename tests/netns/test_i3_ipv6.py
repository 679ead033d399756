#!/usr/bin/python3
"""
    alpha   beta       s1    s2        lab.i3: hosts that have IPv4, IPv6, or both; servers with a secret
      |       |         |     |
      +-------+- switch +-----+        10.1.0.0/24 and fd01::/64

No original is here, so servers and hosts may speak IPv6.
"""
import contextlib
import json
import socket

import service
import suite
from i3lab import NAME, TIMERS, about, await_way, download_while, everybody_up, ring_of, tunnel_text
from netlab import Lab, need, program, wait_until
from ocalahost import Host, at_port, secret, serve_i3
from suite import case

FOUR = {"alpha": "10.1.0.1", "beta": "10.1.0.2", "s1": "10.1.0.11", "s2": "10.1.0.12"}
SIX = {"alpha": "fd01::1", "beta": "fd01::2", "s1": "fd01::11", "s2": "fd01::12"}
BOTH = "both"


class Net:
    pass


def addresses(name, speech):
    """Of a machine that speaks 4, 6, or BOTH; of a server that speaks both, that for other servers first."""
    all_of_it = {4: [FOUR[name]], 6: [SIX[name]], BOTH: [FOUR[name], SIX[name]]}[speech]
    return list(reversed(all_of_it)) if name == "s2" else all_of_it


def with_length(address):
    return f"{address}/64" if ":" in address else f"{address}/24"


@contextlib.contextmanager
def network(servers, alpha, beta, options=None):
    """What each speaks; two servers."""
    need("ping", "curl", "ip", "tcpdump")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.lab = lab
        net.speech = {"s1": servers, "s2": servers, "alpha": alpha, "beta": beta}
        machines = {name: lab.machine(name) for name in net.speech}
        net.hosts = {name: machines[name] for name in ("alpha", "beta")}
        net.alpha, net.beta = machines["alpha"], machines["beta"]
        net.servers = {name: machines[name] for name in ("s1", "s2")}
        lab.switch({machines[name]: [with_length(a) for a in addresses(name, speech)]
                    for name, speech in net.speech.items()})
        ring_secret, host_secret = secret(), secret()
        for name, machine in net.servers.items():
            path = machine.write("ring.secret", ring_secret, 0o600)
            serve_i3(machine, addresses(name, servers), [addresses("s1", servers)[0]], ["--secret", path])
        for machine in net.servers.values():
            wait_until(lambda: ring_of(machine) == 1, 60, lambda: f"the ring of {machine.name}: {ring_of(machine)}")
        listed = ", ".join(at_port(a, 5610) for name in net.servers for a in addresses(name, servers))
        for host in net.hosts.values():
            host.join("lab.i3", host_secret, listen="[::]:7400", options={"servers": listed, **(options or {})})
            host.config["timers"] = TIMERS
        yield net


def meet(net):
    everybody_up(net)
    net.beta.serve()
    assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
    assert net.beta.ping("alpha.lab.i3")
    await_way(net.alpha, NAME, "by private identifier")
    await_way(net.beta, "alpha.lab.i3", "by private identifier")


@case
def six_only():
    """servers and hosts that have no IPv4 at all: curl and ping; `ocala i3` and explain show the addresses in brackets"""
    with network(6, 6, 6) as net:
        meet(net)
        assert "this host is [fd01::1]:7400" in about(net.alpha), about(net.alpha)
        wait_until(lambda: "near: [fd01::1" in about(net.alpha), 30, lambda: about(net.alpha))
        assert "]:5610" in tunnel_text(net.alpha, NAME), tunnel_text(net.alpha, NAME)
        server = net.servers["s1"]
        shown = server.run([program("ocala"), "--socket", server.file("i3-control"), "i3"], check=True).stdout
        assert "[fd01::11]:5610" in shown and "[fd01::11]:5611" in shown and "[fd01::12]:5611" in shown, shown


@case
def four_meets_six():
    """alpha has IPv4 only, beta IPv6 only: they reach each other by servers that have both"""
    with network(BOTH, 4, 6) as net:
        meet(net)
        assert "this host is 10.1.0.1:7400" in about(net.alpha), about(net.alpha)
        assert "this host is [fd01::2]:7400" in about(net.beta), about(net.beta)
        shown = json.loads(net.servers["s2"].run(
            [program("ocala"), "--socket", net.servers["s2"].file("i3-control"), "--json", "i3"], check=True).stdout)
        assert shown["at"] == "[fd01::12]:5610" and shown["also"] == "10.1.0.12:5610", shown


def holds(frame, address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address) in frame


@case
def nothing_shows_the_other_one():
    """what comes to alpha, which has IPv4 only, has no IPv6 address in it, and none of beta's"""
    with network(BOTH, 4, 6) as net:
        capture = net.alpha.capture("eth0")
        meet(net)
        frames = [f for f in capture.frames() if f[12:14] == b"\x08\x00" and f[23] == 17 and f[30:34] == socket.inet_aton("10.1.0.1")]
        assert len(frames) > 10
        assert not any(holds(f, SIX[name]) for f in frames for name in SIX)


@case
def a_host_moves_from_four_to_six_and_back():
    """beta loses its IPv4 address and gets an IPv6 one in the middle of a download, then the other way: TCP survives"""
    with network(BOTH, 4, 4) as net:
        meet(net)

        def to_six():
            net.beta.ip("addr add fd01::2/64 dev eth0 nodad")
            net.beta.ip("addr del 10.1.0.2/24 dev eth0")
        download_while(net, to_six)
        assert "[fd01::2]:7400" in about(net.beta), about(net.beta)

        def to_four():
            net.beta.ip("addr del fd01::2/64 dev eth0")
            net.beta.ip("addr add 10.1.0.2/24 dev eth0")
        download_while(net, to_four)
        assert "10.1.0.2:7400" in about(net.beta), about(net.beta)


@case
def a_shortcut():
    """both have IPv6 and allow shortcuts: records go straight between their IPv6 addresses"""
    with network(BOTH, 6, 6, {"shortcut": "allow"}) as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by shortcut [fd01::2]")
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"


@case
def in_the_daemon():
    """a server by a daemon's configuration, alone and without a secret: hosts of either family are served and meet"""
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.lab, server = lab, lab.machine("s1")
        net.alpha, net.beta = lab.machine("alpha"), lab.machine("beta")
        net.hosts = {"alpha": net.alpha, "beta": net.beta}
        lab.switch({server: [with_length(a) for a in addresses("s1", BOTH)], net.alpha: [with_length(FOUR["alpha"])],
                    net.beta: [with_length(SIX["beta"])]})
        server.join("east.ip", secret(), {})
        server.config["i3_server"] = {"listen": addresses("s1", BOTH)}
        server.up()
        shown = server.ask("i3")
        assert shown["at"] == "10.1.0.11:5610" and shown["also"] == "[fd01::11]:5610", shown
        host_secret = secret()
        for host in net.hosts.values():
            host.join("lab.i3", host_secret, listen="[::]:7400", options={"servers": "10.1.0.11:5610, [fd01::11]:5610"})
            host.config["timers"] = TIMERS
        meet(net)


@case
def an_open_ring_is_refused():
    """a server without a secret and without an IPv4 address does not start, and says why"""
    with Lab(machine_class=Host) as lab:
        machine = lab.machine("s1")
        done = machine.run([program("ocala"), "i3-server", "--listen", "[fd01::11]:5610"])
        assert done.returncode == 2 and "originals" in done.stderr and "--secret" in done.stderr, done


suite.main(__doc__)
