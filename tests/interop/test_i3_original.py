#!/usr/bin/python3
"""The model of the original i3 is held against what was captured of the original, in vectors/i3.txt, and against how its
ring was seen to behave: what namespace tests learn by it is worth as much as this test.

Answers are compared byte for byte, but for stray memory: the nonce of CACHE_ADDR, its key when the trigger's target is a
stack, and the high half of the count in a stack address.
"""
import os
import unittest

import i3_original_wire as wire
from i3_original_chord import Chord
from i3_original_client import Client
from i3_original_server import Server
from i3_original_wire import Death, Packet, Trigger, ip4

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(os.environ.get("OCALA_VECTORS", os.path.join(HERE, "..", "vectors")), "i3.txt")
LOCAL = "127.0.0.1"
TS_AT = 0x000660b152da397f / 1_000_000  # when E24 was made


def vectors():
    with open(VECTORS) as f:
        rows = [line.rstrip("\n").split("|") for line in f if line[0] not in "#\n"]
    return {row[0]: bytes.fromhex(row[4]) for row in rows}


V = vectors()


def body(kind, data):
    """The body of one option of a packet; kinds of the client are known to both."""
    return wire.read(data).option(kind)


def plain(data):
    """A packet without what was stray memory in it; the same length.  What end hosts are given has no options."""
    if not data[1] & wire.OPTIONS:
        return data.hex()
    packet = wire.read(data)
    was_stack = any(kind in wire.WITH_TRIGGER and t.target[0] == "stack" for kind, t in packet.options)
    options = []
    for kind, what in packet.options:
        if kind in (wire.CACHE, wire.FORCE):
            what = what._replace(nonce=bytes(16), key=bytes(16) if was_stack else what.key)
        options.append((kind, what))
    packet.options = options
    assert len(packet.bytes()) == len(data)
    return packet.bytes().hex()


class Peer:
    """A server with what it sends, for the ports that the captures have."""

    def __init__(self, port, ident=1, ring_port=6510, **more):
        self.sent, self.ring, self.odd = [], [], []
        self.server = Server((LOCAL, port), ident, (LOCAL, ring_port), [(LOCAL, ring_port)],
                             lambda data, to: self.sent.append((data, to)),
                             lambda data, to: self.ring.append((data, to)), self.odd.append, **more)
        self.server.tick(1000.0)

    def hears(self, data, port=10001):
        self.server.i3_input(data, (LOCAL, port))
        return self.answers()

    def answers(self):
        sent, self.sent = self.sent, []
        return sent

    def with_trigger(self, ident, target, key=b"this is test key", prefix=256):
        self.server.store(Trigger(0, ident, prefix, bytes(16), target, key))
        return self


class Packets(unittest.TestCase):
    def test_every_captured_packet_is_read_and_written_again(self):
        for tag, data in V.items():
            if tag[0] == "E" and data[1] & wire.OPTIONS:
                self.assertEqual(len(wire.read(data).bytes()), len(data), tag)
                self.assertEqual(plain(wire.read(data).bytes()), plain(data), tag)

    def test_keyed_functions(self):
        for function, side, data, result in (
                (wire.short_hash, wire.LEFT, bytes(16), "68f91dcbfdfaa38c4e5db677450e5ffb"),
                (wire.short_hash, wire.RIGHT, bytes(16), "8ae6d04943c6ddada0cbc13d7195e41a"),
                (wire.short_hash, wire.LEFT, bytes(range(16)), "1bc5a61c7561e108dbde79b09ed2727b"),
                (wire.short_hash, wire.RIGHT, bytes(range(16)), "0b0b7ce303d29dc2c60e2fe63a035496"),
                (wire.long_hash, wire.LEFT, bytes(range(32)), "bd1c3758782e5090af4929689cfe487e"),
                (wire.long_hash, wire.RIGHT, bytes(range(32)), "7110d1cbd441b8d4694a2c4d06e89f1e"),
                (wire.short_hash, wire.LEFT, b"this is test key", "479f2dafb6db2fb673b18448bb611105")):
            self.assertEqual(function(side, data).hex(), result)


class OneServer(unittest.TestCase):
    def answer(self, peer, request, *expected, port=10001, to=None):
        answers = peer.hears(request, port)
        self.assertEqual([plain(data) for data, _ in answers], [plain(e) for e in expected])
        self.assertEqual([at for _, at in answers], [(LOCAL, to or port)] * len(expected))

    def test_a_trigger_to_an_address(self):
        peer = Peer(5610)
        self.answer(peer, V["E1"], V["E2"])
        self.answer(peer, V["E5"], wire.Packet(wire.OPTIONS, (), [(wire.NOT_PRESENT, V["E5"][3:35])]).bytes())
        self.answer(peer, V["E3"], V["E4"])
        self.answer(peer, V["E5"], V["E6"])
        self.answer(peer, V["E9"], V["E10"])
        self.answer(peer, V["E15"], V["E4"])
        self.assertEqual(peer.server.triggers(), 1)
        self.answer(peer, V["E16"])
        self.assertEqual(peer.server.triggers(), 0)

    def test_a_trigger_to_a_stack(self):
        self.answer(Peer(5610), V["E7"], V["E8"])
        challenge = body(wire.CHALLENGE, V["E8"])
        first, second = V["E18"][3:35], V["E18"][35:67]
        peer = Peer(5710).with_trigger(first, ip4(LOCAL, 10107))
        insert = wire.read(V["E17"])
        kind, trigger = insert.options[1]
        insert.options[1] = kind, trigger._replace(nonce=wire.nonce_of(trigger.target))
        (reply, at), = peer.hears(insert.bytes(), 10191)
        self.assertEqual((body(wire.ACK, reply).target, at), (("stack", (first, second)), (LOCAL, 10191)))
        data = Packet(wire.DATA | wire.OPTIONS | wire.FIRST_HOP, [trigger.id], [], bytes(4))
        self.assertEqual(peer.hears(data.bytes()), [(V["E18"], (LOCAL, 10107))])
        self.assertEqual(challenge.nonce, challenge.target[1][0][:16])

    def test_nobody_there(self):
        self.answer(Peer(5610), V["E11"], V["E12"], V["E13"])

    def test_a_constraint_that_fails(self):
        trigger = body(wire.FAILED, V["E14"])
        request = Packet(wire.OPTIONS | wire.FIRST_HOP, [trigger.id], [(wire.SENDER, ip4(LOCAL, 10001)), (wire.INSERT, trigger)])
        self.answer(Peer(5610), request.bytes(), V["E14"])

    def test_a_target_of_ipv6(self):
        trigger = body(wire.CHALLENGE, V["E25"])._replace(nonce=bytes(16))
        request = Packet(wire.OPTIONS, [trigger.id], [(wire.SENDER, ip4(LOCAL, 12001)), (wire.INSERT, trigger)])
        self.answer(Peer(5620), request.bytes(), V["E25"], port=12003, to=12001)

    def test_a_time_stamp(self):
        peer = Peer(5620)
        peer.server.tick(TS_AT)
        peer.with_trigger(V["E23"][3:35], ip4(LOCAL, 12001))
        (data, at), = peer.hears(V["E23"], 12003)
        self.assertEqual((data[:-8].hex(), at), (V["E24"][:-8].hex(), (LOCAL, 12001)))
        self.assertLess(abs(int.from_bytes(data[-8:-4], "big") - int.from_bytes(V["E24"][-8:-4], "big")), 2)
        self.assertEqual(data[-4:], V["E24"][-4:])

    def test_expiry(self):
        peer = Peer(5610)
        peer.hears(V["E3"])
        peer.server.tick(1030.9)
        self.answer(peer, V["E5"], V["E6"])
        peer.server.tick(1031.0)
        self.assertEqual(peer.hears(V["E5"])[0][0][5], wire.NOT_PRESENT)

    def test_the_match_is_as_long_as_the_first_trigger_asks(self):
        ident = V["E5"][3:35]
        for bits, good in ((223, False), (224, True)):
            other = (int.from_bytes(ident, "big") ^ 1 << (255 - bits)).to_bytes(32, "big")
            peer = Peer(5610).with_trigger(other, ip4(LOCAL, 10001), prefix=224)
            self.assertEqual(peer.hears(V["E5"]) == [(V["E6"], (LOCAL, 10001))], good, bits)

    def test_push_back(self):
        """The first packet goes on, the second takes the trigger along, the third finds none."""
        peer = Peer(5610)
        ident, target = V["E7"][3:35], wire.read(V["E7"]).option(wire.INSERT).target
        peer.with_trigger(ident, target)
        data = Packet(wire.DATA | wire.OPTIONS, [ident], [(wire.SENDER, ip4(LOCAL, 10001))], b"x").bytes()
        (absent, at), = peer.hears(data)
        self.assertEqual((wire.read(absent).option(wire.NOT_PRESENT), at), (target[1][0], (LOCAL, 5610)))
        peer.hears(absent, 5610)
        self.assertEqual(peer.hears(data), [])
        (absent, at), = peer.hears(data)
        self.assertEqual((wire.read(absent).option(wire.NOT_PRESENT), at), (ident, (LOCAL, 10001)))

    def test_replies_are_repeated(self):
        """Two INSERTs get three replies, [SENDER, REQUEST_FOR_CACHE, INSERT] gets 08, 08, 04."""
        packet = wire.read(V["E3"])
        sender, insert = packet.options
        packet.options = [sender, insert, insert]
        self.assertEqual(len(Peer(5610, lucky=True).hears(packet.bytes())), 3)
        packet.options = [sender, (wire.ASK, None), insert]
        self.assertEqual([data[5] for data, _ in Peer(5610).hears(packet.bytes())], [wire.CACHE, wire.CACHE, wire.ACK])
        packet.options = [insert, sender]
        self.assertEqual([data[5] for data, _ in Peer(5610).hears(packet.bytes())], [wire.ACK])
        packet = wire.read(V["E3"])
        packet.flags, packet.payload = packet.flags | wire.DATA, b"hello-A"
        self.assertEqual([data[1] for data, _ in Peer(5610).hears(packet.bytes())], [wire.OPTIONS, wire.DATA])

    def test_a_stack_that_would_be_too_deep(self):
        ident, two = V["E17"][3:35], wire.read(V["E17"]).option(wire.INSERT).target
        peer = Peer(5610).with_trigger(ident, two)
        for depth, answers in ((14, 1), (15, 0)):
            data = Packet(wire.DATA | wire.OPTIONS, [ident] * depth, [(wire.SENDER, ip4(LOCAL, 10001))], b"x")
            self.assertEqual(len(peer.hears(data.bytes())), answers, depth)


class ARing(unittest.TestCase):
    def ringed(self, port, *nodes):
        """A server with the nodes, which does not own what these tests are about unless all of them are nobody's."""
        peer = Peer(port, ident=0x20000000000000000000000000000000000000a0)
        for ident, ring_port in nodes:
            peer.server.chord.insert(ident, (LOCAL, ring_port))
        return peer

    FOUR = ((0x60000000000000000000000000000000000000b1, 6511), (0xa0000000000000000000000000000000000000c2, 6512),
            (0xe0000000000000000000000000000000000000d3, 6513))

    def test_an_insert_is_routed(self):
        peer = self.ringed(5710, *self.FOUR)
        packet = wire.read(V["C1"][23:])
        packet.flags |= wire.FIRST_HOP
        self.assertEqual(peer.hears(packet.bytes(), 10210), [])
        (data, at), = peer.ring
        # The next on the way, as the capture has it, is the first node of which the identifier is not past.
        self.assertEqual((plain(data[23:]), data[:23], at), (plain(V["C1"][23:]), V["C1"][:23], (LOCAL, 6511)))

    def test_data_by_the_ring_then_straight(self):
        peer = self.ringed(5710, *self.FOUR[1:2])
        upstream = bytes.fromhex("20" + "00" * 18 + "a0") + bytes(12)
        ident = V["C2"][26 - 23 + 23:58]
        peer.with_trigger(upstream, ("stack", (ident,)))
        say = lambda payload: peer.hears(Packet(wire.DATA | wire.OPTIONS, [upstream], [], payload).bytes())
        self.assertEqual(say(bytes(4)), [])
        self.assertEqual(peer.ring[0][0].hex(), V["C2"].hex())
        peer.hears(V["E20"], 5712)
        self.assertEqual(say(bytes([0, 0, 0, 1])), [(V["E19"], (LOCAL, 5712))])
        peer.server.tick(1018.0)  # old: asked again, once a second
        self.assertTrue(wire.read(say(b"x")[0][0]).has(wire.ASK))
        self.assertFalse(wire.read(say(b"x")[0][0]).has(wire.ASK))
        peer.server.tick(1021.0)
        self.assertEqual(say(b"x"), [])

    def test_the_responsible_server_says_so(self):
        owner = Peer(5712)
        owner.server.ring_input(V["C2"])
        (cache, at), (absent, also) = owner.answers()
        self.assertEqual((plain(cache), at, also), (plain(V["E20"]), (LOCAL, 5710), (LOCAL, 5710)))
        self.assertEqual(absent[5], wire.NOT_PRESENT)

    def test_a_client_behind_a_nat(self):
        first, owner = self.ringed(5710, *self.FOUR), Peer(5713)
        challenge = body(wire.CHALLENGE, V["E21"])
        private = ip4("10.9.9.9", 7777)
        trigger = challenge._replace(nonce=bytes(range(16)))
        request = Packet(wire.OPTIONS | wire.FIRST_HOP, [trigger.id], [(wire.SENDER, private), (wire.INSERT, trigger)])
        self.assertEqual(first.hears(request.bytes(), 13001), [])
        self.assertEqual(first.ring[0][0].hex(), V["E22"].hex())
        owner.server.ring_input(first.ring[0][0])
        (data, at), = owner.answers()
        self.assertEqual(at, (LOCAL, 5710))
        (data, at), = first.hears(data, 5713)
        self.assertEqual((plain(data), at), (plain(V["E21"]), (LOCAL, 13001)))
        # Straight to the owner, which sees the real address itself.
        request.options[1] = wire.INSERT, body(wire.CHALLENGE, data)
        (data, at), = owner.hears(request.bytes(), 13001)
        self.assertEqual((body(wire.ACK, data).target, at), (private, (LOCAL, 13001)))
        self.assertEqual(owner.server.match(trigger.id)[0].target, ip4(LOCAL, 13001))

    def test_messages(self):
        node = self.ringed(5710, *self.FOUR)
        input_at = lambda data: node.ring.clear() or node.server.chord.input(data, 0.0) or node.ring[:]
        self.assertEqual(input_at(V["C10"]), [(V["C11"], (LOCAL, 6540))])
        self.assertEqual(input_at(V["C8"]), [(V["C9"], (LOCAL, 6511))])
        self.assertEqual(input_at(V["C3"]), [])  # names itself
        self.assertEqual(input_at(V["C4"]), [])
        pair = self.ringed(5710)
        for tag, expected in (("C5", (V["C6"], (LOCAL, 6511))), ("C7", None)):
            pair.ring.clear()
            pair.server.chord.input(V[tag], 0.0)
            self.assertEqual(pair.ring, [expected] if expected else [], tag)
        alone = self.ringed(5710)
        alone.server.chord.round(0.0)
        self.assertEqual(alone.ring, [(V["C3"], (LOCAL, 6510))])
        alone.server.chord.input(bytes([1]) + bytes(20) + bytes([127, 0, 0, 1, 0x19, 0x6f]), 0.0)
        self.assertEqual(alone.ring[-1], (V["C4"], (LOCAL, 6511)))

    def test_a_round(self):
        node = self.ringed(5710, *self.FOUR)
        node.server.chord.round(1443.100169)
        kinds = [data[0] for data, _ in node.ring]
        self.assertEqual(kinds, [3, 1, 1, 6])  # each second one STAB, two FS, one PING

    def test_a_dead_node_comes_back(self):
        """Seen on a ring of four: dropped, a second later learned again from others, dropped eight seconds after the
        first time, and so on; gone after 61 to 65 s."""
        nodes, queue, dead = {}, [], (LOCAL, 6512)
        for number, port in enumerate(range(6510, 6514)):
            nodes[LOCAL, port] = Chord((0x20 + 0x40 * number) << 152, (LOCAL, port), [(LOCAL, 6510)],
                                       lambda data, at: queue.append((data, at)), None)

        def second(now):
            for chord in list(nodes.values()):
                chord.round(now)
                while queue:
                    data, at = queue.pop(0)
                    if at in nodes:
                        nodes[at].input(data, now)
        for now in range(20):
            second(float(now))
        self.assertTrue(all(len(chord.nodes) == 3 for chord in nodes.values()))
        del nodes[dead]
        knows = []
        for now in range(20, 120):
            second(float(now))
            knows.append([any(node.at == dead for node in chord.nodes) for chord in nodes.values()])
        absent = [t for t, who in enumerate(knows) if not who[1]]
        self.assertTrue(5 <= absent[0] <= 13, absent)
        self.assertEqual([t - absent[0] for t in absent[:3]], [0, 8, 16])
        last = max(t for t, who in enumerate(knows) if any(who))
        self.assertTrue(50 <= last <= 70, last)


class Deaths(unittest.TestCase):
    """Each thing that the original died of."""

    def dies(self, words, data, hears=None):
        with self.assertRaisesRegex(Death, words):
            (hears or Peer(5610).hears)(data)

    def options(self, *options, flags=wire.OPTIONS, stack=(V["E5"][3:35],), payload=b""):
        return Packet(flags, stack, options, payload).bytes()

    SENDER = wire.SENDER, ip4(LOCAL, 10001)
    INSERT = wire.INSERT, body(wire.INSERT, V["E3"])

    def test_of_a_server(self):
        ident = V["E5"][3:35]
        self.dies("no option list", bytes([0x10, 0x50, 1]) + ident + bytes(33))
        self.dies("no option list", bytes([0x10, 0x10, 0]) + bytes(33))
        self.assertEqual(Peer(5610).hears(bytes([0x10, 0x50, 1]) + ident + bytes(32)), [])
        for sender in (("ip6", ("::1", 9)), ("stack", (ident,))):
            self.dies("can only send to IPv4", self.options((wire.SENDER, sender), self.INSERT))
        self.dies("behind an INSERT", self.options(self.SENDER, self.INSERT, (wire.ASK, None)))
        self.dies("behind an INSERT", self.options(self.SENDER, self.INSERT, self.INSERT))
        self.dies("empty stack", self.options(self.SENDER, (wire.ASK, None), stack=()))
        empty = self.INSERT[1]._replace(target=("stack", ()))
        self.dies("empty stack", self.options(self.SENDER, (wire.INSERT, empty)))
        whole = self.options(self.SENDER, self.INSERT)
        self.dies("longer than the datagram", whole[:-1])
        self.dies("shorter than its own", bytes([0x10, 0x20, 1]) + ident + bytes(2))
        for kind in (wire.LOG, wire.STAMP):
            self.dies("96 bytes", self.options((kind, None), flags=0x30, payload=bytes(96)))
        circle = Peer(5610).with_trigger(ident, ("stack", (ident,)))
        self.dies("circle", self.options(flags=0x30), circle.hears)
        self.assertEqual(Peer(5610).hears(self.options((0x12, None))), [])

    def test_of_its_ring(self):
        hears = lambda data: Peer(5610).server.ring_input(data)
        own = bytes(20) + bytes([127, 0, 0, 1, 0x19, 0x6e])
        for kind in (3, 5):
            self.dies("own address", bytes([kind]) + own, hears)
        self.dies("own address", b"\7" + own + bytes(4), hears)
        for kind in (2, 4):
            hears(bytes([kind]) + own)
        self.dies("unknown type", b"\12", hears)
        self.dies("empty", b"", hears)
        self.dies("26 bytes", b"\1" + bytes(25), hears)
        self.dies("ROUTE", bytes(23) + b"x", hears)

    def test_of_a_client(self):
        hears = lambda data: AClient.client()[0].input(data)
        for kind in (wire.INSERT, wire.REMOVE, wire.ASK, wire.LOG):
            what = self.INSERT[1] if kind in wire.WITH_TRIGGER else None
            self.dies("exits", self.options((kind, what)), hears)
        self.dies("exits", bytes.fromhex("10200000034f"), hears)
        for kind in (wire.FAILED, wire.BROKEN):
            self.dies("does not have", self.options((kind, self.INSERT[1])), hears)
        self.dies("one byte", b"\x10", hears)
        self.dies("without end", bytes.fromhex("1020000000"), hears)
        for harmless in (b"", b"\x20" * 9, V["E2"], V["E4"]):
            hears(harmless)


class AClient(unittest.TestCase):
    @staticmethod
    def client(servers=((LOCAL, 5610),)):
        sent, events = [], []
        client = Client((LOCAL, 10001), servers, lambda data, to: sent.append((data, to)), events.append)
        client.tick(1000.0)
        return client, sent, events

    def bound(self):
        client, sent, events = self.client()
        trigger = body(wire.INSERT, V["E1"])
        client.insert(trigger.id, key=trigger.key)
        return client, sent, events

    def test_it_says_what_the_original_said(self):
        client, sent, events = self.bound()
        nonce = slice(81, 97)  # of the first INSERT: stray memory
        self.assertEqual((sent[0][0][:nonce.start], sent[0][0][nonce.stop:]), (V["E1"][:nonce.start], V["E1"][nonce.stop:]))
        client.input(V["E2"])
        self.assertEqual(sent[1:], [(V["E3"], (LOCAL, 5610))])
        client.input(V["E4"])
        ident = V["E1"][3:35]
        self.assertEqual(events, [f"inserted {ident.hex()}"])
        client.data([ident], b"hello-A")
        self.assertEqual(sent[2][0], V["E5"])
        client.input(V["E6"])
        self.assertEqual(events[1:], [f"got {ident.hex()} hello-A"])
        client.data([V["E11"][3:35]], b"nobody-here")
        self.assertEqual(sent[3][0], V["E11"])
        client.input(V["E12"])
        client.input(V["E13"])
        self.assertEqual(events[2:], [f"absent {'ee' * 32}"])
        client.tick(1021.0)
        self.assertEqual(sent[4][0], V["E15"])
        client.remove(ident)
        self.assertEqual(sent[5][0], V["E16"])

    def test_when_it_inserts_again(self):
        client, sent, _ = self.bound()
        times = []
        for tenth in range(10000, 10500):
            before = len(sent)
            client.tick(tenth / 10)
            times += [tenth / 10 - 1000] * (len(sent) - before)
        self.assertEqual(times[:6], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
        self.assertTrue(12 + 13 <= times[6] <= 14 + 18.1, times)

    def test_the_challenge_is_answered_where_the_insert_went(self):
        client, sent, _ = self.client([(LOCAL, 5699)])
        trigger = body(wire.INSERT, V["E1"])
        client.insert(trigger.id, key=trigger.key)
        client.input(V["E2"])
        self.assertEqual([to for _, to in sent], [(LOCAL, 5699)] * 2)
        client.data([trigger.id], b"x")
        self.assertEqual(sent[2][1], (LOCAL, 5610))
        forced, sent, _ = self.client([(LOCAL, 5699)])
        forced.at = "10.9.9.9", 7777
        trigger = body(wire.CHALLENGE, V["E21"])
        forced.insert(trigger.id)
        forced.input(V["E21"])
        self.assertEqual([to for _, to in sent], [(LOCAL, 5699), (LOCAL, 5713)])

    def test_a_server_that_is_silent(self):
        client, sent, _ = self.client([(LOCAL, 5610), (LOCAL, 5611)])
        client.input(V["E12"])
        ident = V["E11"][3:35]
        for at, ask in ((1023, False), (1024, True), (1025, False), (1026, True), (1028, True), (1029.9, False)):
            client.tick(at)
            client.data([ident], b"x")
            self.assertEqual((wire.read(sent[-1][0]).has(wire.ASK), sent[-1][1]), (ask, (LOCAL, 5610)), at)
        client.tick(1030)
        client.data([ident], b"x")
        self.assertEqual((client.down, client.up), ([(LOCAL, 5610)], [(LOCAL, 5611)]))


if __name__ == "__main__":
    unittest.main()
