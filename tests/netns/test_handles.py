#!/usr/bin/python3
"""
    alpha ---- switch ---- beta        one overlay, east.ip: whose handle an address is, and who pays for it
    10.1.0.1     |     10.1.0.2
               gamma
              10.1.0.3
"""
import re

import suite
from netlab import Lab, need
from ocalahost import PORT, Host, secret
from suite import case

BETA, GAMMA = "beta.east.ip", "gamma.east.ip"
FIRST, SECOND, ROOT = 1001, 1002, 0


def three_hosts(lab):
    alpha, beta, gamma = (lab.machine(name) for name in ("alpha", "beta", "gamma"))
    lab.switch({alpha: "10.1.0.1/24", beta: "10.1.0.2/24", gamma: "10.1.0.3/24"})
    text = secret()
    for host in (alpha, beta, gamma):
        host.join("east.ip", text, {"beta": f"10.1.0.2:{PORT}", "gamma": f"10.1.0.3:{PORT}"} if host is alpha else {})
    return alpha, beta, gamma


def ask(host, user, name, *words):
    """dig as another user: (status, addresses, text)."""
    text = host.run(["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "dig", "+time=15",
                     "+tries=1", *words, name, "A"]).stdout
    status = re.search(r"status: (\w+)", text)
    return status and status.group(1), re.findall(r"\sIN\tA\t(\S+)", text), text


def users(host):
    return {h["name"]: h["user"] for h in host.ask("handle")["handles"]}


def one_handle_each(words):
    need("dig", "setpriv")
    with Lab(machine_class=Host) as lab:
        alpha, beta, gamma = three_hosts(lab)
        alpha.config["handles"] = {"per_user": 1}
        for host in (alpha, beta, gamma):
            host.up()
        status, addresses, text = ask(alpha, FIRST, BETA, *words)
        assert status == "NOERROR" and len(addresses) == 1, text
        assert users(alpha) == {BETA: FIRST}, users(alpha)
        # The same one again costs nothing, another one is too much.
        assert ask(alpha, FIRST, BETA, *words)[1] == addresses
        status, _, text = ask(alpha, FIRST, GAMMA, *words)
        assert status == "SERVFAIL" and "as many handle addresses as one user may have" in text, text
        # Another user's limit is another one; what stands is for all.
        status, others, text = ask(alpha, SECOND, GAMMA, *words)
        assert status == "NOERROR" and len(others) == 1 and others != addresses, text
        assert users(alpha) == {BETA: FIRST, GAMMA: SECOND}, users(alpha)
        assert ask(alpha, FIRST, GAMMA, *words)[1] == others
        assert ask(alpha, ROOT, BETA, *words)[1] == addresses


@case
def a_users_limit_over_udp():
    """questions over UDP: the asking user pays for the handle, up to handles.per_user"""
    one_handle_each([])


@case
def a_users_limit_over_tcp():
    """the same over TCP"""
    one_handle_each(["+tcp"])


@case
def a_peer_costs_no_user_anything():
    """a handle for a host that came by itself counts for nobody"""
    need("ping", "dig", "setpriv")
    with Lab(machine_class=Host) as lab:
        alpha, beta, gamma = three_hosts(lab)
        alpha.config["handles"] = {"per_user": 1}
        beta.config["overlays"][0]["members"] = [{"name": "alpha", "at": f"10.1.0.1:{PORT}"}]
        for host in (alpha, beta, gamma):
            host.up()
        assert beta.ping("alpha.east.ip")
        assert users(alpha) == {BETA: None}, users(alpha)
        assert ask(alpha, FIRST, BETA)[0] == "NOERROR"
        assert ask(alpha, FIRST, GAMMA)[0] == "NOERROR"
        assert users(alpha) == {BETA: None, GAMMA: FIRST}, users(alpha)


suite.main(__doc__)
