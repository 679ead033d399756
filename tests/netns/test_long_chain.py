#!/usr/bin/python3
"""
    h0 --- h1 --- h2 --- h3 --- h4 --- h5 --- h6 --- h7 --- h8
       o1     o2     o3     o4     o5     o6     o7     o8        overlays o1.ip to o8.ip, one per cable: eight links

h1 to h7 are gateways; a name with `.via.` spells the whole way out.
"""
import contextlib
import json

import service
import suite
from netlab import Lab, need
from ocalahost import PORT, Host, secret
from suite import case

LINKS = 8


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("curl", "ping", "dig")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.hosts = [lab.machine(f"h{n}") for n in range(LINKS + 1)]
        for n in range(1, LINKS + 1):
            left, right = net.hosts[n - 1], net.hosts[n]
            lab.cable(left, f"10.{n}.0.1/24", right, f"10.{n}.0.2/24")
            text = secret()
            left.join(f"o{n}.ip", text, {right.name: f"10.{n}.0.2:{PORT + n}"}, listen=f"0.0.0.0:{PORT + n}")
            right.join(f"o{n}.ip", text, {left.name: f"10.{n}.0.1:{PORT + n}"}, listen=f"0.0.0.0:{PORT + n}")
        for n in range(1, LINKS):
            host = net.hosts[n]
            host.config["dns"]["mode"] = "none"
            for here, there in ((n, n + 1), (n + 1, n)):
                # From whatever overlay the opener belongs to: the link decides.
                host.add("forward", **{"from": f"o{here}.ip", "to": f"o{there}.ip"})
        # Everybody believes the next host on the way about everything behind it.
        for n, host in enumerate(net.hosts):
            if n < LINKS - 1:
                host.add("believe", gateway=f"h{n + 1}.o{n + 1}.ip",
                         instances=[f"o{m}.ip" for m in range(n + 2, LINKS + 1)])
            if n > 1:
                host.add("believe", gateway=f"h{n - 1}.o{n}.ip", instances=[f"o{m}.ip" for m in range(1, n)])
        last = net.hosts[-1]
        last.add("policy", peer="*", allow=["icmp", "tcp/8000"])
        for host in reversed(net.hosts):
            host.up()
        last.serve()
        yield net


def chain(length):
    """The name of h<length>, reached over `length` links."""
    gateways = [f"h{n}.o{n}.ip" for n in range(1, length)]
    return ".via.".join([f"h{length}.o{length}.ip"] + gateways[::-1])


@case
def two_links(net):
    """two links: h2.o2.ip.via.h1.o1.ip"""
    assert net.hosts[0].lookup(chain(2)), net.hosts[0].explain(chain(2))


@case
def eight_links(net):
    """eight links: ping and curl through seven gateways"""
    name = chain(LINKS)
    assert net.hosts[0].ping(name), json.dumps(net.hosts[0].explain(name))
    assert net.hosts[0].curl(f"http://{name}:8000/marker") == service.MARKER + "\n"


@case
def every_gateway_carries_it(net):
    """each of the seven gateways has a transit entry and sees records only"""
    for host in net.hosts[1:LINKS]:
        assert host.ask("path")["transits"], host.name


@case
def loops_are_refused(net):
    """a chain that comes back to us, or names a gateway twice, is refused with words"""
    for name in ("h2.o2.ip.via.h1.o1.ip.via.h1.o1.ip", "h0.o1.ip.via.h1.o1.ip",
                 chain(LINKS) + ".via.h1.o1.ip"):
        out = net.hosts[0].run(["dig", "+time=20", "+tries=1", name], limit=30).stdout
        assert "ANSWER: 0" in out and "status: NOERROR" not in out, out


suite.main(__doc__, fixture)
