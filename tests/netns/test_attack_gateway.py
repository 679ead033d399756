#!/usr/bin/python3
"""
          east.ip                            west.ip
    alpha -------+------------- gate ------------------- beta
    10.1.0.1     |    10.1.0.2       10.2.0.1       10.2.0.2
              mallory
              10.1.0.3      first mallory, a member of east.ip, is the enemy; then gate is
"""
import contextlib
import random
import socket

import suite
from netlab import Lab, need, program, wait_until
from ocalahost import PORT, SERVICES, Host, secret
from suite import case

BETA, GATE = "beta.west.ip", "gate.east.ip"
RECORD = 0xC0

# Asks DNS for a few thousand names, without waiting.
ASK_MANY = """
import socket
where = next(l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver'))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.002)
for n in range(4000):
    s.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\5n%04d\\4west\\2ip\\0\\0\\1\\0\\1' % n, (where, 53))
    try:
        s.recv(500)
    except OSError:
        pass
"""


class Net:
    def send(self, machine, target, datagrams, source):
        """These datagrams once or more, for half a second, from port 7400 of `source`."""
        text = "".join(d.hex() + "\n" for d in datagrams)
        machine.run([program("ocala-blast"), target, str(PORT), "0.5", "2000", source, "1"], check=True, input=text)

    def grown(self, host, act):
        """{drop: by how much} while act() ran."""
        before = host.drops()
        act()
        after = host.drops()
        return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


def datagrams(capture, source):
    """UDP payloads of one IPv4 source in a capture."""
    return [f[42:] for f in capture.frames()
            if f[12:14] == b"\x08\x00" and f[23] == 17 and f[26:30] == socket.inet_aton(source)]


@contextlib.contextmanager
def fixture():
    need("ping", "dig", "tcpdump")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.gate, net.beta, net.mallory = (lab.machine(n) for n in ("alpha", "gate", "beta", "mallory"))
        lab.switch({net.alpha: "10.1.0.1/24", net.gate: "10.1.0.2/24", net.mallory: "10.1.0.3/24"})
        lab.cable(net.gate, "10.2.0.1/24", net.beta, "10.2.0.2/24")
        east, west = secret(), secret()
        for host in (net.alpha, net.mallory):
            host.join("east.ip", east, {"gate": f"10.1.0.2:{PORT}"})
            host.add("rules", names="*.west.ip", via=GATE)
            host.add("believe", gateway=GATE, instances=["west.ip"])
        net.gate.join("east.ip", east, listen=f"10.1.0.2:{PORT}")
        # Members that are not there: whoever wants to reach them makes gate wait for each.
        ghosts = {f"n{n:04}": f"10.2.0.{100 + n % 100}:{PORT}" for n in range(2000)}
        net.gate.join("west.ip", west, {"beta": f"10.2.0.2:{PORT}", **ghosts}, listen=f"10.2.0.1:{PORT}")
        net.gate.config["dns"]["mode"] = "none"
        net.gate.add("forward", **{"from": "east.ip", "to": "west.ip"})
        net.beta.join("west.ip", west, {"gate": f"10.2.0.1:{PORT}"})
        net.beta.add("believe", gateway="gate.west.ip", instances=["east.ip"])
        net.beta.add("policy", peer="*.east.ip", allow=SERVICES)
        for host in (net.gate, net.beta, net.alpha, net.mallory):
            host.up()
        assert net.alpha.ping(BETA)
        yield net


def unharmed(net):
    echoes = net.alpha.echoes(BETA, 20, 0.05)
    assert echoes["answered"] == 20, echoes
    for host in (net.alpha, net.gate, net.beta):
        assert host.is_running(), host.log()[-1500:]


@case
def a_member_asks_for_thousands_of_names(net):
    """mallory wants paths to 4000 names behind gate: gate waits for a share of them, and alpha does not notice"""
    def flood():
        asker = net.mallory.start(["/usr/bin/python3", "-c", ASK_MANY])
        wait_until(lambda: net.gate.drops().get("limit", 0) > 0, 30, lambda: f"a limit at gate: {net.gate.drops()}")
        unharmed(net)
        net.alpha.ask("path.close", name=BETA)
        assert net.alpha.ping(BETA), "no new path beside the flood"
        waiting = [t for t in net.gate.ask("status")["transits"] if t["from"] == "mallory.east.ip"]
        assert len(waiting) <= 256, f"{len(waiting)} transits for mallory"
        asker.end()
    assert net.grown(net.gate, flood)["limit"] > 0
    unharmed(net)


@case
def a_member_uses_somebody_elses_labels(net):
    """records of alpha's that mallory sends are not forwarded, and move nothing"""
    capture = net.gate.capture("eth0")
    unharmed(net)
    records = [d for d in datagrams(capture, "10.1.0.1") if d[0] == RECORD and d[1] & 3]
    assert records
    grown = net.grown(net.gate, lambda: net.send(net.mallory, "10.1.0.2", records, "10.1.0.3"))
    assert grown.get("wrong-endpoint", 0) >= len(records), grown
    unharmed(net)
    # From alpha's own address gate must take them for alpha's; beta knows better.
    grown = net.grown(net.beta, lambda: net.send(net.mallory, "10.1.0.2", records, "10.1.0.1"))
    assert grown.get("replayed", 0) >= len(records), grown
    unharmed(net)


@case
def a_gateway_changes_and_repeats(net):
    """gate repeats records of alpha's path, changes each bit of their header, and their bytes: beta drops all by name"""
    capture = net.gate.capture("eth1")
    unharmed(net)
    records = [d for d in datagrams(capture, "10.2.0.1") if d[0] == RECORD and d[1] & 3]
    assert records
    dice = random.Random(1)
    changed = []
    for record in records[:20]:
        for bit in [*range(8, 16), *range(24, 32), *range(64, 128)]:  # flags, epoch, counter; label and hops are gate's
            data = bytearray(record)
            data[bit // 8] ^= 0x80 >> bit % 8
            changed.append(bytes(data))
        data = bytearray(record)
        data[dice.randrange(16, len(data))] ^= 1 << dice.randrange(8)
        changed.append(bytes(data))
    before = net.alpha.ask("status")
    grown = net.grown(net.beta, lambda: net.send(net.gate, "10.2.0.2", records + changed, "10.2.0.1"))
    assert grown.get("bad-tag", 0) > 100 and grown.get("replayed", 0) > 20 and grown.get("unknown-epoch", 0) > 20, grown
    unharmed(net)
    key = next(p["key"] for p in before["paths"] if p["name"] == BETA)
    assert next(p["key"] for p in net.alpha.ask("status")["paths"] if p["name"] == BETA and p["current"]) == key


@case
def a_gateway_reads_nothing(net):
    """what passes gate does not hold the bytes that alpha sent, nor their addresses"""
    capture = net.gate.capture("eth1")
    net.alpha.run(["ping", "-c", "3", "-i", "0.1", "-p", "6f63616c61", BETA])
    assert b"ocalaocala" not in capture.bytes()


@case
def a_gateway_forgets(net):
    """gate throws its table away (a restart that it does not tell of): alpha and beta find each other again"""
    net.gate.again()
    wait_until(lambda: net.alpha.ping(BETA), 60, "beta to answer again")
    unharmed(net)


suite.main(__doc__, fixture)
