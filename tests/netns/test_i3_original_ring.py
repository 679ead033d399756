#!/usr/bin/python3
"""
    s1 ---+--- switch ---+--- alice       servers: ours, originals of 2005, and rings of both
    s2 ---+              +--- bob         clients: with the library of the original
    s3 ---+              +--- mallory     (originals are models of them: tests/interop/)
    s4 ---+
"""
import contextlib
import json
import os
import random
import signal
import socket
import struct

import i3originals
import suite
from i3originals import OriginalClient, OriginalServer, identifier, wire
from netlab import Lab, program, wait_until
from ocalahost import Host
from suite import case

AT = {f"s{n}": f"10.1.0.{10 + n}" for n in range(1, 5)}
PLACE = dict(zip(AT, i3originals.places(4)))
PERIOD = "0.125"  # of the originals' rounds


class Ours:
    """A server of ours, with what a test asks an original too."""

    def __init__(self, machine, at, place, seeds=()):
        self.machine, self.at, self.id, self.killed = machine, at, place, False
        self.control, ready = machine.file("i3-control"), machine.file("i3-ready")
        for path in (self.control, ready):
            if os.path.exists(path):
                os.unlink(path)
        words = ["--listen", at, "--id", place, "--control", self.control, "--ready-file", ready]
        for seed in seeds:
            words += ["--seed", f"{seed}:5611"]
        self.process = machine.start([program("ocala"), "i3-server", *words], "i3-server.log")
        wait_until(lambda: os.path.exists(ready), 20, lambda: f"{machine.name} to serve: {self.process.log()}")

    def ask(self):
        done = self.machine.run([program("ocala"), "--socket", self.control, "--json", "i3"], check=True)
        return json.loads(done.stdout)

    def triggers(self):
        return self.ask()["triggers"]

    def knows(self):
        state = self.ask()
        return {node["at"].split(":")[0] for node in state["nodes"]} if state["settled"] else set()

    def log(self):
        return self.process.log()

    def kill(self):
        self.killed = True
        self.process.end(signal.SIGKILL)

    def check(self, odd=False):
        assert self.killed or self.process.running(), f"{self.machine.name} ended: {self.log()[-3000:]}"


class Net:
    def original(self, name, *seeds):
        return self.serve(name, OriginalServer(self.lab_machine(name), AT[name], PLACE[name], [AT[s] for s in seeds],
                                               "--period", PERIOD))

    def ours(self, name, *seeds):
        return self.serve(name, Ours(self.lab_machine(name), AT[name], PLACE[name], [AT[s] for s in seeds]))

    def serve(self, name, server):
        self.servers[name] = server
        return server

    def lab_machine(self, name):
        return next(machine for machine in self.lab.machines if machine.name == name)

    def client(self, machine, by, *options):
        client = OriginalClient(self.lab_machine(machine), [AT[by]], *options)
        self.clients.append(client)
        return client

    def living(self):
        return {name: server for name, server in self.servers.items() if not server.killed}

    def formed(self, limit=40):
        """Waits until every server that lives knows those and no others."""
        everybody = {server.at for server in self.living().values()}
        for name, server in self.living().items():
            wait_until(lambda: server.knows() == everybody - {server.at}, limit,
                       lambda: f"{name} to know the others, not {server.knows()}: {server.log()[-2000:]}")

    def id_of(self, name, to=None, among=None):
        """An identifier for which this server is responsible, in the ring of those that live, or of `among`."""
        ring = sorted((int(PLACE[other], 16), other) for other in among or self.living())
        while True:
            ident = identifier(self.dice, to)
            key = int.from_bytes(ident[:20], "big")
            if next((other for place, other in ring if place >= key), ring[0][1]) == name:
                return ident

    def check(self, odd=False):
        for peer in [*self.servers.values(), *self.clients]:
            peer.check(odd)

    def clear(self):
        for peer in [*self.servers.values(), *self.clients]:
            if peer.process.running():
                peer.process.end(signal.SIGKILL)
            if peer.process.popen.stdin:
                peer.process.popen.stdin.close()


@contextlib.contextmanager
def fixture():
    with Lab(machine_class=Host) as lab:
        machines = [lab.machine(name) for name in (*AT, "alice", "bob", "mallory")]
        lab.switch({machine: f"10.1.0.{11 + i}/24" for i, machine in enumerate(machines)})
        yield lab


@contextlib.contextmanager
def net_of(lab, seed):
    net = Net()
    net.lab, net.servers, net.clients, net.dice = lab, {}, [], random.Random(seed)
    try:
        yield net
        net.check()
    finally:
        net.clear()


@case
def original_clients_of_ours(lab):
    """a ring of three of ours; clients with the original's library: triggers, chains, anycast, removal, expiry"""
    with net_of(lab, 1) as net:
        net.ours("s1")
        net.ours("s2", "s1")
        net.ours("s3", "s1")
        net.formed()
        alice, bob, dead = net.client("alice", "s1"), net.client("bob", "s2", "--hurry", "0.2"), net.client("mallory", "s3")
        left = net.id_of("s2")
        dead.inserted(left)
        dead.kill()
        idents = [net.id_of(name) for name in net.servers]
        for ident in idents:
            bob.inserted(ident)
            alice.reaches(bob, ident, "straight")
        # Chains: to one that another server has, and from there on.
        for ident, home, name in zip(idents, net.servers, ("s2", "s3", "s1")):
            first = net.id_of(name, to=ident)
            bob.inserted(first, ident)
            second = net.id_of(home, to=first)
            bob.inserted(second, first)
            alice.reaches(bob, second, f"by-chain-{name}")
        # Anycast: the longest match, of what asks for 192 bits.
        near, far = net.client("bob", "s1"), net.client("bob", "s3")
        ident = net.id_of("s1")
        other = ident[:28] + bytes(b ^ 255 for b in ident[28:])
        near.say("prefix", ident.hex(), "192")
        far.say("prefix", other.hex(), "192")
        near.heard(f"inserted {ident.hex()}")
        far.heard(f"inserted {other.hex()}")
        alice.reaches(near, ident[:31] + b"\x55", "near")
        alice.reaches(far, other[:31] + b"\x55", "far")
        assert " near" not in far.log() and " far" not in near.log()
        bob.say("remove", idents[0].hex())
        alice.refused(idents[0], "removed")
        alice.refused(left, "expired", 60)


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


UNREACHABLE = "192.0.2.9"  # these machines have no way out: sending there is an error, and that ends an original
NOWHERE = [(UNREACHABLE, 9), ("255.255.255.255", 9), ("224.0.0.1", 9), ("0.0.0.0", 9), ("10.1.0.17", 0)]


def deadly_packets(ident, there, mallory, elsewhere):
    """Packets of i3 that kill the original that is responsible for `ident` (it is at `there`), or poison it, each as one of
    a client and as one from server to server."""
    sender, data = (wire.SENDER, wire.ip4(*mallory)), wire.DATA | wire.OPTIONS
    public = wire.Trigger(0, ident, 256, bytes(16), wire.ip4(*mallory), i3originals.KEY)
    insert = wire.INSERT, public._replace(nonce=wire.nonce_of(public.target))
    make = lambda flags, *options, stack=(ident,), payload=b"": wire.Packet(flags, stack, options, payload).bytes()
    whole = make(wire.OPTIONS, sender, insert)
    cut = 3 + 32
    packets = [
        make(wire.DATA, payload=bytes(200)), make(0, payload=bytes(200)),
        make(wire.OPTIONS, sender, insert, (wire.ASK, None)), make(wire.OPTIONS, sender, insert, insert),
        make(wire.OPTIONS, insert, sender, (wire.REMOVE, insert[1])),
        make(wire.OPTIONS, sender, (wire.ASK, None), stack=()),
        make(data, sender, (wire.LOG, None), payload=b"x"), make(data, sender, (wire.STAMP, None), payload=b"x"),
        make(wire.OPTIONS, sender, (wire.STAMP, None)), make(data, sender, (0x12, None), payload=b"x"),
        *(whole[:cut] + struct.pack("!H", size) + whole[cut + 2:] for size in (0, 1, 2, 9, 84, 86, 500, 65535)),
        *(whole[:size] for size in range(cut, len(whole), 5)),
    ]
    for target in [("stack", ()), ("ip6", ("2001:db8::1", 9)), ("ip6", ("::", 0)), *(wire.ip4(*at) for at in NOWHERE)]:
        nonce = bytes(16) if target == ("stack", ()) else wire.nonce_of(target)
        packets += [make(wire.OPTIONS, sender, (kind, public._replace(target=target, nonce=nonce)))
                    for kind in (wire.INSERT, wire.REMOVE, wire.CACHE, wire.FORCE, wire.CHALLENGE, wire.ACK, wire.FAILED)]
        packets.append(make(wire.OPTIONS, sender, (wire.CACHE, public._replace(id=elsewhere, target=target))))
        packets.append(make(data, sender, (wire.CACHE, public._replace(id=elsewhere, target=target)), payload=b"x"))
    for address in [("stack", (ident,)), ("ip6", ("2001:db8::1", 9)), *(wire.ip4(*at) for at in NOWHERE)]:
        packets += [make(wire.OPTIONS, (wire.SENDER, address), option) for option in (insert, (wire.ASK, None))]
        packets.append(make(data, (wire.SENDER, address), payload=b"x"))
    packets += [make(data, sender, payload=b"x"), make(data, payload=b"x")]
    first_hop = [bytes([p[0], p[1] | wire.FIRST_HOP]) + p[2:] for p in packets]
    return packets + first_hop


def deadly_messages(there, ident, packets):
    """Messages of the ring that kill an original, or make a node that believes them send such a one to it."""
    at = socket.inet_aton(there) + struct.pack("!H", 5611)
    names = [bytes([kind]) + place + at for kind in (1, 2, 3, 4, 5) for place in (ident[:20], bytes(20), b"\xff" * 20)]
    # Nobody but the original can know which addresses it cannot reach; who speaks as a server is asked nothing.
    far = socket.inet_aton(UNREACHABLE)
    routes = [b"\0" + ident[:20] + struct.pack("!H", len(p)) + p for p in packets if far not in p]
    return names + routes + [
        b"", b"\x0a", b"\xff" * 30, b"\1" + bytes(25), b"\3" + bytes(20), names[0] + b"x", routes[0] + b"x", routes[0][:-1],
        b"\6" + at + b"abcd", b"\7" + ident[:20] + at + b"abcd", b"\7" + bytes(20) + at + b"abcd", b"\x08" + at + b"abcd",
        b"\x09" + ident[:20] + at + b"\0", b"\x09" + ident[:20] + at + ident[:20] + at + b"\0"]


def blast(net, name, port, packets):
    """mallory sends all of them to a server, several times."""
    mallory = net.lab_machine("mallory")
    path = mallory.write("packets", "".join(packet.hex() + "\n" for packet in packets))
    with open(path) as lines:
        process = mallory.start([program("ocala-blast"), AT[name], port, "2", str(2 * len(packets))], stdin=lines)
    wait_until(lambda: not process.running(), 30, lambda: f"all to be sent: {process.log()}")


@case
def deadly_things_stay_with_us(lab):
    """a stranger sends one of ours everything that kills an original behind it, and noise: nothing of it is passed on"""
    with net_of(lab, 4) as net:
        ours = net.ours("s1")
        net.original("s3", "s1")
        net.formed()
        bob, alice = net.client("bob", "s1", "--hurry", "0.2"), net.client("alice", "s1")
        ident, near, elsewhere = net.id_of("s3"), net.id_of("s1"), net.id_of("s1")
        bob.inserted(ident)
        bob.inserted(near)
        chain = net.id_of("s3", to=elsewhere)  # what the original does with what it believes about `elsewhere`
        bob.inserted(chain, elsewhere)
        mallory = "10.1.0.17", 7777
        packets = deadly_packets(ident, AT["s3"], mallory, elsewhere)
        blast(net, "s1", "5610", packets)
        net.check()
        alice.send(chain, "by-chain")
        blast(net, "s1", "5611", deadly_messages(AT["s3"], ident, packets))
        net.check()
        noise = [net.dice.randbytes(net.dice.randrange(1, 200)) for _ in range(1000)]
        for packet in packets:
            changed = bytearray(packet)
            for _ in range(3):
                changed[net.dice.randrange(len(changed))] = net.dice.randrange(256)
            noise.append(bytes(changed))
        for port in ("5610", "5611"):
            blast(net, "s1", port, noise)
        for ident in (ident, near):
            alice.reaches(bob, ident, "still here")
        assert sum(ours.ask()["drops"].values()) > len(packets)


suite.main(__doc__, fixture)
