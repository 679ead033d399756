#!/usr/bin/python3
"""
             switch, 10.1.0.0/24
       +---------+---------+---------+
     alpha     beta      gamma     delta        lab.ron; each knows alpha only and learns the rest from it
      .1        .2        .3        .4
"""
import contextlib
import json

import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, secret
from suite import case

NAMES = ("alpha", "beta", "gamma", "delta")
OPTIONS = {"profile": "fast"}


@contextlib.contextmanager
def members(count, options=OPTIONS, seeds=("alpha",)):
    """Machines on one switch, the first `count` of NAMES, members of lab.ron."""
    need("nft", "ping", "curl", "dig")
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
    """How explain tells the way to `other`: the way in use comes first."""
    steps = machine.explain(name(other))["steps"]
    return next((s["text"] for s in steps if s["what"] == "tunnel"), "")


def facts(machine, other):
    """The same in fields, as `ocala path --json` and `ocala explain --json` have them."""
    link = next(p for p in machine.ocala_json("path")["paths"] if p["name"] == name(other) and not p["via"])
    steps = machine.ocala_json("explain", name(other))["steps"]
    detail = next(s["detail"] for s in steps if s["what"] == "tunnel")
    told = link["tunnel"]["facts"]
    assert set(told) == set(detail) - {"remote"}, (told, detail)
    return told


def await_way(machine, other, text, limit=60):
    wait_until(lambda: text in way(machine, other), limit, lambda: f"the way of {machine.name}: {way(machine, other)}")


@case
def members_are_learnt():
    """who knows one member learns the rest, in either order of starting"""
    with members(3) as (lab, (alpha, beta, gamma)):
        beta.up(), gamma.up(), alpha.up()
        all_linked([alpha, beta, gamma])
        assert beta.ping(name(gamma)) and gamma.ping(name(beta))
        assert way(beta, gamma).startswith("direct"), way(beta, gamma)
        assert "announced" in way(beta, gamma) or "came to us" in way(beta, gamma), way(beta, gamma)
        overlay = beta.ocala_json("overlay")["overlays"][0]
        assert "2 of 2 members heard" in overlay["module"]["text"], overlay
        failed = beta.explain("nobody.lab.ron")
        assert not failed["ok"] and "no member announces it" in json.dumps(failed), failed


@case
def a_cut_is_routed_around():
    """curl and ping go on while the direct way is cut, by way of the third member; later the direct way is seen to be back"""
    with members(3) as (lab, (alpha, beta, gamma)):
        alpha.up(), beta.up(), gamma.up()
        all_linked([alpha, beta, gamma])
        beta.serve()
        await_way(alpha, beta, "direct:")
        wait_until(lambda: alpha.ping(name(beta)), 60, "a first ping")
        size = 30_000_000
        download = alpha.start(["curl", "-sS", "--max-time", "120", "--limit-rate", "3M", "-o", alpha.file("got"), "-w",
                                "%{size_download}", f"http://{name(beta)}:8000/big/{size}"], "curl.log")
        ping = alpha.start(["ping", "-i", "0.2", "-W", "1", name(beta)], "ping.log")
        ping.await_log("icmp_seq=5 ")
        cut(alpha, beta), cut(beta, alpha)
        await_way(alpha, beta, "by way of gamma")
        await_way(beta, alpha, "by way of gamma")
        seen = []  # on cables this short the best way changes by chance, so it may have been the hop before
        wait_until(lambda: seen.append(facts(alpha, beta)) or (seen[-1]["direct_state"], seen[-1]["way"]) == ("out", "hop"), 60,
                   lambda: seen[-1])
        assert (seen[-1]["way"], seen[-1]["hop"], seen[-1]["metric"]) == ("hop", "gamma", "latency"), seen[-1]
        assert seen[-1]["why"] in ("failed", "told", "better") and 0 <= seen[-1]["since_s"] < 100, seen[-1]
        last = ping.log().strip().splitlines()[-1]
        wait_until(lambda: ping.log().strip().splitlines()[-1] != last, 20, "ping to go on")
        assert download.wait(130) == 0, download.log()
        assert download.log().strip() == str(size), download.log()
        assert gamma.ask("status")["paths"] == [] and gamma.ask("status")["transits"] == []  # it is a hop, no gateway
        heal(alpha, beta)
        wait_until(lambda: seen.append(facts(alpha, beta)) or seen[-1]["direct_state"] == "usable", 60, lambda: seen[-1])
        told = seen[-1]
        assert 0 < told["rtt_us"] <= told["direct_rtt_us"] < 5_000_000 and told["direct_loss_permille"] > 0, told
        assert told["hop"] is None if told["way"] == "direct" else told["hop"] == "gamma", told
        assert alpha.ping(name(beta), count=3)


@case
def leaving_and_moving():
    """who leaves is noticed at once, who comes back is found, and who has another address is followed there"""
    with members(3) as (lab, (alpha, beta, gamma)):
        alpha.up(), beta.up(), gamma.up()
        all_linked([alpha, beta, gamma])
        assert gamma.down() == 0
        wait_until(lambda: name(gamma) not in linked(beta), 30, "beta to notice that gamma left")
        gamma.up()
        all_linked([alpha, beta, gamma])
        assert beta.ping(name(gamma))
        before = beta.lookup(name(gamma))
        gamma.ip("addr del 10.1.0.3/24 dev eth0")
        gamma.ip("addr add 10.1.0.9/24 dev eth0")
        wait_until(lambda: "10.1.0.9" in way(beta, gamma), 60, lambda: way(beta, gamma))
        wait_until(lambda: beta.ping(name(gamma)), 60, "beta to reach gamma at its new address")
        assert beta.lookup(name(gamma)) == before


@case
def policy_and_attributes():
    """a member that forwards for nobody, and a name that is reached without hops"""
    with members(3) as (lab, (alpha, beta, gamma)):
        gamma.config["overlays"][0]["options"]["transit"] = "none"
        beta.config["overlays"][0]["members"].append({"name": "gamma", "options": {"metric": "loss", "hops": "none"}})
        alpha.up(), beta.up(), gamma.up()
        all_linked([alpha, beta, gamma])
        wait_until(lambda: beta.ping(name(gamma)), 60, "a first ping")
        await_way(beta, gamma, "metric loss")
        cut(alpha, beta), cut(beta, alpha)
        wait_until(lambda: name(beta) not in linked(alpha), 60, lambda: linked(alpha))
        assert not alpha.ping(name(beta)) and "by way of gamma" not in way(alpha, beta)
        heal(alpha, beta)
        wait_until(lambda: alpha.ping(name(beta)), 120, "alpha to reach beta again")
        assert beta.down() == 0
        beta.config["overlays"][0]["options"]["metric"] = "beauty"
        refused = beta.launch()
        assert refused.wait(15) == 78 and "latency, loss or throughput" in refused.log(), refused.log()


@case
def three_overlays_at_once():
    """lab.ron and two instances of ip in one daemon, used at once; from one kind to the other by a rule and by a name"""
    with members(4) as (lab, (alpha, beta, gamma, delta)):
        north, south = secret(), secret()
        alpha.join("north.ip", north, {"beta": f"10.1.0.2:{PORT + 1}"}, listen=f"0.0.0.0:{PORT + 1}")
        beta.join("north.ip", north, {"alpha": f"10.1.0.1:{PORT + 1}"}, listen=f"0.0.0.0:{PORT + 1}")
        delta.config["overlays"] = []
        for host, other in ((gamma, 4), (delta, 3)):
            host.join("south.ip", south, {NAMES[other - 1]: f"10.1.0.{other}:{PORT + 1}"}, listen=f"0.0.0.0:{PORT + 1}")
        alpha.join("west.ip", north, {"beta": f"10.1.0.2:{PORT + 2}"}, listen=f"0.0.0.0:{PORT + 2}")
        beta.join("west.ip", north, {"alpha": f"10.1.0.1:{PORT + 2}"}, listen=f"0.0.0.0:{PORT + 2}")
        gamma.add("forward", **{"from": "lab.ron", "to": "south.ip"})
        gamma.add("forward", **{"from": "south.ip", "to": "lab.ron"})
        alpha.add("rules", names="*.south.ip", via="gamma.lab.ron")
        alpha.add("believe", gateway="gamma.lab.ron", instances=["south.ip"])
        delta.add("believe", gateway="gamma.south.ip", instances=["lab.ron"])
        delta.add("policy", peer="*.lab.ron", allow=["icmp", "tcp/8000"])
        for host in (alpha, beta, gamma, delta):
            host.up()
        all_linked([alpha, beta, gamma])
        delta.serve(), beta.serve()
        for target in (name(beta), "beta.north.ip", "beta.west.ip", "delta.south.ip", "delta.south.ip.via.gamma.lab.ron"):
            wait_until(lambda: alpha.ping(target), 60, f"{target} to answer")
            assert alpha.curl(f"http://{target}:8000/marker")
        told = alpha.explain("delta.south.ip")
        assert told["ok"] and "gamma.lab.ron" in json.dumps(told) and "direct" in json.dumps(told), told
        kinds = {o["type"] for o in alpha.ask("overlay")["overlays"]}
        assert kinds == {"ron", "ip"}, kinds


suite.main(__doc__)
