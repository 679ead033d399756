#!/usr/bin/python3
"""The network of ./demo, and what is shown in it.

          east.ip                        west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2

Then three others, all of them members of lab.ron, on one switch; the way between carol and dave is cut:

    carol 10.3.0.1 --x-- 10.3.0.2 dave
        \\                  /
         +- erin 10.3.0.3 -+

Each step is announced, done with the distribution's own programs, and checked.
"""
import hashlib
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "netns"))

import netlab  # noqa: E402
from netlab import Lab, Skip, Trouble, wait_until  # noqa: E402
from ocalahost import PORT, Host, gateway_overlays, secret, underlay  # noqa: E402

NAME, SECRET_PAGE = "beta.west.ip", "a page that only alpha and beta can read"
FILM, SIZE, RATE = "dave.lab.ron", 24 << 20, "6M"
KEPT = os.path.join(netlab.build_folder(), "demo-network.json")


class Demo:
    def __init__(self, lab):
        self.lab, self.steps, self.failed = lab, 0, []

    def step(self, title):
        self.steps += 1
        print(f"\n\033[1m[{self.steps}] {title}\033[0m" if sys.stdout.isatty() else f"\n[{self.steps}] {title}", flush=True)

    def check(self, good, what):
        print(f"    {'ok' if good else 'FAILED'}: {what}", flush=True)
        if not good:
            self.failed.append(f"step {self.steps}: {what}")

    def show(self, host, command, shown=None):
        """Runs a command on a host as a user would, and shows both the command and what it printed."""
        print(f"    {host.name}$ {shown or ' '.join(command)}", flush=True)
        done = host.run(command, limit=40)
        text = (done.stdout + done.stderr).rstrip()
        print("".join(f"        {line}\n" for line in text.splitlines()), end="", flush=True)
        return done

    def build_network(self):
        self.step("three machines; alpha and beta have no IP route to each other")
        self.alpha, self.gate, self.beta = underlay(self.lab)
        gateway_overlays(self.alpha, self.gate, self.beta, allow=["icmp", "tcp/22", "tcp/8000"])
        done = self.show(self.alpha, ["ip", "route", "get", "10.2.0.2"])
        self.check(done.returncode != 0, "alpha cannot reach beta's address 10.2.0.2")

    def start(self):
        self.step("ocalad on each: alpha and gate share overlay east.ip, gate and beta share west.ip")
        path = self.alpha.write_config()
        self.show(self.alpha, ["cat", path])
        self.captures = [host.capture("eth0") for host in (self.alpha, self.beta)]
        for host in (self.gate, self.beta, self.alpha):
            host.up()
        self.check(True, "three daemons run")
        page = self.beta.write("page.txt", SECRET_PAGE + "\n")
        self.beta.start(["/usr/bin/python3", "-m", "http.server", "--bind", "::", "--directory", os.path.dirname(page),
                         "8000"], "web-server.log")
        self.beta.serve_ssh(self.alpha, "alpha.east.ip")

    def dig(self):
        self.step("dig: beta's name gives a handle address, and back")
        done = self.show(self.alpha, ["dig", "+short", NAME])
        handle = done.stdout.strip()
        self.check(handle.startswith("198.1"), "an IPv4 handle from 198.18.0.0/15")
        done = self.show(self.alpha, ["dig", "+short", "-x", handle or "198.18.0.0"])
        self.check(done.stdout.strip() == NAME + ".", f"the handle's name is {NAME}")
        done = self.show(self.alpha, ["dig", "+short", NAME, "AAAA"])
        self.check(":" in done.stdout, "an IPv6 handle")

    def ping(self):
        self.step("ping")
        done = self.show(self.alpha, ["ping", "-c", "3", "-i", "0.2", NAME])
        self.check("3 received" in done.stdout, "three answers")

    def curl(self):
        self.step("curl")
        done = self.show(self.alpha, ["curl", "-sS", "--max-time", "20", f"http://{NAME}:8000/page.txt"])
        self.check(done.stdout.strip() == SECRET_PAGE, "the page came whole")

    def ssh(self):
        self.step("ssh: beta's sshd lets in only root@alpha.east.ip (PTR, and forward again)")
        options = ["-i", self.alpha.file("ssh_key"), "-o", "StrictHostKeyChecking=accept-new", "-o",
                   f"UserKnownHostsFile={self.alpha.file('known_hosts')}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
                   "-o", "ConnectTimeout=15"]
        done = self.show(self.alpha, ["ssh", *options, f"root@{NAME}", "echo $SSH_CONNECTION; hostname"],
                         f"ssh root@{NAME} 'echo $SSH_CONNECTION; hostname'")
        self.check(done.stdout.strip().endswith("beta"), "logged in on beta")
        self.seen = done.stdout.split()[0] if done.stdout.split() else "198.18.0.0"

    def seen_by_beta(self):
        self.step(f"on beta, alpha has a name: alpha.east.ip, vouched for by gate ({self.seen} is beta's handle for it)")
        done = self.show(self.beta, ["getent", "hosts", self.seen])
        self.check("alpha.east.ip" in done.stdout, "the address that sshd saw is alpha.east.ip")
        done = self.show(self.beta, ["getent", "ahosts", "alpha.east.ip"])
        self.check(self.seen in done.stdout, "alpha.east.ip is that address")

    def captured(self):
        self.step("what went over both underlays (tcpdump, from the first packet on)")
        for host, capture in zip((self.alpha, self.beta), self.captures):
            seen = capture.bytes().lower()
            leaks = [w for w in (SECRET_PAGE, "get /page", "ssh-2.0", "\4beta\4west", "beta.west", "alpha.east",
                                 "\5alpha\4east") if w.lower().encode() in seen]
            self.check(not leaks and len(seen) > 5000, f"{len(seen)} bytes at {host.name}: no plaintext, no names {leaks or ''}")

    def tell(self):
        self.step("what ocala says")
        socket = self.alpha.config["control"]
        done = self.show(self.alpha, [netlab.program("ocala"), "--socket", socket, "explain", NAME],
                         f"ocala explain {NAME}")
        self.check("vouched for by gate.east.ip" in done.stdout, "explain names who vouches")
        done = self.show(self.alpha, [netlab.program("ocala"), "--socket", socket, "status"], "ocala status")
        self.check(done.returncode == 0 and NAME in done.stdout, "status lists the path")

    def ocala(self, host, *words):
        return self.show(host, [netlab.program("ocala"), "--socket", host.config["control"], *words],
                         "ocala " + " ".join(words))

    def members(self):
        self.step("the second act: carol, dave and erin are members of the overlay lab.ron, which routes around failures")
        self.ron = [self.lab.machine(name) for name in ("carol", "dave", "erin")]
        self.lab.switch({m: [f"10.3.0.{i + 1}/24"] for i, m in enumerate(self.ron)})
        text = secret()
        for machine in self.ron: # who knows erin learns the rest
            machine.join("lab.ron", text, {} if machine.name == "erin" else {"erin": f"10.3.0.3:{PORT}"},
                         options={"profile": "fast"})
        for machine in reversed(self.ron):
            machine.up()
        self.carol, self.dave, _ = self.ron
        self.film = os.urandom(SIZE)
        path = self.dave.file("film.bin")
        with open(path, "wb") as f:
            f.write(self.film)
        self.dave.start(["/usr/bin/python3", "-m", "http.server", "--bind", "::", "--directory", os.path.dirname(path),
                         "8000"], "web-server.log")
        wait_until(lambda: not self.carol.run(["curl", "-sI", "--max-time", "10", f"http://{FILM}:8000/"]).returncode, 40,
                   f"{FILM} to answer")
        done = self.ocala(self.carol, "explain", FILM)
        self.check("direct" in done.stdout, "carol reaches dave by the direct way")

    def download(self):
        self.step(f"curl downloads {SIZE >> 20} MB from dave; on the way the cable between carol and dave is cut")
        got = self.carol.file("got.bin")
        command = ["curl", "-sS", "--max-time", "60", "--limit-rate", RATE, "-o", got, f"http://{FILM}:8000/film.bin"]
        print(f"    carol$ {' '.join(command)}", flush=True)
        curl = self.carol.start(command, "curl.log")

        def size():
            return os.path.getsize(got) if os.path.exists(got) else 0
        wait_until(lambda: size() > SIZE // 8 or not curl.running(), 30, "the download to run")
        for machine, other in ((self.carol, self.dave), (self.dave, self.carol)):
            machine.run(["nft", "-f", "-"], check=True, input=(
                "table inet cut { chain in { type filter hook input priority -300; }; }\n"
                f"add rule inet cut in ip saddr 10.3.0.{self.ron.index(other) + 1} drop\n"))
        at, moved, still = size(), time.monotonic(), 0.0
        print(f"    cut: nothing passes between carol and dave any more, after {at >> 10} KiB", flush=True)
        while curl.running():
            now = time.monotonic()
            if size() != at:
                at, still, moved = size(), max(still, now - moved), now
            wait_until(lambda: size() != at or not curl.running(), 60, "the download to go on")
        whole = False
        if size() == SIZE:
            with open(got, "rb") as f:
                whole = hashlib.sha256(f.read()).digest() == hashlib.sha256(self.film).digest()
        self.check(whole and curl.wait() == 0, f"curl has finished, and every byte is right: {size()} bytes; it stood "
                                               f"still for {still:.1f} s {curl.log().strip()}")
        done = self.ocala(self.carol, "explain", FILM)
        self.check("by way of erin" in done.stdout, "carol goes by way of erin now")

    def run(self):
        for part in (self.build_network, self.start, self.dig, self.ping, self.curl, self.ssh, self.seen_by_beta,
                     self.captured, self.tell, self.members, self.download):
            part()


def keep(lab):
    """Remembers the network, and says how to use and how to remove it."""
    kept = {"folder": lab.folder, "machines": {}}
    for machine in lab.machines + ([lab.wires] if lab.wires else []):
        kept["machines"][machine.name] = {"pid": machine.pid, "holder": machine.holder.pid}
    with open(KEPT, "w") as f:
        json.dump(kept, f)
    socket = lab.machines[0].config["control"]
    print(f"""
The network stays up.  To play with it:
    ./demo in alpha                                 a shell on alpha (gate, beta, carol, dave, erin likewise)
    ./demo in alpha curl http://{NAME}:8000/page.txt
    ./demo in alpha {netlab.program('ocala')} --socket {socket} explain {NAME}
Configurations and logs are in {lab.folder}.  To remove it:
    ./demo --remove""")


def load_kept():
    """The network that was kept, or None when there is none or its processes are gone."""
    try:
        with open(KEPT) as f:
            kept = json.load(f)
    except OSError:
        return None
    for machine in kept["machines"].values():
        # The numbers may belong to others by now: a holder is recognised by what it sleeps on.
        try:
            with open(f"/proc/{machine['pid']}/cmdline", "rb") as f:
                if f.read() != b"sleep\0infinity\0":
                    return None
        except OSError:
            return None
    return kept


def remove():
    kept = load_kept()
    if kept:
        for machine in kept["machines"].values():
            os.kill(machine["pid"], signal.SIGKILL)
        shutil.rmtree(kept["folder"], ignore_errors=True)
    if os.path.exists(KEPT):
        os.unlink(KEPT)
    return kept is not None


def inside(words):
    kept = load_kept()
    if not kept:
        sys.exit("There is no network: start one with ./demo --keep")
    if not words or words[0] not in kept["machines"]:
        sys.exit(f"usage: ./demo in {'|'.join(kept['machines'])} [COMMAND...]")
    command = words[1:] or [os.environ.get("SHELL") or "sh"]
    os.execvp("nsenter", ["nsenter", "-t", str(kept["machines"][words[0]]["pid"]), "-n", "-m", "-u", "-i", "-p", "--",
                          *command])


def main():
    if sys.argv[1:2] == ["in"]:
        inside(sys.argv[2:])
    if sys.argv[1:] == ["--remove"]:
        print("removed" if remove() else "there was nothing to remove")
        return
    keeping = "--keep" in sys.argv
    if remove():
        print("(the network of an earlier ./demo --keep was removed)")
    lab = Lab(keep=keeping, machine_class=Host)
    demo = Demo(lab)
    try:
        demo.run()
    except (Trouble, Skip, OSError) as e:
        demo.failed.append(f"step {demo.steps}: {e}")
        print(f"    FAILED: {e}")
    if demo.failed and not keeping:
        print("\nThe ends of the logs:")
        print("\n".join(lab.diagnose()))
    if keeping:
        keep(lab)
    lab.end()
    print()
    if demo.failed:
        print("The demo FAILED: " + "; ".join(demo.failed))
        sys.exit(1)
    print(f"Everything worked: all {demo.steps} steps.")


main()
