#!/usr/bin/python3
"""
             switch, 10.1.0.0/24
       +---------+---------+---------+
     alpha     beta      gamma     delta        lab.ron; each knows alpha only and learns the rest from it
      .1        .2        .3        .4
"""
import contextlib

import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, secret
from suite import case

NAMES = ("alpha", "beta", "gamma", "delta")
OPTIONS = {"profile": "fast"}


@contextlib.contextmanager
def members(count, options=OPTIONS, seeds=("alpha",)):
    """Machines on one switch, the first `count` of NAMES, members of lab.ron."""
    with Lab(machine_class=Host) as lab:
        machines = [lab.machine(name) for name in NAMES[:count]]
        lab.switch({m: [f"10.1.0.{i + 1}/24", f"fd01::{i + 1}/64"] for i, m in enumerate(machines)})
        lab.text = secret()
        for machine in machines:
            known = {s: f"10.1.0.{NAMES.index(s) + 1}:{PORT}" for s in seeds if s != machine.name}
            machine.join("lab.ron", lab.text, known, options=dict(options))
        yield lab, machines


def name(machine):
    return f"{machine.name}.lab.ron"


def linked(machine):
    """Names of the members that it has a link with."""
    return {link["name"] for link in machine.ask("overlay")["links"] if link["state"] == "open"}


def all_linked(machines, limit=40):
    for machine in machines:
        wanted = {name(m) for m in machines if m is not machine}
        wait_until(lambda: wanted <= linked(machine), limit, lambda: f"links of {machine.name}: {linked(machine)}")


def cut(machine, other):
    """Nothing that `other` sends comes to `machine` any more."""
    address = f"10.1.0.{NAMES.index(other.name) + 1}"
    machine.run(["nft", "-f", "-"], check=True, input=(
        "table inet cut { chain in { type filter hook input priority -300; }; }\n"
        f"add rule inet cut in ip saddr {address} drop\n"))


def heal(*machines):
    for machine in machines:
        machine.run(["nft", "delete", "table", "inet", "cut"])


def way(machine, other):
    """How explain tells the way to `other`."""
    steps = machine.explain(name(other))["steps"]
    return next((s["text"] for s in steps if s["what"] == "tunnel"), "")


def await_way(machine, other, text, limit=60):
    wait_until(lambda: text in way(machine, other), limit, lambda: f"the way of {machine.name}: {way(machine, other)}")


@case
def members_are_learnt(_=None):
    """who knows one member learns the rest, in either order of starting"""
    with members(3) as (lab, (alpha, beta, gamma)):
        beta.up(), gamma.up(), alpha.up()
        all_linked([alpha, beta, gamma])
        assert beta.ping(name(gamma)) and gamma.ping(name(beta))
        assert "direct" in way(beta, gamma), way(beta, gamma)
        assert "announced" in way(beta, gamma) or "came to us" in way(beta, gamma), way(beta, gamma)
        failed = beta.explain("nobody.lab.ron")
        assert not failed["ok"] and "no member announces it" in str(failed), failed


@case
def a_cut_is_routed_around(_=None):
    """curl goes on while the direct way is cut, by way of the third member; later the direct way is taken again"""
    with members(3) as (lab, (alpha, beta, gamma)):
        alpha.up(), beta.up(), gamma.up()
        all_linked([alpha, beta, gamma])
        beta.serve()
        await_way(alpha, beta, "direct")
        wait_until(lambda: alpha.ping(name(beta)), 20, "a first ping")
        ping = alpha.start(["ping", "-i", "0.2", "-W", "1", name(beta)])
        ping.await_log("icmp_seq=5 ")
        cut(alpha, beta), cut(beta, alpha)
        await_way(alpha, beta, "by way of gamma", 40)
        await_way(beta, alpha, "by way of gamma", 40)
        assert alpha.ping(name(beta), count=3)
        last = ping.log().strip().splitlines()[-1]
        wait_until(lambda: ping.log().strip().splitlines()[-1] != last, 20, "ping to go on")
        heal(alpha, beta)
        await_way(alpha, beta, "direct", 60)
        assert alpha.ping(name(beta), count=3)


with Lab():
    need("nft", "ping", "curl")
suite.main(__doc__)
