#!/usr/bin/python3
"""
          east.ip                        west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2       gate is not to be trusted with everything
"""
import json

import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, gateway_overlays, underlay
from suite import case

NAME = "beta.west.ip"


def network(lab):
    need("ping", "dig")
    alpha, gate, beta = underlay(lab)
    gateway_overlays(alpha, gate, beta)
    return alpha, gate, beta


def key_of(host):
    return host.ask("status")["host"]["key"]


@case
def a_gate_is_believed_only_when_the_config_says_so():
    """without `believe` alpha does not take gate's word for beta's key"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab)
        del alpha.config["believe"]
        for host in (gate, beta, alpha):
            host.up()
        assert not alpha.ping(NAME)
        explained = json.dumps(alpha.explain(NAME))
        assert "believe" in explained or "pin" in explained, explained


@case
def a_pinned_key_beats_the_gate():
    """a gate that puts another host behind beta's name fails against a pinned key, and alpha says so"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab)
        beta.up()
        true_key = key_of(beta)
        beta.down()
        alpha.config["pins"] = [{"name": NAME, "key": true_key}]
        # What gate calls beta is now another host: same name, same address, a key of its own.
        beta.config["state"] = beta.file("another-state")
        beta.config.pop("key", None)
        for host in (gate, beta, alpha):
            host.up()
        assert key_of(beta) != true_key
        assert not alpha.ping(NAME)
        explained = json.dumps(alpha.explain(NAME))
        assert "pin" in explained, explained
        # The true beta is reached, once gate has been told that its name has another key now.
        beta.down()
        beta.config["state"] = beta.file("state")
        gate.ocala("key", "forget", NAME)
        beta.up()
        assert wait_until(lambda: alpha.ping(NAME), 60, "the true beta")
        assert "pinned" in json.dumps(alpha.explain(NAME))


@case
def a_gate_cannot_claim_a_name_of_our_own_instance():
    """gate in east.ip cannot vouch for a host of an instance that alpha belongs to itself"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab)
        # alpha is a member of west.ip too (with the true secret), so gate's word covers nothing there.
        west = gate.config["overlays"][1]["secret"]
        with open(west) as f:
            text = f.read()
        alpha.join("west.ip", text, listen="0.0.0.0:7401")
        alpha.config["believe"] = [{"gateway": "gate.east.ip", "instances": ["west.ip"]}]
        for host in (gate, beta):
            host.up()
        alpha.launch()
        # Either the configuration is refused for that line, or the word is not taken.
        wait_until(lambda: not alpha.process.running() or alpha.is_running(), 15, "alpha to decide")
        if alpha.process.running():
            alpha.ping(NAME)
            assert "vouched" not in json.dumps(alpha.explain(NAME)), alpha.explain(NAME)
        else:
            assert alpha.process.popen.returncode == 78 and "west.ip" in alpha.log(), alpha.log()


@case
def the_first_key_that_was_vouched_for_stays():
    """a vouched key is remembered: gate cannot change its mind later"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab)
        for host in (gate, beta, alpha):
            host.up()
        assert alpha.ping(NAME)
        entry = next(k for k in alpha.ask("key")["keys"] if k["name"] == NAME)
        assert entry["how"] == "vouched" and entry["voucher"] == "gate.east.ip", entry
        beta.down()
        beta.config["state"] = beta.file("another-state")
        beta.config.pop("key", None)
        gate.ocala("key", "forget", "beta.west.ip") # gate goes along with the other host
        beta.up()
        alpha.again()
        assert not alpha.ping(NAME), "alpha talks to another key under a name it knew"
        assert "forget" in json.dumps(alpha.explain(NAME)), alpha.explain(NAME)
        alpha.ocala("key", "forget", NAME)
        assert wait_until(lambda: alpha.ping(NAME), 60, "alpha to take the new key after `key forget`")


@case
def forwarding_is_closed_until_configured():
    """a host in two overlays forwards nothing unless its configuration says for whom and to where"""
    with Lab(machine_class=Host) as lab:
        alpha, gate, beta = network(lab)
        gate.config["forward"] = [{"from": "west.ip", "to": "east.ip"}]
        for host in (gate, beta, alpha):
            host.up()
        assert not alpha.ping(NAME)
        assert "forward" in json.dumps(alpha.explain(NAME)), alpha.explain(NAME)


suite.main(__doc__)
