#!/usr/bin/python3
"""
    alpha ---- switch ---- beta        one overlay, east.ip: who is admitted, and who is who
    10.1.0.1     |     10.1.0.2
              mallory
              10.1.0.3
"""
import json
import re

import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, secret, two_hosts
from suite import case

BETA, ALPHA = "beta.east.ip", "alpha.east.ip"


def lab_of_hosts():
    need("ping", "dig")
    return Lab(machine_class=Host)


def says(host, *words):
    """Does the log of ocalad hold all these words in one line?"""
    return any(all(word in line.lower() for word in words) for line in host.log().splitlines())


@case
def a_secret_admits():
    """psk: a shared secret is enough, and names are bound to keys on first use"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab)
        alpha.up(), beta.up()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        keys = {k["name"]: k["how"] for k in alpha.ask("key")["keys"]}
        assert keys.get(BETA) == "first use", keys
        link = next(l for l in alpha.ask("overlay")["links"] if l["name"] == BETA)
        assert "bound on first use" in link["identity"], link
        assert "bound on first use" in alpha.ocala("explain", BETA).stdout


@case
def pinned_keys():
    """pin: members are known by the keys in the configuration, without a secret"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab)
        keys = {}
        for host in (alpha, beta):
            path = host.file("identity.pem")
            host.ocala("key", "new", path)
            host.config["key"] = path
            keys[host.name] = host.file("identity.pem")
        public = {}
        for host in (alpha, beta):
            host.up()
            public[host.name] = host.ask("status")["host"]["key"]
            assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", public[host.name]), public
            assert host.down() == 0
        for host, peer in ((alpha, "beta"), (beta, "alpha")):
            overlay = host.config["overlays"][0]
            del overlay["secret"]
            overlay["trust"] = "pin"
            overlay["members"][0]["key"] = public[peer]
            host.up()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        assert "pinned" in alpha.ocala("explain", BETA).stdout
        # The wrong key in the configuration: refused.
        alpha.down()
        alpha.config["overlays"][0]["members"][0]["key"] = public["alpha"]
        alpha.up()
        assert not alpha.ping(BETA)


@case
def secrets_that_differ():
    """secret mismatch: both ends say so in plain words"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab, secrets=(secret(), secret()))
        alpha.up(), beta.up()
        assert not alpha.ping(BETA)
        for host in (alpha, beta):
            wait_until(lambda: says(host, "secret"), 30, lambda: f"the word in {host.name}'s log: {host.log()[-1500:]}")
        explained = alpha.explain(BETA)
        assert not explained["ok"] and "secret" in json.dumps(explained), explained
        assert explained["todo"], explained
        assert "secret" in alpha.run(["dig", "+time=15", "+tries=1", BETA]).stdout
        assert beta.drops()["bad-mac"] > 0, beta.drops()


@case
def a_secret_is_changed():
    """two secrets are accepted side by side while the secret is changed"""
    with lab_of_hosts() as lab:
        old, new = secret(), secret()
        alpha, beta = two_hosts(lab, secrets=(old, old))
        del beta.config["overlays"][0]["secret"]
        beta.config["overlays"][0]["secrets"] = [beta.write("new", new, 0o600), beta.write("old", old, 0o600)]
        alpha.up(), beta.up()
        assert alpha.ping(BETA), "old against new and old"
        alpha.down()
        alpha.config["overlays"][0]["secret"] = alpha.write("new", new, 0o600)
        alpha.up()
        assert alpha.ping(BETA), "new against new and old"
        beta.down()
        beta.config["overlays"][0]["secrets"] = [beta.file("new")]
        beta.up()
        assert alpha.ping(BETA), "new against new"


BUSY = "while :; do ip link add {0}a type veth peer name {0}b; ip link delete {0}a; done"


@case
def addresses_are_there_when_it_runs():
    """a kernel busy with other interfaces: when ocalad says that it runs, both its addresses are the machine's own"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab)
        for name in ("x", "y", "z"):
            beta.start(["sh", "-c", BUSY.format(name)])
        for _ in range(8):
            alpha.up()
            shown = json.loads(alpha.run(["ip", "-json", "address", "show", "dev", "ocala0"], check=True).stdout)
            own = [address["local"] for address in shown[0]["addr_info"]]
            assert len(own) == 2, shown
            for address in own:
                route = alpha.run(["ip", "route", "get", address]).stdout
                assert route.startswith("local"), route
            alpha.down()


@case
def a_name_belongs_to_its_first_key():
    """a second member that claims beta's name is refused loudly until `ocala key forget`"""
    with lab_of_hosts() as lab:
        alpha, beta, mallory = (lab.machine(name) for name in ("alpha", "beta", "mallory"))
        lab.switch({alpha: "10.1.0.1/24", beta: "10.1.0.2/24", mallory: "10.1.0.3/24"})
        text = secret()
        alpha.join("east.ip", text, {"beta": [f"10.1.0.2:{PORT}", f"10.1.0.3:{PORT}"]})
        for host in (beta, mallory):
            host.join("east.ip", text, {"alpha": f"10.1.0.1:{PORT}"})
            host.config["name"] = "beta"
        alpha.up(), beta.up()
        assert beta.ping(ALPHA)
        assert beta.down() == 0
        mallory.up()
        assert not mallory.ping(ALPHA)
        wait_until(lambda: says(alpha, "beta.east.ip", "key"), 30, lambda: f"a loud refusal: {alpha.log()[-2000:]}")
        assert any("forget" in line for line in alpha.log().splitlines()), "the log does not say what to do"
        refused = mallory.explain(ALPHA)
        assert "forget" in refused["todo"] and "another host has its name" in refused["todo"], refused
        assert not alpha.ping(BETA), "alpha talks to the impostor"
        assert "forget" in json.dumps(alpha.explain(BETA))
        alpha.ocala("key", "forget", BETA)
        assert wait_until(lambda: mallory.ping(ALPHA), 60, "alpha to accept the new key")


@case
def the_same_key_keeps_its_handle():
    """a peer that moves to another address is followed there and keeps its handle"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab)
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        before = alpha.lookup(BETA)
        beta.ip("addr del 10.1.0.2/24 dev eth0")
        beta.ip("addr add 10.1.0.7/24 dev eth0")
        assert wait_until(lambda: beta.ping(ALPHA), 60, "beta to speak from its new address")
        assert wait_until(lambda: alpha.ping(BETA), 60, "alpha to reach beta at its new address")
        assert alpha.lookup(BETA) == before
        remote = next(l for l in alpha.ask("overlay")["links"] if l["name"] == BETA)["tunnel"]["remote"]
        assert "10.1.0.7" in remote, remote


@case
def endpoints_by_name():
    """a member's place may be a name that the underlay's DNS resolves, over IPv6 too"""
    with lab_of_hosts() as lab:
        alpha, beta = two_hosts(lab)
        alpha.config["overlays"][0]["members"] = [{"name": "beta", "at": f"[fd01::2]:{PORT}"}]
        alpha.config["overlays"][0]["listen"] = f"[::]:{PORT}"
        beta.config["overlays"][0]["members"] = []
        beta.config["overlays"][0]["listen"] = f"[::]:{PORT}"
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        remote = next(l for l in alpha.ask("overlay")["links"] if l["name"] == BETA)["tunnel"]["remote"]
        assert "fd01::2" in remote, remote


suite.main(__doc__)
