#!/usr/bin/python3
"""Rings of original servers and ours."""
import suite
from i3originals import AT, fixture, net_of, picture
from netlab import wait_until
from suite import case


@case
def each_joins_the_other(lab):
    """two originals and two of ours, each by one of the other kind: every client by every server, triggers and chains"""
    with net_of(lab, 2) as net:
        net.original("s1")
        net.ours("s2", "s1")
        net.original("s3", "s2")
        net.ours("s4", "s3")
        net.formed()
        alices = {name: net.client("alice", name) for name in net.servers}
        bobs = {name: net.client("bob", name) for name in net.servers}
        for owner in net.servers:
            for name, bob in bobs.items():
                ident = net.id_of(owner)
                bob.inserted(ident)
                for by, alice in alices.items():
                    alice.reaches(bob, ident, f"to-{owner}-for-{name}-by-{by}")
        assert {name: server.triggers() for name, server in net.servers.items()} == dict.fromkeys(net.servers, 4)
        # From trigger to trigger: by the ring first, then straight from server to server.
        for here in net.servers:
            for there in net.servers:
                last = net.id_of(there)
                first = net.id_of(here, to=last)
                bobs["s1"].inserted(last)
                bobs["s2"].inserted(first, last)
                for text in ("once", "twice", "thrice"):
                    alices["s4"].reaches(bobs["s1"], first, f"{text}-{here}-{there}")
        for owner, alice in alices.items():
            alice.refused(net.id_of(owner), "nobody")
        net.check()


@case
def servers_join_and_die(lab):
    """triggers follow when servers of both kinds join and die, and ghosts that originals tell of do no harm"""
    with net_of(lab, 3) as net:
        net.original("s1")
        net.ours("s2", "s1")
        net.formed()
        bob, alice = net.client("bob", "s2", "--hurry", "0.2"), net.client("alice", "s2", "--hurry", "0.2")
        idents = {name: net.id_of(name, among=AT) for name in AT}

        def all_arrive(text):
            for name, ident in idents.items():
                alice.reaches(bob, ident, f"{text}-{name}", 60)
        for ident in idents.values():
            bob.inserted(ident)
        all_arrive("two")
        net.original("s3", "s2")
        net.ours("s4", "s1")
        net.formed()
        all_arrive("four")
        wait_until(lambda: all(server.triggers() for server in net.servers.values()), 20, "each to have its trigger")
        net.servers["s3"].kill()
        all_arrive("without-s3")
        net.formed()
        net.servers["s4"].kill()
        all_arrive("without-s4")
        net.formed()


@case
def addresses_told_backwards(lab):
    """an original on a machine with eth0 tells its address backwards: what goes from trigger to trigger arrives all the same"""
    with net_of(lab, 6) as net:
        for name in ("s3", "alice", "bob"):  # the others' answers go somewhere, and an original survives that
            net.lab_machine(name).run(["ip", "route", "replace", "default", "via", "10.1.0.254"], check=True)
        net.ours("s1")
        net.original("s3", "s1", options=["--backwards"])
        net.formed()
        bob = net.client("bob", "s1")
        for here, there in (("s1", "s3"), ("s3", "s1")):
            last = net.id_of(there)
            first = net.id_of(here, to=last)
            bob.inserted(last)
            bob.inserted(first, last)
            for text in ("once", "twice", "thrice"):
                net.client("alice", "s1").reaches(bob, first, f"{text}-{here}-{there}", 12)
        assert net.servers["s1"].ask()["counters"]["forwarded"] > 0, "nothing went straight"


suite.main(picture("originals of 2005 and ours, in one ring"), fixture)
