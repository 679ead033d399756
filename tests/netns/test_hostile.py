#!/usr/bin/python3
"""
    alpha ---- switch ---- beta        alpha and beta share east.ip; mallory has no secret and sends what it likes,
    10.1.0.1     |     10.1.0.2        with whatever source address it likes
              mallory
              10.1.0.3
"""
import contextlib
import random
import struct

import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, secret
from suite import case

BETA, ALPHA = "beta.east.ip", "alpha.east.ip"
RECORD, OPEN, ACCEPT, CONFIRM, COOKIE, REFUSE, ERROR = range(0xC0, 0xC7)

# Reads hex lines, sends each as a datagram to alpha, from our address or (raw, "spoof") from beta's.
SENDER = """
import socket, struct, sys
port, spoof = int(sys.argv[1]), sys.argv[2]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) if spoof else None
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    data = bytes.fromhex(line)
    if raw:
        head = struct.pack("!HHHH", port, port, 8 + len(data), 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0, 64, 17, 0, socket.inet_aton(spoof),
                         socket.inet_aton("10.1.0.1"))
        raw.sendto(ip + head + data, ("10.1.0.1", 0))
    else:
        udp.sendto(data, ("10.1.0.1", port))
"""


class Net:
    def send(self, datagrams, spoof=""):
        text = "".join(d.hex() + "\n" for d in datagrams)
        self.mallory.run(["/usr/bin/python3", "-c", SENDER, str(PORT), spoof], check=True, input=text)

    def counts(self, names, datagrams, spoof="", at_least=None):
        """Sends and waits until drops of these names together grew by the number of datagrams."""
        at_least = len(datagrams) if at_least is None else at_least
        before = self.alpha.drops()
        self.send(datagrams, spoof)

        def grown():
            now = self.alpha.drops()
            return {n: now[n] - before[n] for n in now if now[n] != before[n]}
        wait_until(lambda: sum(grown().get(n, 0) for n in names) >= at_least, 30,
                   lambda: f"{at_least} drops named {names}; grown: {grown()}")


@contextlib.contextmanager
def fixture():
    need("ping", "tcpdump")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.beta, net.mallory = (lab.machine(name) for name in ("alpha", "beta", "mallory"))
        lab.switch({net.alpha: "10.1.0.1/24", net.beta: "10.1.0.2/24", net.mallory: "10.1.0.3/24"})
        text = secret()
        net.alpha.join("east.ip", text, {"beta": f"10.1.0.2:{PORT}"})
        net.beta.join("east.ip", text, {"alpha": f"10.1.0.1:{PORT}"})
        capture = net.alpha.capture("eth0")
        net.alpha.up(), net.beta.up()
        assert net.beta.ping(ALPHA, count=20)
        # Datagrams from beta to alpha, Ethernet and IP headers taken off.
        net.seen = [f[14 + (f[14] & 15) * 4 + 8:] for f in capture.frames()
                    if f[12:14] == b"\x08\x00" and f[23] == 17 and f[26:30] == bytes([10, 1, 0, 2])]
        net.records = [d for d in net.seen if d[0] == RECORD and d[1] & 3]
        assert net.records, "no data record was captured"
        yield net


def unharmed(net):
    assert net.alpha.is_running() and net.beta.ping(ALPHA), net.alpha.log()[-1500:]


@case
def garbage(net):
    """datagrams that are nothing of ours"""
    dice = random.Random(1)
    net.counts(["garbage"], [bytes([dice.randrange(0xC0)]) + dice.randbytes(dice.randrange(1400)) for _ in range(100)])
    net.counts(["garbage", "bad-message", "unknown-label"], [bytes([kind]) + dice.randbytes(60)
                                                         for kind in range(0xC7, 0xE0)])
    unharmed(net)


@case
def truncated_records(net):
    """records that end inside their header or tag"""
    record = net.records[0]
    net.counts(["truncated", "garbage"], [record[:n] for n in range(1, 32)])
    unharmed(net)


@case
def empty_datagrams(net):
    """datagrams without a byte"""
    net.send([b""] * 10)
    unharmed(net)


@case
def unknown_labels(net):
    """records with labels that nobody gave"""
    dice = random.Random(2)
    datagrams = [bytes([RECORD, 1, 16, 0]) + dice.randbytes(12) + dice.randbytes(100) for _ in range(200)]
    net.counts(["unknown-label", "stale-label"], datagrams)
    unharmed(net)


@case
def replayed_records(net):
    """records that were received before, from mallory's address and from beta's"""
    net.counts(["replayed"], net.records)
    net.counts(["replayed"], net.records, spoof="10.1.0.2")
    unharmed(net)
    remote = next(l for l in net.alpha.ask("overlay")["links"] if l["name"] == BETA)["tunnel"]["remote"]
    assert "10.1.0.2" in remote, f"a replay moved the endpoint to {remote}"


@case
def forged_records(net):
    """records with a changed bit under a fresh counter do not authenticate"""
    forged = []
    for number, record in enumerate(net.records[:10]):
        counter = struct.unpack_from("!Q", record, 8)[0] + 5000 + number
        changed = bytearray(record[:8] + struct.pack("!Q", counter) + record[16:])
        changed[-1] ^= 1
        forged.append(bytes(changed))
    net.counts(["bad-tag"], forged)
    net.counts(["bad-tag"], forged, spoof="10.1.0.2")
    unharmed(net)


@case
def unknown_epochs(net):
    """records of an epoch that has no key"""
    net.counts(["unknown-epoch"], [r[:3] + bytes([r[3] + 77 & 255]) + r[4:] for r in net.records[:10]])
    unharmed(net)


@case
def handshakes_without_the_secret(net):
    """handshake messages without the network's secret cost no answer longer than the question"""
    dice = random.Random(3)
    net.counts(["bad-mac", "bad-handshake", "bad-message", "truncated", "rate-limited"],
               [bytes([OPEN]) + dice.randbytes(size) for size in (1, 10, 50, 100, 150, 200, 400, 1200)], at_least=8)
    net.counts(["bad-mac", "bad-handshake", "bad-message", "truncated", "rate-limited", "garbage", "unknown-label"],
               [bytes([kind]) + dice.randbytes(100) for kind in (ACCEPT, CONFIRM, COOKIE, REFUSE, ERROR)], at_least=3)
    unharmed(net)


@case
def replayed_handshakes(net):
    """handshake messages that were received before change nothing"""
    handshakes = [d for d in net.seen if d[0] in (OPEN, ACCEPT, CONFIRM)]
    assert handshakes
    handle = net.alpha.lookup(BETA)
    net.send(handshakes * 3)
    net.send(handshakes * 3, spoof="10.1.0.2")
    unharmed(net)
    assert net.alpha.lookup(BETA) == handle


@case
def oversized_datagrams(net):
    """datagrams of 65507 bytes: garbage, and a record that is too long"""
    dice = random.Random(4)
    before = sum(net.alpha.drops().values())
    net.send([dice.randbytes(65507), net.records[0] + dice.randbytes(65507 - len(net.records[0]))])
    wait_until(lambda: sum(net.alpha.drops().values()) >= before + 2, 30, "two drops")
    unharmed(net)


@case
def forged_errors(net):
    """PATH_ERRORs that quote nothing that was sent end nothing"""
    dice = random.Random(5)
    net.send([bytes([ERROR]) + dice.randbytes(31) for _ in range(50)], spoof="10.1.0.2")
    net.send([bytes([ERROR, 0, 0, 0]) + r[:16] + r[-16:] for r in net.records], spoof="10.1.0.2")
    net.send([bytes([REFUSE]) + dice.randbytes(63) for _ in range(50)], spoof="10.1.0.2")
    unharmed(net)


@case
def mutated_traffic(net):
    """20 000 mutations of everything that beta ever sent"""
    dice = random.Random(6)
    datagrams = []
    for _ in range(20000):
        data = bytearray(dice.choice(net.seen))
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        datagrams.append(bytes(data[:dice.randrange(1, len(data) + 1)]) if dice.random() < 0.3 else bytes(data))
    net.send(datagrams)
    net.send(datagrams[:5000], spoof="10.1.0.2")
    unharmed(net)


@case
def every_drop_is_listed(net):
    """`ocala drops` names what was dropped and says what it means"""
    drops = net.alpha.ocala_json("drops")["drops"]
    for name in ("garbage", "replayed", "bad-tag", "unknown-label"):
        entry = next(d for d in drops if d["name"] == name)
        assert entry["packets"] > 0 and entry["text"], entry
    assert "replayed" in net.alpha.ocala("drops").stdout


suite.main(__doc__, fixture)
