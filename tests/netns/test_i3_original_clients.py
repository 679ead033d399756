#!/usr/bin/python3
"""Clients of 2005 over servers of ours, and what kills an original behind one of them."""
import os
import socket
import struct

import i3originals
import suite
from i3originals import AT, fixture, net_of, picture, wire
from netlab import program, wait_until
from suite import case


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
def the_same_as_an_original(lab):
    """by dice: triggers, chains, stacks, matches of all lengths, a NAT; ours answers and delivers what an original does"""
    with net_of(lab, 5) as net:
        server = net.ours("s1")
        net.formed()
        wait_until(lambda: server.ask()["settled"], 20, "the server to be alone")
        for seed in range(1, 4):
            script = os.path.join(i3originals.MODELS, "i3_compare.py")
            done = net.lab_machine("alice").run([i3originals.PYTHON, script, server.at, str(seed), "150"], limit=120)
            assert done.stdout.startswith("the same"), done.stdout + done.stderr
        state = server.ask()
        assert state["counters"]["delivered"] > 25 and state["counters"]["inserted"] > 20, state


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


def deadly_messages(there, ident, near, packets):
    """Messages of the ring that kill an original, or make a node that believes them send such a one to it."""
    at = socket.inet_aton(there) + struct.pack("!H", 5611)
    names = [bytes([kind]) + place + at for kind in (1, 2, 3, 4, 5) for place in (ident[:20], bytes(20), b"\xff" * 20)]
    # Nobody but the original can know which addresses it cannot reach; who speaks as a server is asked nothing.
    far = socket.inet_aton(UNREACHABLE)
    routes = [b"\0" + ident[:20] + struct.pack("!H", len(p)) + p for p in packets if far not in p]
    # A reply to a port of the ring: ours answers for `near`.
    sender = wire.SENDER, wire.ip4(there, 5611)
    asks = [wire.Packet(wire.OPTIONS, [near], [sender, option]).bytes() for option in (
        (wire.ASK, None), (wire.INSERT, wire.Trigger(0, near, 256, bytes(16), wire.ip4(there, 5611), i3originals.KEY)))]
    asks.append(wire.Packet(wire.OPTIONS | wire.DATA, [near[:8] + ident[::-1][:24]], [sender], b"x").bytes())
    routes += [b"\0" + ask[3:23] + struct.pack("!H", len(ask)) + ask for ask in asks]
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
        blast(net, "s1", "5611", deadly_messages(AT["s3"], ident, near, packets))
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


suite.main(picture("ours; an original behind one of them"), fixture)
