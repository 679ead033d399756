#!/usr/bin/python3
"""
    alpha   beta   gamma       s1    s2    s3      lab.i3: three hosts; the servers are the original of 2005
      |       |      |          |     |     |      (models of it: tests/interop/)
      +-------+------+---- switch ----+-----+      10.1.0.0/24

Our hosts over servers that are no code of ours and die of every packet that the original died of.
"""
import service
import suite
from i3lab import (NAME, about, await_way, behind_a_router, download_while, everybody_up, metric, network,
                   tunnel_text)
from i3originals import OriginalServer, places, ring_of_originals
from netlab import need, program, wait_until
from ocalahost import serve_i3
from suite import case

ONE = {"s1": "10.1.0.11"}
THREE = {f"s{n}": f"10.1.0.{10 + n}" for n in range(1, 4)}


def check(net):
    for original in net.originals:
        original.check()


def fetched(host, name):
    return host.curl(f"http://{name}:8000/marker") == service.MARKER + "\n"


@case
def curl_by_one_original():
    """two daemons and one original server: curl over i3, by private identifiers; every trigger goes with its host"""
    with network(servers=ONE, serve=ring_of_originals()) as net:
        everybody_up(net)
        net.beta.serve()
        assert fetched(net.alpha, NAME)
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.beta, "alpha.lab.i3", "by private identifier")
        check(net)
        wait_until(lambda: net.originals[0].triggers() >= 4, 10, lambda: net.originals[0].log())
        net.beta.down()
        net.alpha.down()
        wait_until(lambda: net.originals[0].triggers() == 0, 30, lambda: net.originals[0].log())
        check(net)


@case
def with_everything_on():
    """three originals and three hosts with shortcuts, keyed names, anycast, a limit, sampling: each reaches each"""
    options = {"all": {"shortcut": "allow", "names": "keyed", "resample": "10s"}, "beta": {"anycast": "0123456789abcdef"},
               "gamma": {"limit": "200"}}
    with network(servers=THREE, options=options, hosts=("alpha", "beta", "gamma"), serve=ring_of_originals()) as net:
        everybody_up(net)
        net.beta.serve()
        net.gamma.serve()
        for host, name in ((net.alpha, NAME), (net.gamma, NAME), (net.alpha, "gamma.lab.i3"), (net.beta, "gamma.lab.i3")):
            assert fetched(host, name)
        assert net.beta.ping("alpha.lab.i3")
        await_way(net.alpha, NAME, "by shortcut")
        await_way(net.gamma, NAME, "by shortcut")
        wait_until(lambda: sum(original.triggers() for original in net.originals) >= 6, 10, "triggers of all hosts")
        check(net)
        # Two rounds of packets to themselves: all come back.
        for host in net.hosts.values():
            wait_until(lambda: metric(host, "i3.checks") >= 2 * len(THREE), 60, lambda: f"{metric(host, 'i3.checks')} checks")
            assert metric(host, "i3.checks-failed") == metric(host, "i3.distrusted") == 0


def mixed(net, servers):
    """Two originals and two of ours, each of which knows one of the other kind at first."""
    net.originals = []
    names, ats = list(servers), list(servers.values())
    for n, (place, name) in enumerate(zip(places(len(names)), names)):
        seeds = [ats[n - 1]] if n else []
        if n % 2 == 0:
            net.originals.append(OriginalServer(net.servers[name], ats[n], place, seeds, "--period", "0.25"))
        else:
            serve_i3(net.servers[name], ats[n], seeds)
    for original in net.originals:
        wait_until(lambda: original.knows() == set(ats) - {original.at}, 30, lambda: original.log()[-2000:])


@case
def by_a_ring_of_both_kinds():
    """two originals and two of ours: each host reaches each, by shortcuts where both allow them"""
    options = {"alpha": {"shortcut": "allow"}, "gamma": {"shortcut": "allow"}, "beta": {"limit": "200"}}
    with network(options=options, hosts=("alpha", "beta", "gamma"), serve=mixed) as net:
        everybody_up(net)
        for host in net.hosts.values():
            host.serve()
        for host in net.hosts:
            for other in net.hosts:
                assert host == other or fetched(net.hosts[host], f"{other}.lab.i3")
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.gamma, "alpha.lab.i3", "by shortcut")
        check(net)


@case
def an_original_is_killed():
    """the original that carries the download is killed, and stays a ghost in the ring for a while: it goes on, by others"""
    with network(servers=THREE, serve=ring_of_originals(period=0.125)) as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.beta, "alpha.lab.i3", "by private identifier")

        def kill():
            text = tunnel_text(net.alpha, NAME) + tunnel_text(net.beta, "alpha.lab.i3")
            next(original for original in net.originals if original.at + ":" in text).kill()
        download_while(net, kill)
        assert net.beta.ping("alpha.lab.i3")
        check(net)


@case
def a_middlebox_by_an_original():
    """what goes to beta passes a filter by a chain of triggers that an original keeps, what goes to alpha by beta's stacks"""
    with network(servers=ONE, options={"beta": {"middlebox": "filter", "through": "filter"}}, hosts=("alpha", "beta", "gamma"),
                 serve=ring_of_originals()) as net:
        box = net.gamma.start([program("i3-filter"), "10.1.0.11:5610", "10.1.0.3:7000", "filter.lab.i3", "100000"], "filter.log")
        box.await_log("ready")
        everybody_up(net, "alpha", "beta")
        net.beta.serve()
        assert fetched(net.alpha, NAME)
        await_way(net.alpha, NAME, "by private identifier")
        assert net.alpha.echoes(NAME, 30, 0.05)["answered"] > 20
        box.end()
        passed = int(box.log().split()[-4])
        assert passed > 40, box.log()
        check(net)


@case
def addresses_told_backwards():
    """originals on machines with eth0 tell their addresses with the bytes reversed: ours do not use what they are told"""
    with network(servers=THREE, serve=ring_of_originals("--backwards")) as net:
        everybody_up(net)
        net.beta.serve()
        assert fetched(net.alpha, NAME)
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.beta, "alpha.lab.i3", "by private identifier")
        assert "11.0.1.10" not in tunnel_text(net.alpha, NAME) + about(net.alpha)
        check(net)


@case
def a_nat_by_originals():
    """delta, behind a NAT, is reached by originals that are its first server and pass its request on, and reaches others"""
    need("nft")
    with network(servers=THREE, hosts=("alpha", "delta"), serve=ring_of_originals()) as net:
        behind_a_router(net)
        everybody_up(net)
        net.delta.serve()
        assert fetched(net.alpha, "delta.lab.i3")
        assert net.delta.ping("alpha.lab.i3")
        await_way(net.alpha, "delta.lab.i3", "by private identifier")
        await_way(net.delta, "alpha.lab.i3", "by private identifier")
        check(net)


suite.main(__doc__)
