#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: small inputs that reach every part of a parser.

Run it after adding seeds, or after changing what they are made of (`examples/`, `tests/vectors/`); the files are committed, so
that the tests need no Python.  With --check it writes nothing and says which files are not what it would write.
"""
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
SEEDS = {}


def seed(target, name, data):
    SEEDS.setdefault(target, {})[name] = data


def noise():
    vectors = json.loads((HERE.parent / "vectors" / "noise.json").read_text())["vectors"]
    patterns = ["IK", "XX", "IKpsk2", "XXpsk3"]
    for vector in vectors:
        _, pattern, _, cipher, _ = vector["protocol_name"].split("_")
        choice = patterns.index(pattern) | (4 if cipher == "ChaChaPoly" else 0)
        for index in range(2 if pattern.startswith("IK") else 3):
            name = f"{pattern}-{cipher}-{index + 1}"
            message = bytes.fromhex(vector["messages"][index]["ciphertext"])
            # Only the first message can be read as it is: later ones hang on the payloads before.
            if index == 0:
                seed("noise", name, bytes([choice]) + message)
            seed("noise", name + "-honest", bytes([choice | index << 3 | 0x20]) + bytes(4))
    seed("noise", "low-order", bytes([1]) + bytes(32))


def mtu():
    """mtu, most, first, round trip; then steps: time, an answer, a refusal with a guess, a limit."""
    def begin(mtu, most, first):
        return struct.pack(">HHHB", mtu - 128, most - mtu, first - mtu, 20)

    def wait(ms):
        return struct.pack(">BH", 0, ms)

    witness, probe = struct.pack(">BH", 1, 0), struct.pack(">BH", 1, 1)
    seed("mtu", "fits", begin(1472, 1472, 1472) + wait(20) + probe)
    seed("mtu", "hole", begin(1472, 1472, 1472) + (wait(20) + witness + wait(60)) * 9 + (wait(20) + probe) * 9)
    seed("mtu", "dead", begin(1472, 1472, 1472) + wait(4000) * 9)
    seed("mtu", "raise", begin(1400, 8972, 1404) + (wait(20) + probe) * 3)
    seed("mtu", "refused", begin(1472, 1472, 1472) + wait(1) + struct.pack(">BHH", 2, 1471, 1292) + (wait(20) + probe) * 9)
    seed("mtu", "told", begin(1472, 9000, 1472) + struct.pack(">BH", 3, 1300) + (wait(20) + probe) * 9)


def path():
    def name(text):
        return bytes([len(text)]) + text.encode()

    def chain(*names):
        return bytes([len(names)]) + b"".join(map(name, names))

    def blob(data):
        return struct.pack(">H", len(data)) + data

    noise = bytes(range(40))
    ident = b"\xff" + bytes(15)
    around = b"\xc1\x01\x01\x01" + struct.pack(">I", 0x12345670)
    clear_open = around + blob(bytes(480 - 10 - 32)) + b"\xff" + bytes(31)
    accept = b"\xc2\x01\0\0" + ident + struct.pack(">I", 0x12345670) + blob(noise) + bytes(16)
    confirm = b"\xc3\x01\0\0" + ident + blob(noise)
    cookie = b"\xc4\x01\0\0" + ident + bytes(24 + 32)
    refuse = b"\xc5\x01\x02\0" + ident
    record = b"\xc0\0\x10\0" + b"\xff\0\0\x01" + struct.pack(">Q", 5) + bytes(20)
    error = b"\xc6\x01\0\0" + record[:16] + bytes(16)
    opening = (ident + struct.pack(">IHB", 0x12345670, 1400, 1) + b"\x01" + bytes(32) +
               chain("gate.east.ip", "beta.west.ip") + chain("alpha.east.ip") + blob(noise))
    own = (b"\x01" * 16 + struct.pack(">IHB", 0x12345670, 1400, 0) + b"\0" +
           chain("gate.east.ip") + chain("alpha.east.ip") + blob(noise))
    beyond = (b"\x02" * 16 + struct.pack(">IHB", 0x12345670, 1400, 1) + b"\0" +
              chain("gate.east.ip", "nobody.west.ip") + chain("alpha.east.ip") + blob(noise))
    accepted = ident + struct.pack(">IH", 0x12345670, 1400) + b"\x01" + bytes(32) + blob(noise)

    for number, data in enumerate([clear_open, accept, confirm, cookie, refuse]):
        seed("path_wire", f"clear-{number}", bytes([0 if number == 0 else 1]) + data)
    seed("path_wire", "payload", b"\x02\x06\x02\0" + bytes(4) + name("alpha.east.ip"))
    seed("path_wire", "open", b"\x03" + opening)
    seed("path_wire", "accept", b"\x04" + accepted)

    def say(how, data):
        return bytes([how]) + struct.pack(">H", len(data)) + data

    seed("path", "clear", b"".join(say(2, m) for m in (record, error, refuse, confirm, cookie)))
    seed("path", "accept", say(0, accept))
    seed("path", "open-far", say(4, b"\x03" + beyond))
    seed("path", "open-again", say(4, b"\x03" + opening) + say(5, b"\x03" + opening))
    seed("path", "open-own", say(4, b"\x03" + own))
    seed("path", "accepts", say(5, b"\x04" + accepted) + say(4, b"\x05" + ident + blob(noise)))
    seed("path", "refuse", say(5, b"\x06" + ident + b"\x05" + blob(b"no such host")))
    seed("path", "labels", b"".join(say(4, bytes([kind]) + b"\xff\0\0\0" + b"\x05\0")
                                    for kind in (13, 12, 8)))
    seed("path", "ends", say(6, b"\x01\0\0\0\x01") + say(7, b"\x02\0\0\0\x01") + say(6, b"\x0f") +
         say(7, b"\x0f") + say(6, b"\x09\x01" + blob(noise)) + say(7, b"\x0a\x01" + blob(noise)) +
         say(6, b"\x0b\x01") + say(6, b"\x0e abc") + say(6, b"\x07 enough"))
    seed("path", "module", say(4, b"\x0e abc") + say(5, b"\x07 closed"))


def pem():
    def block(kind, *lines):
        text = f"-----BEGIN {kind}-----\n" + "".join(f"{line}\n" for line in lines)
        return (text + f"-----END {kind}-----\n").encode()

    key = "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy"
    seed("pem", "ed25519", block("PRIVATE KEY", key))
    seed("pem", "two", block("PRIVATE KEY", key) * 2)
    seed("pem", "parameters", block(
        "PRIVATE KEY", "MDACAQAwBwYDK2VwBQAEIgQgG+u5i9KEl6O01okEwMHNHP17ZcCkno41oVzsgjUwcrI="))
    seed("pem", "x25519", block(
        "PRIVATE KEY", "MC4CAQAwBQYDK2VuBCIEILhrurWqkz12+d6NghQOLkFgV9ZvTVuGeQ93dgpMIWJg"))
    seed("pem", "ec", block(
        "PRIVATE KEY", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKFos6EwddiYp0k7K",
        "2gFzUn5E2VYnq64+4pa0dvPxiJqhRANCAASRVMHgljMCFWPs5wJ6U3Yo27v5mXlC",
        "ndwPsfTGOQ4wBcyQO8er7YhBByCCHzC4WXLkSxAfFNxSFY6cuuidfmZu"))
    seed("pem", "encrypted", block("ENCRYPTED PRIVATE KEY", "MIGbMFcGCSqGSIb3DQEFDTBKMCk="))
    seed("pem", "header", block(
        "PRIVATE KEY", "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,00112233", "", key))
    seed("pem", "public", block(
        "PUBLIC KEY", "MCowBQYDK2VwAyEAlN97pFO7KqcJY0jf9oITVEqJHrO4UCOrPh3o3h/BmYU="))
    seed("pem", "key-text", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


def record():
    gcm = ("c0011007abcde1230000000001020304"
           "674b60d78593e73fdbf27cd933ee032516929ae30b1e7a7cebbd0d22683d7368ea2f5b1f")
    chacha = ("c0011007abcde1230000000001020304"
              "dfd1c7337d9308d215861854488a91ee4e938ef8c233bd09ca140d65a18ace0f7f7b3102")
    seed("record", "gcm", b"\0" + bytes.fromhex(gcm))
    seed("record", "chacha", b"\1" + bytes.fromhex(chacha))
    seed("record", "no-hops", b"\0" + bytes.fromhex(gcm[:4] + "00" + gcm[6:]))
    seed("record", "short", b"\0" + bytes.fromhex(gcm)[:31])
    seed("record", "other-type", b"\0\xc1" + bytes(40))

    def story(name, moves):
        seed("record", "story-" + name, b"\2" + b"".join((m & 0xFFFF).to_bytes(2, "big") for m in moves))

    story("in-order", [2] * 40)
    story("twice", [2, 0, 2, 0, -2, 2, 2])
    story("edges", [0, 16382, -16382, 2, -16384, 16384, 130, -130, 126, 2, 2])
    story("leap", [2, 32766, -2, 32767, -2, -16000, 32767, 2, -4] + [32767] * 6)


def internet_sum(data):
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


def u16(number):
    return number.to_bytes(2, "big")


ALPHA4, BETA4 = bytes([198, 18, 0, 1]), bytes([198, 18, 7, 9])
ALPHA6, BETA6 = bytes.fromhex("fd010203000000000000000000000001"), bytes.fromhex("fd0102030000000000000000000000ff")


def ip4(protocol, payload, options=b"", fragment=0, ttl=64, tos=0):
    size = 20 + len(options)
    head = bytes([0x40 | size // 4, tos]) + u16(size + len(payload)) + b"\x12\x34" + u16(fragment)
    head += bytes([ttl, protocol, 0, 0]) + ALPHA4 + BETA4 + options
    return head[:10] + internet_sum(head) + head[12:] + payload


def ip6(protocol, payload, extensions=b"", first=None, hops=64):
    head = b"\x60\0\0\0" + u16(len(extensions) + len(payload))
    return head + bytes([protocol if first is None else first, hops]) + ALPHA6 + BETA6 + extensions + payload


def summed(version, protocol, at, segment):
    """The segment with its sum filled in at this offset."""
    pseudo = ALPHA4 + BETA4 if version == 4 else ALPHA6 + BETA6
    pseudo += bytes([0, protocol]) + u16(len(segment))
    return segment[:at] + internet_sum(pseudo + segment) + segment[at + 2:]


def tcp(version, options=b"", flags=0x18, data=b"hello"):
    size = 20 + len(options)
    head = u16(40000) + u16(443) + bytes(8) + bytes([size // 4 << 4, flags]) + u16(65535) + bytes(4)
    return summed(version, 6, 16, head + options + data)


def stream(kind, size, count, fragment=0x4000):
    """Packets that follow each other in a flow, as one would be cut into them."""
    version, packets = int(kind[3]), []
    for number in range(count):
        data = bytes((number * size + i) % 251 for i in range(size))
        if kind[:3] == "udp":
            segment, protocol = udp(version, data), 17
        else:
            segment, protocol = tcp(version, flags=0x10, data=data), 6
            segment = summed(6 if version == 6 else 4, 6, 16,
                             segment[:4] + (number * size).to_bytes(4, "big") + segment[8:16] + b"\0\0" + segment[18:])
        if version == 6:
            packets.append(ip6(protocol, segment))
            continue
        packet = ip4(protocol, segment, fragment=fragment)
        head = packet[:4] + u16(100 + number) + packet[6:10] + b"\0\0" + packet[12:20]
        packets.append(head[:10] + internet_sum(head) + head[12:] + packet[20:])
    return packets


def udp(version, data=b"hello", summed_up=True):
    segment = u16(40000) + u16(53) + u16(8 + len(data)) + bytes(2) + data
    return summed(version, 17, 6, segment) if summed_up else segment


def icmp4(kind, code, rest):
    body = bytes([kind, code, 0, 0]) + rest
    return body[:2] + internet_sum(body) + body[4:]


def icmp6(kind, code, rest):
    return summed(6, 58, 2, bytes([kind, code, 0, 0]) + rest)


def ip():
    mss = bytes([2, 4]) + u16(1460) + bytes([1, 1, 4, 2])

    def packet(name, data, choice=0):
        seed("ip", name, bytes([choice]) + data)

    packet("tcp4", ip4(6, tcp(4)), 4)
    packet("tcp6", ip6(6, tcp(6)), 4)
    packet("syn4", ip4(6, tcp(4, mss, 0x02, b"")))
    packet("syn6", ip6(6, tcp(6, mss, 0x02, b"")))
    packet("udp4", ip4(17, udp(4), tos=2), 3)
    packet("udp4-no-sum", ip4(17, udp(4, summed_up=False)))
    packet("udp6", ip6(17, udp(6)), 4)
    packet("fragment4", ip4(17, udp(4, bytes(24))[:24], fragment=0x2000))
    packet("later-fragment4", ip4(17, bytes(16), fragment=0x0003))
    packet("options4", ip4(17, udp(4), options=bytes([7, 7, 4, 0, 0, 0, 0, 0])))
    packet("source-route4", ip4(17, udp(4), options=bytes([131, 7, 4, 1, 2, 3, 4, 0])))
    packet("ttl4", ip4(17, udp(4), ttl=1))
    packet("echo4", ip4(1, icmp4(8, 0, bytes([0, 9, 0, 1]) + b"ping")))
    packet("echo6", ip6(58, icmp6(128, 0, bytes([0, 9, 0, 1]) + b"ping")))
    packet("unreachable4", ip4(1, icmp4(3, 3, bytes(4) + ip4(17, udp(4))[:28])))
    packet("too-big4", ip4(1, icmp4(3, 4, b"\0\0\5\0" + ip4(6, tcp(4))[:28])))
    packet("too-big6", ip6(58, icmp6(2, 0, b"\0\0\5\0" + ip6(6, tcp(6)))))
    packet("cut-quote4", ip4(1, icmp4(11, 0, bytes(4) + ip4(17, udp(4))[:20])))
    packet("redirect4", ip4(1, icmp4(5, 1, bytes(4) + ip4(17, udp(4)))))
    packet("neighbour6", ip6(58, icmp6(135, 0, bytes(4) + BETA6), hops=255))
    hop_by_hop, destination = bytes([60, 0, 1, 4, 0, 0, 0, 0]), bytes([17, 0, 1, 4, 0, 0, 0, 0])
    packet("extensions6", ip6(17, udp(6), hop_by_hop + destination, 0))
    packet("routing6", ip6(17, udp(6), bytes([17, 0, 0, 1, 0, 0, 0, 0]), 43))
    packet("fragment6", ip6(17, udp(6), bytes([17, 0, 0, 1, 0, 0, 0, 7]), 44))
    packet("later-fragment6", ip6(17, bytes(16), bytes([17, 0, 0, 8, 0, 0, 0, 7]), 44))


def recipe():
    def routed(destination, ttl=5, rest=b"\xc0" + bytes(40)):
        body = bytes([destination, 0, 0, 0]) + b"from" + rest
        return bytes([0x11, ttl]) + u16(len(body)) + body

    for name, number in (("us", 0), ("in-place", 1), ("wrapped", 2), ("refused", 3), ("punted", 4), ("nowhere", 5)):
        seed("recipe", "routed-" + name, routed(number))
    seed("recipe", "routed-last-hop", routed(1, ttl=1))
    seed("recipe", "routed-empty", routed(0, rest=b""))
    seed("recipe", "nested", bytes([0x22, 9, 9, 0x41]) + bytes(range(50)) + b"message")
    seed("recipe", "nested-other", bytes([0x22, 9, 9, 0x42]) + bytes(60))
    sealed = bytes([0x33]) + b"\xc0" + bytes(range(20))
    seed("recipe", "sealed", sealed + bytes([sum(sealed) & 0xFF]))
    seed("recipe", "record", b"\xc0" + bytes(31))
    seed("recipe", "foreign", b"\x80" + bytes(20))


def dns():
    def name(text):
        return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"

    def message(asked="web.west.ip", kind=1, flags=0x0100, records=b"", count=0, opt=b"", klass=1):
        head = u16(0x5566) + u16(flags) + u16(1) + u16(count) + u16(0) + u16(1 if opt else 0)
        return head + name(asked) + u16(kind) + u16(klass) + records + opt

    def record(kind, data, owner=b"\xc0\x0c", ttl=60):
        return owner + u16(kind) + u16(1) + u16(0) + u16(ttl) + u16(len(data)) + data

    def opt(size=1232, version=0, options=b""):
        return b"\0" + u16(41) + u16(size) + bytes([0, version, 0x80, 0]) + u16(len(options)) + options

    program, server, lookup, tcp, stranger, suffix, only = 0, 1, 2, 4, 8, 0x10, 0x20
    cookie = u16(10) + u16(8) + bytes(range(8))
    for title, choice, data in (
            ("overlay", program, message(opt=opt())),
            ("overlay-cookie", program | tcp, message("WeB.west.ron", 28, opt=opt(options=cookie))),
            ("chain", program, message("x.lab.ron.via.gate.west.ip")),
            ("via-twice", program, message("x.lab.ron.via.via.gate.west.ip", opt=opt())),
            ("https", program, message(kind=65)),
            ("instance", program, message("west.ip", 2)),
            ("soa", program, message("ip", 6)),
            ("suffix", program | suffix, message("web.west.ip.ov.example.org")),
            ("suffix-none", program | suffix, message("www.ov.example.org")),
            ("reverse4", program, message("2.1.18.198.in-addr.arpa", 12)),
            ("reverse4-bad", program, message("x.300.18.198.in-addr.arpa", 12)),
            ("reverse6", program, message("1." + 19 * "0." + "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", 12)),
            ("foreign", program, message("www.example.com", opt=opt())),
            ("foreign-refused", program | only, message("www.example.com", opt=opt())),
            ("stranger", program | stranger, message("www.example.com")),
            ("badvers", program, message(opt=opt(version=1))),
            ("two-opts", program, message(opt=opt())[:11] + b"\2" + message(opt=opt() + opt())[12:]),
            ("chaos", program, message("version.bind", 16, klass=3)),
            ("update", program, message(flags=0x2800))):
        seed("dns", title, bytes([choice]) + data)
    www, flags = "www.example.com", 0x8180
    good4, bad4 = record(1, bytes([192, 0, 2, 1])), record(1, bytes([198, 18, 0, 1]))
    alias = record(5, name("web.example.net"))
    hint = record(65, u16(1) + b"\0" + u16(4) + u16(4) + bytes([198, 18, 0, 1]))
    mapped = record(28, bytes(10) + b"\xff\xff" + bytes([198, 18, 0, 1]))
    for title, data in (
            ("good", message(www, flags=flags, records=alias + good4, count=2, opt=opt())),
            ("rebinding", message(www, flags=flags, records=good4 + bad4, count=2)),
            ("rebinding-hint", message(www, flags=flags, records=hint, count=1)),
            ("rebinding-mapped", message(www, flags=flags, records=mapped, count=1)),
            ("loop", message(www, flags=flags, records=record(1, bytes(4), owner=b"\xc0\x21"), count=1)),
            ("cut", message(www, flags=flags | 0x0200, records=good4[:8], count=1)),
            ("nxdomain", message(www, flags=flags | 3)),
            ("refused", message(www, flags=flags | 5)),
            ("without-question", u16(0) + u16(flags | 1) + bytes(8))):
        seed("dns", "server-" + title, bytes([server]) + data)
        seed("dns", "lookup-" + title, bytes([lookup]) + data)


def handle():
    def record(kind, payload):
        return u16(len(payload)) + bytes([kind]) + payload

    def u32(number):
        return number.to_bytes(4, "big")

    def put(number, title, key, state=0, flags=7, v4=(198, 18, 1, 2), way=b""):
        body = u32(number) + bytes([state, flags | (8 if way else 0)]) + u32(1000) + u32(0) + u32(1700000000)
        body += bytes([key] * 32) + bytes(v4) + bytes.fromhex("fd123456789a") + bytes(9) + bytes([number])
        body += bytes([len(title)]) + title + (u16(len(way)) + way if way else b"")
        return record(2, body)

    begin = record(1, b"ocala handles\x01" + u32(3))
    one = put(1, b"web.west.ip", 1)
    two = put(2, b"web.west.ip", 2, v4=(198, 18, 1, 3), way=b"web.west.ip.via.gate.east.ip")
    for title, data in (
            ("empty", begin),
            ("two", begin + one + two),
            ("touched", begin + one + record(3, u32(1) + u32(0) + u32(1700003600))),
            ("gone", begin + one + two + record(4, u32(1))),
            ("quarantined", begin + one + put(1, b"web.west.ip", 1, state=1, flags=6)),
            ("same-address", begin + one + put(5, b"db.west.ip", 1)),
            ("outside", begin + put(1, b"web.west.ip", 1, v4=(10, 0, 0, 1)) + two),
            ("bad-name", begin + put(1, b"a b", 1)),
            ("unknown-kind", begin + record(9, b"x")),
            ("without-begin", one),
            ("torn", begin + one[:-3])):
        seed("handle", title, b"\0" + data)
    seed("handle", "as-it-is", b"\1" + begin)


def forward():
    """Records are sealed by the target; packets are those of ip(), with the addresses of its two hosts."""
    global ALPHA4, BETA4, ALPHA6, BETA6
    saved = ALPHA4, BETA4, ALPHA6, BETA6
    ALPHA4, BETA4 = bytes([10, 0, 0, 97]), bytes([198, 18, 0, 98])
    ALPHA6, BETA6 = bytes.fromhex("fd" + "00" * 14 + "61"), bytes.fromhex("fd18" + "00" * 13 + "62")
    mss = bytes([2, 4]) + u16(1460)
    packets = {
        "tcp4": ip4(6, tcp(4)), "tcp6": ip6(6, tcp(6)), "udp4": ip4(17, udp(4), tos=2), "udp6": ip6(17, udp(6)),
        "syn4": ip4(6, tcp(4, mss, 0x02, b"")), "echo4": ip4(1, icmp4(8, 0, b"\0\1\0\1ping")),
        "echo6": ip6(58, icmp6(128, 0, b"\0\1\0\1ping")), "long4": ip4(17, udp(4, bytes(1500))),
        "long6": ip6(17, udp(6, bytes(1500))), "fragment4": ip4(17, udp(4, bytes(24))[:24], fragment=0x2000),
        "later4": ip4(17, bytes(16), fragment=3), "ttl4": ip4(17, udp(4), ttl=1),
        "error4": ip4(1, icmp4(3, 3, bytes(4) + ip4(17, udp(4))[:28])),
        "error6": ip6(58, icmp6(1, 4, bytes(4) + ip6(17, udp(6)))),
        "hop6": ip6(17, udp(6), bytes([17, 0, 1, 4, 0, 0, 0, 0]), 0), "no-sum4": ip4(17, udp(4, summed_up=False)),
    }
    for name, packet in packets.items():
        for choice, mtu in ((0, 1400), (2 | 8, 576)):
            seed("forward_capture", f"{name}-{mtu}", bytes([choice]) + u16(mtu) + packet)
        if name[:3] in ("tcp", "udp", "lon"):
            offset = 16 if name.startswith("tcp") else 6
            start = 20 if "4" in name else 40
            seed("forward_capture", name + "-open", bytes([1 | 4]) + u16(1400) + bytes([start, offset]) + packet)
    offload = {"tcp4": (20, 16, 1, 40), "tcp6": (40, 16, 2, 60), "udp4": (20, 6, 3, 28), "udp6": (40, 6, 3, 48)}
    trains = {}
    for name, (start, at, gso, header) in offload.items():
        make = tcp if name[:3] == "tcp" else udp
        whole = make(int(name[3]), data=bytes(range(250)) * 10)
        packet = ip4(6 if make == tcp else 17, whole) if start == 20 else ip6(6 if make == tcp else 17, whole)
        for mtu, each in ((1400, 400), (500, 1000), (100, 300), (1400, 1)):
            extra = bytes([start, at, gso]) + u16(each) + bytes([header])
            seed("forward_capture", f"super-{name}-{mtu}-{each}", bytes([1 | 4 | 16 | 32]) + u16(mtu) + extra + packet)
        trains[name] = stream(name, 100, 12)
    for name, packets_of in {**trains, "short": stream("tcp4", 100, 5) + stream("tcp4", 30, 2), "no-df":
                             stream("tcp4", 90, 4, fragment=0), "echo": [packets["echo4"]] * 3}.items():
        seed("coalesce", name, b"".join(u16(len(p)) + p for p in packets_of))
    seed("coalesce", "two-flows", b"".join(u16(len(p)) + p for pair in zip(trains["tcp4"], trains["udp4"]) for p in pair))
    ALPHA4, BETA4, ALPHA6, BETA6 = saved

    stranger, peer, wire, sealed, transit, other = range(6)

    def step(how, flags, data, quarters=0):
        return bytes([how, flags]) + u16(quarters << 13 | len(data)) + data

    def story(name, *steps, choice=0):
        seed("forward_underlay", name, bytes([choice]) + b"".join(steps))

    for name, packet in packets.items():
        kind = 1 if "4" in name else 2
        story(name, step(sealed, kind, packet))
        story(name + "-restricted", step(sealed, kind, packet), step(sealed, kind | 8, packet, 5), choice=1)
    together = 0x80
    for name, packets_of in trains.items():
        kind = (1 if "4" in name else 2) | 8
        steps = [step(sealed | together, kind, p) for p in packets_of]
        story(f"run-{name}", *steps, choice=2)
        story(f"run-{name}-transit", *(step(transit | together, kind, p) for p in packets_of))
        story(f"run-{name}-mixed", steps[0], steps[1], step(stranger | together, 0, b"\xc1" + bytes(150)), steps[2],
              step(sealed | together, 0x80, bytes(100)), step(peer | together, 0, b"\xc0" + bytes(130)), *steps[3:],
              choice=2)
    record = b"\xc0\1\x10\0" + (7 << 12 | 3 << 4 | 1).to_bytes(4, "big") + bytes(8) + bytes(40)
    story("strangers", step(stranger, 0, b"\xc1hello"), step(stranger, 0, record), step(peer, 0, record),
          step(stranger, 0, b""), step(peer, 0, b"\xc7" + record[1:]), step(peer, 0, b"\x45"))
    story("wire", step(wire, 0, b"\x20" + u16(len(record) + 4) + b"from" + record), step(wire, 0, b"\x01module"),
          step(wire, 0, b"\x20" + u16(9) + b"from"))
    story("transit", step(transit, 1, bytes(100)), step(transit, 0x81, bytes(10)), step(transit, 1, bytes(400)))
    story("labels", step(other, 1, (7 << 12 | 4 << 4 | 1).to_bytes(4, "big")), step(other, 1, b"\xff\xff\xff\xff"))
    story("control", step(sealed, 0x80, b"message"), step(sealed, 0, b"message"), step(sealed, 3, bytes(60)))
    whole = packets["long4"]
    parts = [whole[i:i + 500] for i in range(0, len(whole), 500)]
    story("pieces", *(step(sealed, 1 | (0x10 if i else 0) | (4 if i + 1 < len(parts) else 0), part)
                      for i, part in enumerate(parts)))
    story("open-pieces", *(step(sealed, 9 | (0x10 if i else 0) | (4 if i + 1 < len(parts) else 0), part)
                           for i, part in enumerate(parts)))
    story("chain", *(step(sealed, 0x15, bytes(30), i % 3) for i in range(64)))
    story("marked", *(step(sealed, 1 | ecn << 5, packets["udp4"]) for ecn in range(4)))


def config():
    for example in sorted((HERE.parent.parent / "examples").glob("*.yaml")):
        seed("config", example.stem, example.read_bytes())
    head = "name: a\noverlays:\n  - instance: east.ip\n    secret: s\n"
    for name, tail in {
            "members": "    members: [{name: b, at: ['[::1]:5', h.x:6], key: "
                       "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}]\n",
            "options": "    options: {a: 'b''c', \"d\\x41\": \"e\"}\n",
            "forward": "forward: [{from: '*', to: east.ip}, {from: east.ip, to: east.ip}]\n",
            "policy": "policy: [{peer: '*.b.c', allow: [any, tcp/1-2, udp/0, icmp]}]\n",
            "handles": "handles: {ipv4: 10.0.0.0/8, ipv6: 'fd01::/48', per_user: 1}\n",
            "timers": "timers: {rekey: 24h, probe: 100ms}\nworkers: 16\ntun: {name: t0, mtu: 65535}\n",
            "unknown-key": "tun: {mut: 1400}\n",
            "twice": "name: b\n",
            "deep": "a: " + "[" * 17 + "]" * 17 + "\n",
            "literal": "group: >-\n  two\n  lines\n",
            "complex-key": "? [a]\n: b\n",
    }.items():
        seed("config", name, (head + tail).encode())
    seed("config", "alias", b"name: &a x\noverlays: *a\n")
    seed("config", "utf-16", head.encode("utf-16"))
    seed("config", "escapes", b'name: "\\L\\x9b\\uFEFF\\U0010FFFF\\e\\0"\n')
    seed("config", "secret", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")


def control():
    lines = {
        "all": "".join('{"command":"%s"}\n' % c for c in (
            "status", "path", "handle", "overlay", "key", "drops", "metrics", "config", "version", "reload", "stop")),
        "names": '{"command":"explain","args":{"name":"Beta.West.ip."},"id":1}\n'
                 '{"command":"path.close","args":{"name":"a.b.c.via.d.e.f"},"id":"x"}\n'
                 '{"command":"key.forget","args":{"name":"a.b.c"}}\n',
        "ping": '\r\n {"id":-1,"args":{"count":1000,"name":"a.b.c"},"command":"ping"}\n{"command":"ping"}\n',
        "bad": '{"command":"x"}\n[]\n{}\n5\n{"a":1,"a":2}\n{"command":"status","args":{"x":1}}\n',
        "nested": '{"id":' + "[" * 9 + "]" * 9 + "}\n" + '{"id":"\\"[[[[[[[[["}\n',
        "many": '{"command":"path","id":5}\n' * 70,
    }
    for name, text in lines.items():
        for choice in (0xFF, 0x06):
            seed("control", f"{name}-{choice}", bytes([choice]) + text.encode())


def vnet():
    """Header in this machine's byte order, then 80 bytes with a TCP header of 32 at offsets 20 and 40."""
    packet = bytearray(80)
    packet[32] = packet[52] = 8 << 4
    for name, fields in {
            "none": (0, 0, 0, 0, 0, 0), "open": (1, 0, 0, 0, 20, 16), "valid": (2, 0, 0, 0, 0, 0),
            "tcp4": (1, 1, 52, 64, 20, 16), "tcp6": (1, 4, 72, 8, 40, 16), "udp": (1, 5, 28, 8, 20, 6),
            "ecn": (1, 0x81, 52, 64, 20, 16), "old-udp": (1, 3, 28, 8, 20, 6), "beyond": (1, 0, 0, 0, 0xFFFF, 0xFFFF),
            "no-size": (1, 1, 52, 0, 20, 16), "complete": (0, 1, 52, 64, 20, 16)}.items():
        seed("vnet", name, struct.pack("=BBHHHH", *fields) + bytes(packet))


def resolvconf():
    plain = b"# c\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch a b\noptions edns0 trust-ad\n"
    head = b"#~ocala 1 %s 0644 0 0 newline\n#~tag /run/ocala\n"
    seed("resolvconf", "plain", plain)
    seed("resolvconf", "open", b"\r\nnameserver\t::1 \r\n\n; x\nnameserver 1.2.3")
    seed("resolvconf", "ours", head % b"file" + b"nameserver 198.18.0.1\n#~|nameserver 1.2.3.4\n#~|\n")
    seed("resolvconf", "link", head % b"link" + b"#~link ../run/x\nnameserver 198.18.0.1\n")
    seed("resolvconf", "absent", head % b"absent")
    seed("resolvconf", "nul", b"nameserver 1.2.3.4\0\n\0\n")


def helper():
    """Version and verb in the machine's byte order, then the union; the top bit of the first byte repairs them."""
    for verb in range(10):
        seed("helper", f"verb-{verb}", struct.pack("=III", 0x81, verb, 1) + b"ocala0" + bytes(400))
        seed("helper", f"ones-{verb}", struct.pack("=III", 0x81, verb, 1) + b"\x01" * 400)
    seed("helper", "short", b"\x01")


def vectors(letter):
    """What the original of 2005 sent: tests/vectors/i3.txt."""
    lines = [line.split("|") for line in (HERE.parent / "vectors" / "i3.txt").read_text().splitlines()]
    return {tag: bytes.fromhex(text) for tag, *_, text in lines if tag.startswith(letter)}


def chord():
    messages = vectors("C")
    for tag, message in messages.items():
        seed("chord", tag, b"\0" + message)
    # In a ring with a secret, whose addresses are 16 bytes: 8 has the target sign what it is given, hop limit included.
    six, mapped = bytes([0x20, 1, 13, 0xb8]) + bytes(11) + b"\1", bytes(10) + b"\xff\xff\x7f\0\0\1"
    ident, port, token = b"\x60" + bytes(19), b"\x19\x6e", b"1234"
    wide = {f"{name}-{kind}": bytes([kind]) + (ident if has_id else b"") + at + port + (token if has_token else b"") + b"\x40"
            for name, at in (("six", six), ("mapped", mapped), ("group", b"\xff\2" + bytes(13) + b"\1"))
            for kind, has_id, has_token in ((1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0), (5, 1, 0), (6, 0, 1), (7, 1, 1), (8, 0, 1))}
    wide["fingers"] = b"\x09" + ident + six + port + 3 * (ident + six + port) + b"\0\x40"
    wide["copy"] = b"\x20" + ident + struct.pack(">H", 5) + b"bytes\x40"
    for name, message in wide.items():
        seed("chord", f"wide-{name}", b"\x08" + message)
    for kind in (0x0d, 0x1d):
        seed("chord", f"wide-story-{kind}", bytes([kind]) + b"".join(bytes([len(m)]) + m for m in wide.values()))
    for kind in (1, 3, 5, 7):
        seed("chord", f"story-{kind}", bytes([kind]) + b"".join(bytes([len(m)]) + m for m in messages.values()))


def i3():
    for tag, packet in vectors("E").items():
        seed("i3_wire", tag, packet)
        if tag in ("E1", "E5", "E7", "E11", "E16", "E17", "E20", "E21"):
            seed("i3_server", tag, b"\0" + 2 * (b"\x10" + bytes([len(packet)]) + packet))
    for tag, message in vectors("C").items():
        if tag not in ("C4", "C6", "C10", "C11"):
            seed("i3_server", tag, b"\0\x11" + bytes([len(message)]) + message)
    sixteen, key = bytes(range(16)), b"k" * 16
    there6 = b"\x30" + sixteen + b"\x12\x34"
    trigger = bytes(32) + struct.pack(">H", 256) + sixteen
    limited = b"\x02\x02" + trigger + there6 + key + struct.pack(">BIII", 1, 9000, 1000, 1000)
    seed("i3_wire", "limited", b"\x10\x20\0" + struct.pack(">H", 2 + len(limited)) + limited)
    seed("i3_wire", "sender6", b"\x10\x70\x01" + bytes(32) + struct.pack(">H", 22) + b"\x01" + there6 + b"data")
    deep = b"\x05\0" + trigger + b"\x10\x0f" + bytes(32 * 15)
    seed("i3_wire", "deep", b"\x10\x60\x0f" + bytes(32 * 15) + struct.pack(">H", 2 + len(deep)) + deep)
    seed("i3_wire", "many", b"\x10\x20\0" + struct.pack(">H", 34) + b"\x07\x0a\x0b\x07" * 8)
    seed("i3_wire", "ping", b"\x01" + bytes(39))
    greeting = b"\xc5ocala i3 1\x9e\x0d\xb7\x00\x05"
    seed("i3_wire", "pong", b"\x02" + struct.pack(">HQ", 1, 7) + greeting + bytes(13))
    cache6 = b"\x08\0" + bytes(32) + struct.pack(">H", 128) + greeting + there6 + key
    seed("i3_wire", "cache6", b"\x10\x20\0" + struct.pack(">H", 2 + len(cache6)) + cache6)
    # A server of both families: 2 chooses it, 2 of a step that the client comes by IPv6.
    whose = bytes([0x20, 1, 0x0d, 0xb8]) + bytes(11) + b"\1" + struct.pack(">H", 7)
    sender6, four = b"\x01\x30" + whose, b"\x20" + bytes([192, 0, 2, 1]) + struct.pack(">H", 7)
    ident = bytes(7) + b"\1" + bytes.fromhex("479f2dafb6db2fb673b18448bb611105") + bytes(8)
    body = ident + struct.pack(">H", 256) + sixteen

    def six(kind, target, sender):
        options = sender + bytes([kind, 0]) + body + target + b"this is test key"
        return b"\x10\x60\1" + ident + struct.pack(">H", 2 + len(options)) + options
    for ring, client, kind in ((2, 0x10, 2), (2, 0x12, 2), (3, 0x12, 2), (3, 0x10, 8), (2, 0x12, 3), (3, 0x12, 5)):
        steps = [six(kind, target, sender) for target in (b"\x30" + whose, four) for sender in (sender6, b"\x01" + four)]
        seed("i3_server", f"six-{ring}-{client}-{kind}", bytes([ring]) + b"".join(bytes([client, len(p)]) + p for p in steps))
    # 4: it knows another server, and keeps a chain from `near` to `far`, which is that one's.  Who answers for `far`?
    near = b"\x10" + bytes(7) + bytes.fromhex("df143e151395aabc04b8facf204d4835") + bytes(8)
    far, data = b"\x50" + bytes(31), b"\x10\x10\1" + near + b"data"
    cache = b"\x08\0" + far + struct.pack(">H", 128) + sixteen + four + key
    told = struct.pack(">H", 2 + len(cache)) + cache
    routed = b"\x10\x20\1" + near + told
    routed = b"\0" + near[:20] + struct.pack(">H", len(routed)) + routed
    for name, by, packet in (("4", 0x20, b"\x10\x20\0" + told), ("6", 0x22, b"\x10\x20\0" + told), ("ring", 0x21, routed)):
        steps = ((0x10, data), (by, packet), (0x10, data), (0x10, data))
        seed("i3_server", f"told-{name}", b"\6" + b"".join(bytes([who, len(p)]) + p for who, p in steps))
    for ring in (2, 3):
        ping = b"\x01" + bytes(39)
        seed("i3_server", f"ping-{ring}", bytes([ring]) + b"".join(bytes([client, 40]) + ping for client in (0x10, 0x12)))


def ron():
    """Steps of fuzz_ron.c: what and about whom, length, bytes."""
    says, by_hop, datagram, time, use, moves, link, tunnel = range(8)

    def do(what, data=b"", about=0):
        return bytes([about << 4 | what, len(data)]) + data

    def number(name):
        value = 0x811C9DC5
        for c in name.encode():
            value = (value ^ c) * 0x01000193 & 0xFFFFFFFF
        value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
        value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
        return value ^ value >> 16

    def row(sequence, *entries):
        return b"\x14" + struct.pack(">IH", sequence, len(entries)) + b"".join(
            struct.pack(">I", number(n)) + rtt.to_bytes(3, "big") + bytes([flags]) for n, rtt, flags in entries)

    def member(name, flags=0, age=3, place=b""):
        return struct.pack(">BHB", flags, age, len(name)) + name.encode() + place

    probe = b"\x11" + bytes(4) + b"12345678"
    seed("ron", "probes", b"\0" + do(says, probe) + do(says, b"\x12" + bytes(20)) + do(says, b"\x13" + bytes(12))
         + do(time, b"\x40") * 4)
    seed("ron", "wrong-way", b"\1" + do(by_hop, struct.pack(">I", number("gamma")) + probe) + do(by_hop, bytes(4) + probe))
    rows = do(says, row(5, ("beta", 1000, 0x80), ("delta", 2000, 0x85)), 1) + do(says, row(4, ("beta", 0xFFFFFF, 0)), 1)
    seed("ron", "rows", b"\1" + rows + do(use, b"\1") + do(time, b"\x10") * 8 + do(use, b"\2", 1))
    quiet, dead = do(use, b"\4"), b"\x18" + struct.pack(">I", number("gamma"))
    seed("ron", "silence", b"\1" + rows + quiet + do(time, b"\2") + quiet * 3 + do(says, b"\x19") + do(time, b"\4") * 3 + do(use, b"\6"))
    seed("ron", "dead", b"\0" + rows + do(by_hop, struct.pack(">I", number("gamma")) + b"\x18" + bytes(4)) + do(says, dead)
         + do(says, b"\x19\0") + do(says, dead[:4]) + do(by_hop, struct.pack(">I", number("beta")) + dead) + do(time, b"\4") * 3)
    place = bytes([10, 0, 0, 9]) + struct.pack(">H", 7400)
    news = b"\x15\x03" + member("epsilon", 2, 1, place) + member("zeta", 4, 9, bytes(15) + b"\1\x1c\xe8") + member("eta", 1)
    seed("ron", "members", b"\0" + do(says, news) + do(time, b"\xff") * 6 + do(says, b"\x16" + struct.pack(">I", number("zeta")), 2)
         + do(says, b"\x16" + bytes(4), 1) + do(says, b"\x17", 2) + do(time, b"\4"))
    header = b"\xcf\2\0\0"
    away = header + struct.pack(">III", number("alpha"), number("gamma"), number("beta")) + b"\xc0record"
    here = header + struct.pack(">III", number("gamma"), number("alpha"), number("beta")) + b"\xc0record"
    seed("ron", "forward", b"\0" + do(datagram, away) + do(datagram, away, 2) + do(datagram, here, 1) + do(datagram, here)
         + do(datagram, b"\xc0plain"))
    seed("ron", "life", b"\1" + do(moves, b"\7") + do(link) + do(tunnel, b"", 1) + do(time, b"\x20") + do(tunnel, b"", 1)
         + do(link, b"", 1) + do(link) + do(time, b"\x20"))


def i3_client():
    """Steps of fuzz_i3_client.c: what, about whom, length, bytes."""
    def do(what, about=0, data=b""):
        return bytes([what, about, len(data)]) + data

    raw, reply, sealed, private, probe, time, arrives, trouble, check, hello = range(10)
    for tag, packet in vectors("E").items():
        seed("i3_client", tag, b"\1" + do(raw, 0, packet[:255]) + do(arrives, 0, packet[:255]))
    # Challenge and acknowledgement of the first four triggers.
    held = b"".join(do(reply, n << 4, bytes(range(16))) + do(reply, n << 4 | 1) for n in range(4))
    held6 = b"".join(do(reply, n << 4 | 8, bytes(range(16))) + do(reply, n << 4 | 13) for n in range(4))
    seed("i3_client", "held", b"\0" + held + do(time, 200) + held)
    seed("i3_client", "refused", b"\0" + do(reply, 2) + do(reply, 3) + do(reply, 4) + do(reply, 5) + do(reply, 5))
    linked = do(trouble, 11) + held + do(private, 1) + do(private, 1)
    seed("i3_client", "private", b"\0" + linked + do(time, 30) + do(reply, 3) + do(reply, 5) + do(private, 1))
    offer = b"\x02" + bytes(range(16)) + b"\x01\x04" + bytes([192, 0, 2, 1]) + bytes(12) + b"\x1c\xe8"
    cut = linked + do(sealed, 1, offer) + do(probe, 1, b"12345678") + do(probe, 1, b"123456789")
    seed("i3_client", "shortcut", b"\1" + cut + do(time, 60) + do(probe, 1, b"123456789") + do(time, 255) + do(time, 255))
    seed("i3_client", "shortcut-denied", b"\0" + cut)
    seed("i3_client", "shortcut-ends", b"\1" + cut + do(sealed, 1, b"\x04") + do(trouble, 0) + do(trouble, 2) * 2)
    data = b"\x10\x10\x02" + bytes(64) + b"\xc1record"
    seed("i3_client", "moved", b"\1" + held + do(arrives, 0, data) + do(arrives, 1, data) + do(arrives, 1, b"\xc1plain"))
    seed("i3_client", "trouble", b"\1" + linked + b"".join(do(trouble, n) + do(time, 25) for n in range(16)))
    # A round of checks: all come back, none, and what nobody waits for.
    checked = b"".join(do(check, n) for n in range(4))
    seed("i3_client", "checked", b"\0" + held + checked + do(time, 30) + checked + do(check, 0x80) + do(check, 0, b"\x05\x01"))
    seed("i3_client", "distrusted", b"\0" + held + do(time, 8) * 4 + held + do(time, 200) + held + do(time, 8) * 4 + checked)
    # By IPv6: a server says hello, another never does, and one takes it back.
    came = do(hello, 1 | 1 << 4)
    seed("i3_client", "hello", b"\x11" + came + held6 + do(time, 200) + held6 + do(time, 50) + came)
    seed("i3_client", "hello-refused", b"\x10" + do(hello, 1 | 4 << 4) + do(hello, 2, b"\x0b\x01") + held6 + do(time, 100))
    seed("i3_client", "hello-ends", b"\x10" + came + held6 + do(hello, 1) + do(trouble, 0) + came + do(hello, 1 | 4 << 4) + held6)
    seed("i3_client", "families", b"\x10" + held + do(trouble, 0) + came + do(trouble, 0) + held + do(hello, 0) + do(time, 30))
    six = b"\x02" + bytes(range(16)) + b"\x02\x04" + bytes([192, 0, 2, 1]) + bytes(12) + b"\x1c\xe8\x06" + bytes([0x20, 1, 13, 0xb8]) \
        + bytes(12) + b"\x1c\xe8"
    seed("i3_client", "shortcut-6", b"\x11" + came + linked + do(sealed, 1, six) + do(probe, 3, b"12345678") + do(probe, 3, b"123456789"))
    for how in range(16):
        seed("i3_client", f"options-{how}", bytes([how]) + linked + do(arrives, 0, data) + do(time, 30) + do(trouble, 2))


def check():
    """Is the corpus what main() writes, and nothing else?  0, or 1."""
    made = {HERE / "corpus" / target / name: data for target, files in SEEDS.items() for name, data in files.items()}
    stored = {path: path.read_bytes() for path in (HERE / "corpus").rglob("*") if path.is_file()}
    wrong = sorted(path for path in made.keys() | stored.keys() if made.get(path) != stored.get(path))
    for path in wrong:
        print(path.relative_to(HERE), "differs" if path in made and path in stored else "is missing" if path in made
              else "is made by no seed")
    print(f"{len(made)} seeds: {len(wrong)} complaints" + (": run tests/fuzz/seeds.py, or add a seed to it" if wrong else ""))
    return 1 if wrong else 0


def main():
    for make in (chord, config, control, dns, forward, handle, helper, i3, i3_client, ip, mtu, noise, path, pem, recipe, record, resolvconf, ron, vnet):
        make()
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    for target, files in SEEDS.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
