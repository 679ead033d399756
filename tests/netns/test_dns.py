#!/usr/bin/python3
"""
    alpha ------------ beta        one overlay, east.ip; beta also stands for "the rest of the Internet": a resolver
    10.1.0.1           10.1.0.2    at 10.1.0.2.  How programs' questions come to ocalad, and who else is there.
"""
import contextlib
import os
import signal

import netlab
import suite
from netlab import Lab, need, program, wait_until
from ocalahost import Host, two_hosts
from resolvedlab import Resolved
from suite import case

BETA, ALPHA = "beta.east.ip", "alpha.east.ip"
PLAIN = "# as it was\nnameserver 10.1.0.2\nsearch a.example\noptions edns0\n"


@contextlib.contextmanager
def hosts(mode, resolver=PLAIN):
    need("dig", "ping", "nft", "getent")
    with Lab(machine_class=Host) as lab:
        alpha, beta = two_hosts(lab)
        alpha.config["dns"]["mode"] = mode
        if resolver is not None:
            alpha.set_resolver(resolver)
        alpha.internet = beta.start(["/usr/bin/python3", os.path.join(netlab.HERE, "fakedns.py"), "10.1.0.2"])
        alpha.internet.await_log("ready")
        beta.up()
        yield alpha, beta


def getent(host, name):
    """The addresses that the C library finds."""
    return [line.split()[0] for line in host.run(["getent", "ahostsv4", name]).stdout.splitlines() if "STREAM" in line]


def all_is_well(host):
    assert getent(host, BETA)[0].startswith(("198.18.", "198.19.")), host.ask("dns")
    assert getent(host, "www.example.org") == ["192.0.2.80"], host.ask("dns")
    assert host.ping(BETA)


def traces(host, resolved):
    return (host.etc_link("resolv.conf"), resolved.ctl("dns"), resolved.ctl("domain"), resolved.ctl("nta"),
            host.run("nft list ruleset").stdout)


# ---- resolved ----------------------------------------------------------------------------------------------------------

@case
def resolved_gets_our_domains_and_loses_them():
    """resolved: only our domains come to us, by name and by address; nothing of it is left afterwards"""
    with hosts("resolved", None) as (alpha, beta):
        resolved = Resolved(alpha, "10.1.0.2")
        before = traces(alpha, resolved)
        assert getent(alpha, BETA) == [], "before the start nobody knows the name, and that is cached"
        asked_before = alpha.internet.log()
        alpha.up()
        all_is_well(alpha)
        handle = getent(alpha, BETA)[0]
        assert BETA in alpha.run(["getent", "hosts", handle]).stdout
        handle6 = alpha.lookup(BETA, "AAAA")[0]
        assert BETA in alpha.run(["getent", "hosts", handle6]).stdout
        assert BETA in resolved.ctl("query", handle)
        status = resolved.ctl("status", "ocala0")
        assert "~ip" in status and "~ron" in status and "127.0.0.1" in status and "DefaultRoute" in status, status
        assert "-DefaultRoute" in status and "DNSSEC=no" in status, status
        assert "~18.198.in-addr.arpa" in status and ".ip6.arpa" in status, status
        assert alpha.etc_link("resolv.conf") == before[0]
        counters = alpha.ask("dns")["counters"]
        assert counters["foreign"] == 0, "a foreign name came to us"
        asked = alpha.internet.log()[len(asked_before):]
        assert "www.example.org" in asked and BETA not in asked and "arpa" not in asked, asked
        assert alpha.down() == 0
        assert getent(alpha, BETA) == [], "an address of nobody is still cached"
        assert getent(alpha, "www.example.org") == ["192.0.2.80"]
        assert traces(alpha, resolved) == before, (traces(alpha, resolved), before)
        assert sum(line == "flush-caches" for line in resolved.asked()) >= 2


@case
def resolved_survives_our_death_and_we_survive_its():
    """resolved: a killed daemon leaves names whole; a restarted systemd-resolved still knows our domains"""
    with hosts("resolved", None) as (alpha, beta):
        resolved = Resolved(alpha, "10.1.0.2")
        alpha.up()
        all_is_well(alpha)
        assert resolved.process.end() == 0
        resolved.start()
        all_is_well(alpha)
        alpha.kill9([alpha.daemon_pid()])
        assert getent(alpha, BETA) == [] and getent(alpha, "www.example.org") == ["192.0.2.80"]
        alpha.up()
        all_is_well(alpha)
        alpha.kill9()
        alpha.up()
        all_is_well(alpha)
        assert alpha.down() == 0


@case
def resolved_that_validates():
    """resolved: names of ours are found although systemd-resolved demands signatures of everybody"""
    with hosts("resolved", None) as (alpha, beta):
        resolved = Resolved(alpha, "10.1.0.2", DNSSEC="yes")
        alpha.up()
        assert getent(alpha, BETA)[0].startswith(("198.18.", "198.19.")), resolved.process.log()
        assert alpha.down() == 0


@case
def resolved_learns_a_new_suffix():
    """resolved: a suffix that comes with a reload is one of our domains from then on"""
    with hosts("resolved", None) as (alpha, beta):
        resolved = Resolved(alpha, "10.1.0.2")
        alpha.up()
        assert "ov.example.org" not in resolved.ctl("domain")
        alpha.config["dns"]["suffix"] = "ov.example.org"
        alpha.write_config()
        alpha.ocala("reload")
        assert "~ov.example.org" in resolved.ctl("domain"), resolved.ctl("domain")
        assert getent(alpha, BETA + ".ov.example.org") == getent(alpha, BETA) != []
        assert alpha.down() == 0


@case
def resolved_that_is_not_there():
    """resolved: without systemd-resolved the start fails with what to do"""
    with hosts("resolved") as (alpha, beta):
        process = alpha.launch()
        assert process.wait() == 1
        assert "systemd-resolved does not run" in process.log(), process.log()
        assert alpha.etc("resolv.conf") == PLAIN


# ---- auto --------------------------------------------------------------------------------------------------------------

def mode_of(host):
    dns = host.ask("dns")
    assert dns["configured"] == "auto" and dns["automatic"], dns
    wait_until(lambda: host.ask("dns")["mode"] == host.ask("status")["host"]["dns"]["mode"], what="one mode")
    return dns["mode"], dns["why"]


@case
def auto_takes_resolved():
    """auto: systemd-resolved, where resolv.conf leads to it; when that is rewritten, resolv.conf"""
    with hosts("auto", None) as (alpha, beta):
        Resolved(alpha, "10.1.0.2")
        alpha.up()
        mode, why = mode_of(alpha)
        assert mode == "resolved" and "leads to it" in why, (mode, why)
        assert "resolved" in alpha.ocala("dns").stdout and "resolved" in alpha.ocala("status").stdout
        all_is_well(alpha)
        os.unlink(alpha.file("etc/resolv.conf"))
        alpha.set_resolver("# Generated by NetworkManager\nnameserver 10.1.0.2\n")
        wait_until(lambda: mode_of(alpha)[0] == "resolvconf", 30, "the other mode")
        assert "NetworkManager" in mode_of(alpha)[1]
        all_is_well(alpha)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == "# Generated by NetworkManager\nnameserver 10.1.0.2\n"


@case
def auto_takes_resolvconf():
    """auto: resolv.conf, where systemd-resolved does not run, or does and nobody asks it"""
    with hosts("auto") as (alpha, beta):
        alpha.up()
        mode, why = mode_of(alpha)
        assert mode == "resolvconf" and "does not run" in why, (mode, why)
        all_is_well(alpha)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == PLAIN
        Resolved(alpha, "10.1.0.2", stub=False)
        alpha.up()
        mode, why = mode_of(alpha)
        assert mode == "resolvconf" and "does not lead to it" in why, (mode, why)
        all_is_well(alpha)


@case
def auto_and_a_resolved_that_comes_later():
    """auto: when systemd-resolved comes later, names work all the same, and the next start takes it"""
    def ours():
        try:
            return "#~ocala" in alpha.etc("resolv.conf")
        except FileNotFoundError: # it is being replaced
            return False

    with hosts("auto") as (alpha, beta):
        alpha.up()
        assert mode_of(alpha)[0] == "resolvconf"
        resolved = Resolved(alpha, "10.1.0.2")
        wait_until(lambda: alpha.ask("dns")["upstreams"] == ["10.1.0.2:53"] and ours(), 15, lambda: alpha.ask("dns"))
        all_is_well(alpha)
        # Asked by itself, as programs do that know it; it must not ask us for what we ask it.
        assert "192.0.2.80" in resolved.ctl("query", "www.example.org")
        assert mode_of(alpha)[0] == "resolvconf"
        assert alpha.down() == 0
        assert "stub-resolv" in alpha.etc_link("resolv.conf")
        alpha.up()
        assert mode_of(alpha)[0] == "resolved"
        all_is_well(alpha)


@case
def auto_intercepts():
    """auto: interception, where resolv.conf cannot be written"""
    with hosts("auto") as (alpha, beta):
        path = alpha.file("etc/resolv.conf")
        alpha.run(f"mount --bind {path} /etc/resolv.conf && mount -o remount,ro,bind /etc/resolv.conf", check=True)
        alpha.up()
        mode, why = mode_of(alpha)
        assert mode == "intercept" and "read-only" in why, (mode, why)
        all_is_well(alpha)
        assert alpha.etc("resolv.conf") == PLAIN


# ---- intercept ---------------------------------------------------------------------------------------------------------

@case
def intercepted_questions():
    """intercept: UDP and TCP, IPv4 and IPv6, whoever is asked; our own questions pass; undone at the end"""
    with hosts("intercept") as (alpha, beta):
        before = alpha.run("nft list ruleset").stdout
        alpha.up()
        all_is_well(alpha)
        assert alpha.etc("resolv.conf") == PLAIN
        handle = alpha.lookup(BETA)
        for words in (["@10.1.0.2"], ["@10.1.0.2", "+tcp"], ["@fd01::2"], ["@fd01::2", "+tcp"], ["@127.0.0.1"],
                      ["@::1"]):
            got = alpha.run(["dig", "+short", "+time=5", "+tries=1", *words, BETA]).stdout.split()
            assert got == handle, (words, got, handle)
        assert BETA not in alpha.internet.log(), "a name of ours left the machine"
        # More of them than sockets are made at once.
        for number in range(40):
            got = alpha.run(["dig", "+short", "+time=5", "+tries=1", f"n{number}.example.org"]).stdout.split()
            assert got == ["192.0.2.80"], (number, got, alpha.log())
        assert alpha.run("nft list ruleset").stdout != before
        assert alpha.down() == 0
        assert alpha.run("nft list ruleset").stdout == before
        alpha.up()
        alpha.kill9([alpha.daemon_pid()])
        wait_until(lambda: alpha.run("nft list tables").stdout.strip() == "", 30,
                   lambda: alpha.run("nft list ruleset").stdout)
        assert getent(alpha, "www.example.org") == ["192.0.2.80"]


@case
def a_resolver_of_this_machine_is_not_asked_in_a_circle():
    """intercept: with a forwarder on this machine its own questions still reach the Internet"""
    with hosts("intercept", "nameserver 127.0.0.2\n") as (alpha, beta):
        forwarder = alpha.start(["/usr/bin/python3", "-c", """
import socket
here, there = socket.socket(2, 2), socket.socket(2, 2)
here.bind(("127.0.0.2", 53))
there.settimeout(3)
print("ready", flush=True)
while True:
    question, client = here.recvfrom(4096)
    there.sendto(question, ("10.1.0.2", 53))
    try:
        here.sendto(there.recv(4096), client)
    except OSError:
        print("no answer", flush=True)
"""])
        forwarder.await_log("ready")
        alpha.up()
        all_is_well(alpha)
        assert "no answer" not in forwarder.log()


# ---- resolvconf --------------------------------------------------------------------------------------------------------

@case
def other_writers():
    """resolvconf: what others write is replaced, kept, used for other names, and restored exactly at the end"""
    with hosts("resolvconf") as (alpha, beta):
        alpha.up()
        all_is_well(alpha)
        new = "# Generated by NetworkManager\nsearch b.example\nnameserver 10.1.0.2\nnameserver 192.0.2.9\n"
        # In place, as dhclient-script does it.
        alpha.set_resolver(new)
        wait_until(lambda: "#~ocala" in alpha.etc("resolv.conf"), 30, lambda: alpha.etc("resolv.conf"))
        wait_until(lambda: alpha.ask("dns")["upstreams"] == ["10.1.0.2:53", "192.0.2.9:53"], 30,
                   lambda: alpha.ask("dns"))
        assert "NetworkManager wrote /etc/resolv.conf" in alpha.log(), alpha.log()
        dns = alpha.ask("dns")["resolvconf"]
        assert dns["writer"] == "NetworkManager" and dns["taken_back"] == 1 and dns["ours"], dns
        assert "search b.example" in alpha.etc("resolv.conf")
        all_is_well(alpha)
        # By rename, as NetworkManager does it.
        other = "nameserver 10.1.0.2\n# no newline at the end"
        os.rename(alpha.write("etc/resolv.conf.tmp", other), alpha.file("etc/resolv.conf"))
        wait_until(lambda: alpha.ask("dns")["resolvconf"]["taken_back"] == 2, 30, lambda: alpha.ask("dns"))
        all_is_well(alpha)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == other


@case
def a_link_in_its_place_and_nothing_at_all():
    """resolvconf: a link that somebody puts there, what it leads to, and a removed file"""
    with hosts("resolvconf") as (alpha, beta):
        alpha.up()
        path = alpha.file("etc/resolv.conf")
        target = alpha.write("etc/lease.conf", "# Generated by dhcpcd\nnameserver 10.1.0.2\n")
        os.symlink("lease.conf", path + ".new")
        os.rename(path + ".new", path)
        wait_until(lambda: alpha.ask("dns")["resolvconf"]["ours"] and "dhcpcd" in alpha.log(), 30, alpha.log)
        all_is_well(alpha)
        # The lease changes while ours stands in the link's place.
        with open(target, "w") as f:
            f.write("# Generated by dhcpcd\nnameserver 192.0.2.77\nnameserver 10.1.0.2\n")
        wait_until(lambda: alpha.ask("dns")["upstreams"][:1] == ["192.0.2.77:53"], 30, lambda: alpha.ask("dns"))
        assert alpha.down() == 0
        assert os.readlink(path) == "lease.conf"
        alpha.up()
        os.unlink(path)
        wait_until(lambda: os.path.exists(path), 30, "resolv.conf again")
        assert alpha.down() == 0
        assert not os.path.lexists(path)


@case
def lines_that_somebody_adds():
    """resolvconf: a line added to ours is in force at once and is still there afterwards"""
    with hosts("resolvconf") as (alpha, beta):
        alpha.up()
        with open(alpha.file("etc/resolv.conf"), "a") as f:
            f.write("options timeout:3\n")
        wait_until(lambda: alpha.ask("dns")["resolvconf"]["taken_back"] == 1, 30, lambda: alpha.ask("dns"))
        assert "\noptions timeout:3\n" in alpha.etc("resolv.conf")
        all_is_well(alpha)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == PLAIN + "options timeout:3\n"


@case
def a_fight():
    """resolvconf: against a program that insists we give way for a while, and say so once"""
    with hosts("resolvconf") as (alpha, beta):
        alpha.up()
        for number in range(6):
            alpha.set_resolver(f"# Generated by NetworkManager\nnameserver 10.1.0.2\n# {number}\n")
            wait_until(lambda: alpha.ask("dns")["resolvconf"]["taken_back"] == number + 1, 30,
                       lambda: alpha.ask("dns"))
        alpha.set_resolver("# Generated by NetworkManager\nnameserver 10.1.0.2\n# last\n")
        wait_until(lambda: alpha.ask("dns")["resolvconf"]["fight"], 30, lambda: alpha.ask("dns"))
        assert alpha.log().count("in turns") == 1, alpha.log()
        doctor = alpha.ocala("dns", "doctor", check=False)
        assert doctor.returncode == 1 and "NetworkManager keeps writing" in doctor.stdout, doctor
        assert "/etc/NetworkManager/conf.d/" in doctor.stdout, doctor.stdout
        alpha.set_resolver("# Generated by NetworkManager\nnameserver 10.1.0.2\n# left\n")
        assert alpha.run(["sleep", "1"]).returncode == 0
        assert "# left" in alpha.etc("resolv.conf") and "#~ocala" not in alpha.etc("resolv.conf")
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf").endswith("# left\n")


# ---- a delegated suffix -------------------------------------------------------------------------------------------------

@case
def a_zone_of_ordinary_dns():
    """suffix: other machines ask us for a zone that was delegated to us; they learn what stands and start nothing"""
    with hosts("none") as (alpha, beta):
        alpha.config["dns"].update(listen="10.1.0.1:53", suffix="ov.example.org")
        alpha.up()

        def ask(host, *words):
            return host.run(["dig", "+norec", "+time=5", "+tries=1", "@10.1.0.1", *words]).stdout

        assert "SOA\tov.example.org." in ask(beta, "ov.example.org", "SOA")
        assert "flags: qr aa" in ask(beta, "ov.example.org", "SOA")
        assert "198.18.0.1" in ask(beta, ALPHA + ".ov.example.org")
        answer = ask(beta, BETA + ".ov.example.org")
        assert "SERVFAIL" in answer and "no path stands" in answer, answer
        assert alpha.ask("path")["paths"] == []
        assert "REFUSED" in ask(beta, "www.example.org")
        here = ask(alpha, "+short", BETA + ".ov.example.org")
        assert here and ask(beta, "+short", BETA + ".ov.example.org") == here
        assert ask(beta, "+short", BETA) == here


# ---- a taken port ------------------------------------------------------------------------------------------------------

@case
def port_53_is_taken():
    """a resolver of this machine on 127.0.0.1:53: another address is used, and where all are taken another port"""
    with hosts("auto", "nameserver 10.1.0.2\n") as (alpha, beta):
        taker = alpha.start(["/usr/bin/python3", os.path.join(netlab.HERE, "fakedns.py"), "127.0.0.1"])
        taker.await_log("ready")
        alpha.up()
        assert alpha.ask("dns")["listen"] == "127.0.11.1:53", alpha.ask("dns")
        all_is_well(alpha)
        assert alpha.down() == 0
        taker.end(signal.SIGKILL)
        taker = alpha.start(["/usr/bin/python3", os.path.join(netlab.HERE, "fakedns.py"), "0.0.0.0"])
        taker.await_log("ready")
        alpha.up()
        mode, why = mode_of(alpha)
        assert mode == "intercept" and alpha.ask("dns")["listen"].endswith(":5354"), (mode, why)


suite.main(__doc__)
