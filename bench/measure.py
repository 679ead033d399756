"""What benches measure with: rates, round trips, CPU time, and rounds that take turns."""
import json
import os
import re
import statistics
import subprocess
import sys

import netlab
from netlab import Trouble, wait_until

UDP_PORT = "5009"


def progress(text):
    print(text, file=sys.stderr, flush=True)


class Series:
    """What one thing measured in all rounds."""

    def __init__(self, values=()):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, digits=0):
        """Median and range."""
        return f"{self.median:.{digits}f} ({min(self.values):.{digits}f} .. {max(self.values):.{digits}f})"

    def spread(self):
        """Range in parts of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0

    def json(self, digits=1):
        return {"median": round(self.median, digits), "low": round(min(self.values), digits),
                "high": round(max(self.values), digits)}


def take_turns(rounds, measures, unit, failed=None, digits=0):
    """{label: function} measured in turn, so that all meet the same machine; {label: Series}.

    The first time of each is not counted: caches, paths, congestion windows.  With `failed` (a dict) whoever fails is
    left out from then on and its reason goes there; else failure is Trouble.
    """
    series = {label: Series() for label in measures}
    for number in range(-1, rounds):
        for label, measure in measures.items():
            if failed is not None and label in failed:
                continue
            try:
                value = measure()
            except Trouble as e:
                if failed is None:
                    raise
                failed[label] = str(e)[:300]
                progress(f"{label}: {failed[label]}")
                continue
            if number >= 0:
                series[label].values.append(value)
        if number >= 0:
            told = [f"{label} {s.values[-1]:.{digits}f}" for label, s in series.items()
                    if not failed or label not in failed]
            progress(f"round {number + 1}: {', '.join(told)} {unit}")
    return {label: s for label, s in series.items() if not failed or label not in failed}


def serve_iperf(machine):
    server = machine.start(["iperf3", "-s", "--forceflush"])
    server.await_log("listening")
    return server


def iperf(machine, target, *, streams=1, family=4, seconds=3, size=None):
    """Mbit/s of TCP as the receiver saw it; with `size` (bytes to send) the seconds that took as well."""
    length = ["-n", str(size)] if size else ["-t", str(seconds)]
    argv = ["iperf3", f"-{family}", "-c", target, "-P", str(streams), "-J", *length]
    # The server may still be reading what the stream before left in somebody's queues.
    done = wait_until(lambda: busy_is_nothing(machine.run(argv, limit=90)), 20, f"the iperf3 server at {target}")
    try:
        end = json.loads(done.stdout)["end"]["sum_received"]
        return (end["bits_per_second"] / 1e6, end["bytes"]) if size else end["bits_per_second"] / 1e6
    except (ValueError, KeyError):
        said = re.search(r'"error":\s*"([^"]*)"', done.stdout)
        raise Trouble(f"iperf3 to {target}: {said[1] if said else done.stdout[-300:] + done.stderr}") from None


def busy_is_nothing(done):
    """Between two clients iperf3 does not listen for a moment."""
    again = ("server is busy", "Connection refused", "Connection reset")
    return None if any(text in done.stdout for text in again) else done


def round_trip(machine, target, *, family=4, count=1000, options=("-f",)):
    """Average in microseconds."""
    done = machine.run(["ping", f"-{family}", "-q", "-c", str(count), "-W", "2", *options, target], limit=90)
    found = re.search(r"= [\d.]+/([\d.]+)/", done.stdout)
    if not found:
        raise Trouble(f"ping {target}: {done.stdout[-300:]}{done.stderr}")
    return float(found[1]) * 1000


def udp_once(client, server, target, size, pps, seconds):
    """Packets per second that arrived."""
    program = netlab.program("bench_udp")
    receiver = subprocess.Popen(server.enter([program, "receive", UDP_PORT]), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    try:
        if receiver.stdout.readline() != "ready\n":
            raise Trouble("bench_udp: cannot receive")
        client.run([program, "send", target, UDP_PORT, str(size), str(seconds), str(pps)], check=True)
        out, _ = receiver.communicate(timeout=20)
    finally:
        receiver.kill()
        receiver.wait()
    got = json.loads(out)
    return got["packets"] / max(got["seconds"], seconds)


def udp(client, server, target, size, seconds=1):
    """The most packets per second that arrive: as fast as the sender goes, then at paces near what came through, since
    a sender that is not held back takes the processor from those who carry its packets."""
    best = udp_once(client, server, target, size, 0, seconds)
    pace = best
    for _ in range(6):
        pace *= 1.25
        got = udp_once(client, server, target, size, int(pace), seconds)
        best = max(best, got)
        if got < pace * 0.8:
            break
    return best


def cpu_of(pids):
    """Seconds of processor time of processes, so far."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            words = f.read().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_of_machine():
    """Seconds that all processors were not idle, so far."""
    with open("/proc/stat") as f:
        words = [int(word) for word in f.readline().split()[1:]]
    return (sum(words[:8]) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """Bytes of memory that are the process's own: anonymous and shared, not mapped files."""
    with open(f"/proc/{pid}/status") as f:
        kilobytes = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB", f.read(), re.M))
    return (int(kilobytes["RssAnon"]) + int(kilobytes["RssShmem"])) * 1024
