#!/usr/bin/python3
"""
    alpha ---- beta        alpha has two workers, beta three: flows keep their order, and one peer's flows use several ports
"""
import contextlib

import suite
from netlab import Lab, need, wait_until
from ocalahost import PORT, Host, two_hosts
from suite import case

BETA, FLOWS, EACH = "beta.east.ip", 8, 4000

# Numbers what it sends, one flow after the other, and rests after each round so that no queue runs over.
SEND = """
import socket, struct, sys, time
address, flows, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
flow = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
for i, s in enumerate(flow):
    s.connect((address, 9000 + i))
for number in range(each):
    for s in flow:
        s.send(struct.pack("!I", number) + bytes(400))
    if number % 8 == 7:
        time.sleep(0.002)
for s in flow:
    s.send(struct.pack("!I", 0xFFFFFFFF))
time.sleep(1)
for s in flow:
    s.send(struct.pack("!I", 0xFFFFFFFF))
"""
# Says for each flow how many came, and how many of them after one that was sent later.
RECEIVE = """
import select, socket, struct, sys
flows = int(sys.argv[1])
flow = {}
for i in range(flows):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("0.0.0.0", 9000 + i))
    flow[s] = [0, 0, -1, False]
print("ready", flush=True)
while not all(f[3] for f in flow.values()):
    for s in select.select(list(flow), [], [], 60)[0]:
        number, f = struct.unpack("!I", s.recv(2048)[:4])[0], flow[s]
        if number == 0xFFFFFFFF:
            f[3] = True
            continue
        f[0] += 1
        f[1] += number < f[2]
        f[2] = max(f[2], number)
print(" ".join(f"{f[0]}:{f[1]}" for f in flow.values()), flush=True)
"""


@contextlib.contextmanager
def hosts():
    need("ping", "tcpdump")
    with Lab(machine_class=Host) as lab:
        alpha, beta = two_hosts(lab)
        alpha.config["workers"], beta.config["workers"] = 2, 3
        beta.up(), alpha.up()
        assert alpha.ping(BETA, 3)
        yield alpha, beta


def run_flows(alpha, beta):
    """(received, out of order) for each flow."""
    receiver = beta.start(["/usr/bin/python3", "-c", RECEIVE, str(FLOWS)])
    wait_until(lambda: "ready" in receiver.log(), 20, "the receiver")
    alpha.run(["/usr/bin/python3", "-c", SEND, alpha.lookup(BETA)[0], str(FLOWS), str(EACH)], check=True, limit=120)
    assert receiver.wait(60) == 0, receiver.log()
    return [tuple(int(x) for x in word.split(":")) for word in receiver.log().split()[1:]]


@case
def flows_keep_their_order():
    """eight flows at the same time between two and three workers: nothing arrives behind what was sent after it"""
    with hosts() as (alpha, beta):
        flows = run_flows(alpha, beta)
        assert len(flows) == FLOWS and all(late == 0 for _, late in flows), flows
        assert all(received > EACH // 2 for received, _ in flows), f"too little arrived to show anything: {flows}"


@case
def flows_leave_by_several_ports():
    """lanes after the first have a UDP source port of their own, by which the other machine spreads them"""
    with hosts() as (alpha, beta):
        wire = alpha.capture("eth0")
        run_flows(alpha, beta)
        ports = {}
        for f in wire.frames():
            if f[23:24] == b"\x11" and f[26:30] == bytes([10, 1, 0, 1]) and f[42:43] == b"\xc0":
                ports.setdefault(f[49] & 15, set()).add(int.from_bytes(f[34:36], "big"))
        assert {0, 1, 2} <= set(ports), f"not all lanes were used: {ports}"
        assert ports[0] == ports[1] == {PORT}, ports
        assert len(ports[2]) == 1 and ports[2] != {PORT}, ports


suite.main(__doc__)
