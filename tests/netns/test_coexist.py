#!/usr/bin/python3
"""
    alpha ------------ beta        one overlay, east.ip: next to what else uses addresses and firewalls on a machine
    10.1.0.1           10.1.0.2
"""
import contextlib

import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, two_hosts
from suite import case

BETA, ALPHA = "beta.east.ip", "alpha.east.ip"

# As Docker writes it for one published port, with its bridge.
DOCKER = """
table ip nat {
    chain DOCKER {
        iifname "docker0" counter return
        iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump DOCKER
    }
    chain OUTPUT {
        type nat hook output priority -100; policy accept;
        ip daddr != 127.0.0.0/8 fib daddr type local counter jump DOCKER
    }
    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade
    }
}
table ip filter {
    chain DOCKER-USER {
        counter return
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
        oifname "docker0" ct state related,established counter accept
        iifname "docker0" oifname != "docker0" counter accept
    }
}
"""

# As ufw writes it: deny what comes in, but for what is part of something and one port.
UFW = """
table ip filter {
    chain ufw-before-input {
        iifname "lo" counter accept
        ct state related,established counter accept
        ct state invalid counter drop
        icmp type echo-request counter accept
    }
    chain ufw-user-input {
        udp dport 7400 counter accept
    }
    chain ufw-before-output {
        oifname "lo" counter accept
        ct state related,established counter accept
    }
    chain INPUT {
        type filter hook input priority filter; policy drop;
        counter jump ufw-before-input
        counter jump ufw-user-input
    }
    chain OUTPUT {
        type filter hook output priority filter; policy accept;
        counter jump ufw-before-output
    }
}
table ip6 filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        iifname "lo" counter accept
        ct state related,established counter accept
        icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } counter accept
    }
}
"""

TAILSCALE = """
table ip filter {
    chain ts-input {
        iifname "lo" ip saddr 100.100.1.1 counter accept
        ip saddr 100.64.0.0/10 iifname != "tailscale0" counter drop
    }
    chain INPUT {
        type filter hook input priority filter; policy accept;
        counter jump ts-input
    }
}
"""


@contextlib.contextmanager
def hosts(mode="resolvconf"):
    need("ping", "dig", "nft")
    with Lab(machine_class=Host) as lab:
        alpha, beta = two_hosts(lab)
        alpha.config["dns"]["mode"] = mode
        yield alpha, beta


def rules(host):
    """Everybody's rules, byte for byte, but for counters, which traffic moves."""
    return host.run(["nft", "-s", "list", "ruleset"], check=True).stdout


def load(host, text):
    host.run(["nft", "-f", "-"], input=text, check=True)


def dummy(host, name, *addresses):
    host.ip(f"link add {name} type veth peer name {name}-x")
    for interface in (name, f"{name}-x"):
        host.ip(f"link set {interface} up")
    for address in addresses:
        host.ip(f"addr add {address} dev {name}")


def pool(host):
    return host.ask("status")["host"]["pools"]["ipv4"]


# ---- firewalls ---------------------------------------------------------------------------------------------------------

def next_to(firewall, mode):
    with hosts(mode) as (alpha, beta):
        for host in (alpha, beta):
            load(host, firewall)
        before = rules(alpha), rules(beta)
        alpha.up(), beta.up()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        for host, was in zip((alpha, beta), before):
            now = rules(host)
            ours = [line for line in now.splitlines() if line.startswith("table") and "ocala" in line]
            assert ours and all(line.startswith("table inet ocala_") for line in ours), ours
            for table in was.split("table ")[1:]:
                assert "table " + table.rstrip() in now, f"a table of somebody else was changed: {now}"
        if mode == "intercept":
            assert alpha.run(["dig", "+short", "@10.1.0.2", BETA]).stdout.split() == alpha.lookup(BETA)
        assert alpha.down() == 0
        beta.kill9([beta.daemon_pid()])
        assert (rules(alpha), rules(beta)) == before


@case
def docker():
    """next to Docker's rules: all works, and after the end the rules are byte for byte what they were"""
    next_to(DOCKER, "resolvconf")


@case
def docker_and_interception():
    """next to Docker's rules, in mode intercept, whose chain is at the same hook as Docker's"""
    next_to(DOCKER, "intercept")


@case
def ufw():
    """next to ufw's rules, which drop what is not asked for"""
    next_to(UFW, "resolvconf")


@case
def ufw_and_interception():
    """next to ufw's rules, in mode intercept"""
    next_to(UFW, "intercept")


@case
def a_firewall_on_lo():
    """a firewall that drops DNS on lo: `ocala dns doctor` names it"""
    with hosts() as (alpha, beta):
        alpha.up()
        done = alpha.ocala("dns", "doctor", check=False)
        assert done.returncode == 0, done.stdout
        load(alpha, "table inet bad { chain c { type filter hook input priority 0; iifname lo udp dport 53 drop; }; }")
        done = alpha.ocala("dns", "doctor", check=False)
        assert done.returncode == 1 and "a firewall drops packets to port 53" in done.stdout, done.stdout
        findings = {f["id"]: f for f in __import__("json").loads(
            alpha.ocala("dns", "doctor", "--json", check=False).stdout)["findings"]}
        assert findings["listener-silent"]["problem"] and findings["not-found"]["problem"], findings


# ---- ranges ------------------------------------------------------------------------------------------------------------

@case
def a_route_in_our_range():
    """a route in the default range: another one is taken, works, and is kept when the route is gone"""
    with hosts() as (alpha, beta):
        dummy(alpha, "other0", "198.18.7.1/24")
        alpha.up(), beta.up()
        assert pool(alpha) == "198.19.0.0/16", pool(alpha)
        assert "other0" in alpha.log()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        handle = alpha.lookup(BETA)
        assert handle[0].startswith("198.19.")
        assert alpha.down() == 0
        alpha.ip("link del other0")
        alpha.up()
        assert pool(alpha) == "198.19.0.0/16" and alpha.lookup(BETA) == handle


@case
def everybody_at_once():
    """other fake addresses, Tailscale and Docker on one machine: the range that nobody uses is taken"""
    with hosts() as (alpha, beta):
        dummy(alpha, "Meta", "198.18.0.1/30")
        dummy(alpha, "tailscale0", "100.100.1.1/32")
        dummy(alpha, "docker0", "172.17.0.1/16")
        dummy(alpha, "virbr0", "192.168.122.1/24")
        load(alpha, TAILSCALE + DOCKER)
        before = rules(alpha)
        alpha.up(), beta.up()
        assert pool(alpha) == "10.198.0.0/16", (pool(alpha), alpha.log())
        for who in ("Meta", "tailscale0"):
            assert who in alpha.log(), alpha.log()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        assert alpha.down() == 0
        assert rules(alpha) == before


@case
def rules_that_name_our_range():
    """a range that only firewall rules name is avoided for a new choice, and kept when it is in use already"""
    with hosts() as (alpha, beta):
        load(alpha, "table ip bogons { chain c { type filter hook input priority 0; "
                    "iifname wan0 ip saddr { 10.0.0.0/8, 198.18.0.0/15, 100.64.0.0/10 } drop; }; }")
        alpha.up(), beta.up()
        assert pool(alpha) == "172.31.128.0/17", (pool(alpha), alpha.log())
        assert alpha.ping(BETA)
        assert alpha.down() == 0
        load(alpha, "table ip more { chain c { type filter hook input priority 0; iifname wan0 ip saddr 172.16.0.0/12 "
                    "drop; }; }")
        alpha.up()
        assert pool(alpha) == "172.31.128.0/17", (pool(alpha), alpha.log())


@case
def a_configured_range():
    """a range of the configuration: refused with its line when a route is in it, else taken"""
    with hosts() as (alpha, beta):
        alpha.config["handles"] = {"ipv4": "10.77.0.0/16"}
        dummy(alpha, "docker0", "10.77.3.1/24")
        process = alpha.launch()
        assert process.wait() == 1
        assert "10.77.0.0/16" in process.log() and "docker0" in process.log(), process.log()
        alpha.ip("link del docker0")
        alpha.up(), beta.up()
        assert pool(alpha) == "10.77.0.0/16" and alpha.ping(BETA)


@case
def a_route_that_comes_later():
    """a route into our range while ocalad runs: a warning, `ocala dns` and the doctor say so; the next start moves"""
    with hosts() as (alpha, beta):
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        assert alpha.ask("dns")["clash"] == ""
        dummy(alpha, "docker0", "198.18.0.129/25")
        wait_until(lambda: "docker0" in alpha.ask("dns")["clash"], 30, lambda: alpha.ask("dns"))
        assert "docker0" in alpha.log() and "next start" in alpha.log(), alpha.log()
        assert "docker0" in alpha.ocala("dns").stdout
        done = alpha.ocala("dns", "doctor", check=False)
        assert done.returncode == 1 and "docker0" in done.stdout and "restart ocalad" in done.stdout, done.stdout
        alpha.ip("link del docker0")
        wait_until(lambda: alpha.ask("dns")["clash"] == "", 30, lambda: alpha.ask("dns"))
        dummy(alpha, "docker0", "198.18.0.129/25")
        wait_until(lambda: alpha.ask("dns")["clash"], 30, lambda: alpha.ask("dns"))
        assert alpha.down() == 0
        alpha.up()
        assert pool(alpha) == "198.19.0.0/16", pool(alpha)


suite.main(__doc__)
