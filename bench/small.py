"""Benches of what is not throughput: how fast a path is set up, DNS answers, and what an idle daemon does."""
import json
import os
import re
import time

import netlab
from measure import Series, cpu_of, progress, resident, round_trip
from netlab import Trouble, wait_until
from ocalahost import PORT, gateway_overlays, secret, two_hosts, underlay

DELAY_MS = 25  # each way: 50 ms of round trip

# Prints the milliseconds from asking for a name to the first byte of the answer to the first packet.
FIRST_BYTE = """
import socket, sys, time
socket.getaddrinfo("localhost", 7)  # what the C library loads at its first question is not counted
start = time.monotonic()
family, kind, proto, _, address = socket.getaddrinfo(sys.argv[1], 7, socket.AF_INET, socket.SOCK_DGRAM)[0]
named = time.monotonic()
s = socket.socket(family, kind)
s.settimeout(10)
s.sendto(b"x", address)
s.recv(1)
print((time.monotonic() - start) * 1000, (named - start) * 1000)
"""

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(100)
    s.sendto(data, who)
"""


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def first_byte(host, name):
    """(milliseconds to the first byte, of it until the name had an address)"""
    done = host.run(["/usr/bin/python3", "-c", FIRST_BYTE, name], check=True)
    return tuple(float(word) for word in done.stdout.split())


def close(host, name):
    host.ask("path.close", name=name)

    def gone():
        status = host.ask("status")
        return not any(p["name"] == name and p["current"] for p in status["paths"] + status["links"])
    wait_until(gone, 5, f"the path to {name} to be gone")
    time.sleep(2 * DELAY_MS / 1000)  # the other end hears of it


def measure_setup(host, name, prepare, rounds):
    """Series of (first byte, address) in milliseconds."""
    total, named = Series(), Series()
    for number in range(rounds):
        prepare()
        all_ms, name_ms = first_byte(host, name)
        total.values.append(all_ms)
        named.values.append(name_ms)
    return total, named


def setup(bench, lab, result):
    """A path over a gateway with links that stand (warm), and two neighbours without a link (cold); 50 ms of round trip
    between the ends in both cases.  Round trips are those of the set-up: until the name has its address, and the first
    packet may leave."""
    alpha, gate, beta = underlay(lab, impair=(f"--delay {DELAY_MS / 2}", f"--delay {DELAY_MS / 2}"))
    gateway_overlays(alpha, gate, beta, allow=["icmp", "udp/7"])
    one, two = lab.machine("one"), lab.machine("two")
    lab.cable(one, "10.3.0.1/24", two, "10.3.0.2/24", impair=f"--delay {DELAY_MS}", seed=3)
    text = secret()
    one.join("east.ip", text, {"two": f"10.3.0.2:{PORT}"})
    two.join("east.ip", text)
    for host in (alpha, gate, beta, one, two):
        host.up()
    for host in (beta, two):
        host.start(["/usr/bin/python3", "-c", ECHO]).await_log("ready")
    far, near = "beta.west.ip", "two.east.ip"
    wait_until(lambda: alpha.ping(far) and one.ping(near), 30, "both to answer")
    count = max(20, bench.rounds * 8)
    progress(f"{count} times each")
    result.row("name to first byte, ms", "p50", "p99", "round trips of the set-up (p50)", "one round trip, ms")
    legs = {"warm": ((alpha, "10.1.0.2"), (gate, "10.2.0.2")), "cold": ((one, "10.3.0.2"),)}
    for label, host, name in (("warm", alpha, far), ("cold", one, near)):
        rtt = sum(round_trip(leg, to, count=10, options=("-i", "0.05")) for leg, to in legs[label]) / 1000
        total, named = measure_setup(host, name, lambda: close(host, name), count)
        key = "" if label == "warm" else "cold_"
        p99 = percentile(total.values, 0.99)
        result.json.update({f"{key}p50_ms": round(total.median, 1), f"{key}p99_ms": round(p99, 1),
                            f"{key}p50_rtts": round(named.median / rtt, 2),
                            f"{key}first_byte_rtts": round(total.median / rtt, 2)})
        result.row(label, f"{total.median:.1f}", f"{p99:.1f}", f"{named.median / rtt:.2f}", f"{rtt:.1f}")
    return result


def dns_address(host):
    listen = host.ask("status")["host"]["dns"]["listen"]
    if listen:
        return listen.rpartition(":")[0]
    return next(line.split()[1] for line in host.etc("resolv.conf").splitlines() if line.startswith("nameserver"))


def dns(bench, lab, result):
    """Answers a second for a name whose path stands, by a daemon that has one processor."""
    alpha, beta = two_hosts(lab)
    for host in (alpha, beta):
        host.up()
    wait_until(lambda: alpha.ping("beta.east.ip"), 30, "beta to answer")
    pid = alpha.daemon_pid()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[0]})
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {cores[0]})
    asker = ["taskset", "-c", str(cores[-1]), netlab.program("bench_dns"), dns_address(alpha), "2", "beta.east.ip"]
    rates, busy = Series(), Series()
    for number in range(-1, bench.rounds):
        before = cpu_of([pid])
        got = json.loads(alpha.run(asker, check=True, limit=30).stdout)
        if got["failures"] or got["lost"] > got["answers"] / 100:
            raise Trouble(f"bench_dns: {got}")
        if number >= 0:
            rates.values.append(got["answers"] / got["seconds"])
            busy.values.append((cpu_of([pid]) - before) / got["seconds"])
            progress(f"round {number + 1}: {rates.values[-1]:.0f} answers/s, {busy.values[-1]:.2f} of a processor")
    result.json = {"qps": round(rates.median), "cores": round(busy.median, 2),
                   "qps_per_core": round(rates.median / max(busy.median, 0.01))}
    result.row("known names, answers a second", rates.text())
    result.row("processors used by the daemon", busy.text(2))
    result.chart_series("DNS answers of known names", "per second, one core", {"ocala": rates})
    return result


def switches(pid):
    """How often the threads of a process gave up the processor of their own accord: once for each wake-up."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M)[1])
    return total


def wakeups(bench, lab, result, seconds=60):
    """An idle daemon: alone, and with a link that stands (its keepalives are wake-ups)."""
    alpha, beta = two_hosts(lab)
    alpha.up()
    result.row(f"in {seconds} s", "wake-ups", "processor, ms", "daemon + helper, MB")
    for label in ("alone", "with a link"):
        if label == "with a link":
            beta.up()
            wait_until(lambda: alpha.ping("beta.east.ip"), 30, "beta to answer")
        time.sleep(5)  # what the beginning left behind: saved state, parked timers
        daemon, helper = alpha.daemon_pid(), alpha.helper_pid()
        before, cpu = (switches(daemon), switches(helper)), cpu_of([daemon, helper])
        time.sleep(seconds)
        woken = (switches(daemon) - before[0], switches(helper) - before[1])
        used, size = (cpu_of([daemon, helper]) - cpu) * 1000, (resident(daemon) + resident(helper)) / 2**20
        key = "" if label == "alone" else "linked_"
        result.json.update({f"{key}wakeups": sum(woken), f"{key}cpu_ms": round(used), f"{key}rss_idle_mb": round(size, 2)})
        result.row(label, f"{woken[0]} + {woken[1]}", f"{used:.0f}", f"{size:.2f}")
    return result
