"""Machines of the lab that run ocalad, and the networks that several tests use."""
import base64
import json
import os
import shutil
import signal
import socket

import netlab
from netlab import Machine, Trouble, children, program, wait_until

PORT = 7400


def yaml(value, indent=""):
    """A value as YAML block text: maps and lists on lines of their own, lists of plain values in brackets."""
    if isinstance(value, dict):
        return "".join(f"{indent}{key}:" + below(item, indent) for key, item in value.items())
    text = ""
    for item in value:
        block = yaml(item, indent + "  ") if isinstance(item, (dict, list)) else f"  {scalar(item)}\n"
        text += f"{indent}- " + (block[len(indent) + 2:] if isinstance(item, (dict, list)) else block.lstrip())
    return text


def below(item, indent):
    if isinstance(item, dict):
        return "\n" + yaml(item, indent + "  ")
    if isinstance(item, list):
        if all(not isinstance(x, (dict, list)) for x in item):
            return " [" + ", ".join(scalar(x) for x in item) + "]\n"
        return "\n" + yaml(item, indent + "  ")
    return f" {scalar(item)}\n"


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return json.dumps(text) if text == "" or text[0] in "*&!%@`[]{}'\"#|>-?" or ": " in text or "," in text else text


def secret():
    """A new network secret as its file holds it."""
    return base64.b64encode(os.urandom(32)).decode() + "\n"


def tree(pid):
    """pid and all its descendants."""
    return [pid] + [p for child in children(pid) for p in tree(child)]


def alive(pid):
    """Is there such a process, and not only its remains?"""
    return netlab.state(pid) not in "ZX"


def inner_pid(pid):
    """The number that a process has in its own process namespace; None when it has ended, waited for or not."""
    try:
        with open(f"/proc/{pid}/status") as f:
            status = f.read()
        if "\nState:\tZ" in status:
            return None
        return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))
    except (OSError, StopIteration):
        return None


class Host(Machine):
    """A machine with a configuration of ocalad."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.process = None
        self.config = {"name": name, "overlays": [], "tun": {"name": "ocala0"}, "dns": {"mode": "resolvconf"},
                       "state": self.file("state"), "runtime": self.file("run"), "control": self.file("control")}
        if os.environ.get("OCALA_WORKERS"):  # the same test over another number of workers
            self.config["workers"] = int(os.environ["OCALA_WORKERS"])

    def join(self, instance, secret_text, members=(), listen=f"0.0.0.0:{PORT}", **more):
        """Adds an overlay; `members`: {"gate": "10.1.0.2:7400"} or a list of member maps."""
        overlay = {"instance": instance, "listen": listen}
        if secret_text is not None:
            secrets = [secret_text] if isinstance(secret_text, str) else secret_text
            paths = [self.write(f"{instance}.secret{number or ''}", text, 0o600)
                     for number, text in enumerate(secrets)]
            overlay.update({"secret": paths[0]} if len(paths) == 1 else {"secrets": paths})
        if isinstance(members, dict):
            members = [{"name": name, "at": at} for name, at in members.items()]
        if members:
            overlay["members"] = list(members)
        overlay.update(more)
        self.config["overlays"].append(overlay)
        return overlay

    def add(self, section, **entry):
        self.config.setdefault(section, []).append(entry)

    def write_config(self):
        return self.write("ocalad.yaml", yaml(self.config))

    def launch(self):
        """Starts ocalad and does not wait; returns its Process."""
        self.process = self.start([program("ocalad"), "--config", self.write_config()], "ocalad.log")
        return self.process

    def up(self, limit=60):
        """Starts ocalad and waits until it runs."""
        self.launch()
        wait_until(lambda: not self.process.running() or self.is_running(), limit,
                   lambda: f"ocalad of {self.name} to run; log: {self.log()[-2000:]}")
        if not self.process.running():
            raise Trouble(f"ocalad of {self.name} ended with {self.process.popen.returncode}: {self.log()[-2000:]}")
        return self

    def is_running(self):
        try:
            return self.ask("status")["host"]["state"] == "running"
        except (OSError, Trouble, ValueError, KeyError):
            return False

    def down(self, limit=30):
        """SIGTERM; returns the exit status."""
        return self.process.end(signal.SIGTERM, limit)

    def daemon_pid(self):
        """The unprivileged process (the helper is another one)."""
        inner = self.ask("status")["host"]["pid"]
        return next(p for p in tree(self.process.pid) if inner_pid(p) == inner)

    def helper_pid(self):
        daemon = self.daemon_pid()
        return next(p for p in tree(self.process.pid) if p != daemon)

    def kill9(self, pids=None):
        """SIGKILL for all processes of ocalad, or for those given; returns when all of ocalad has ended."""
        everything = tree(self.process.pid)
        for pid in pids or everything:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_until(lambda: not any(map(alive, everything)), 30, "all processes of ocalad to end")

    def again(self):
        """Kills ocalad in the hardest way and starts it again."""
        self.kill9()
        return self.up()

    def log(self):
        return self.process.log() if self.process else ""

    def await_log(self, text, limit=30):
        wait_until(lambda: text in self.log(), limit, lambda: f'"{text}" in the log of {self.name}: {self.log()[-1500:]}')

    def ask(self, command, **args):
        """One request on the control socket; the result of the last reply."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.config["control"])
            request = {"command": command}
            if args:
                request["args"] = args
            s.sendall(json.dumps(request).encode() + b"\n")
            with s.makefile("rb") as replies:
                for line in replies:
                    reply = json.loads(line)
                    if "error" in reply:
                        raise Trouble(f"{command}: {reply['error']}")
                    if not reply.get("more"):
                        return reply["result"]
        raise Trouble(f"{command}: the daemon closed the connection")

    def drops(self):
        """{reason: packets}"""
        return {d["name"]: d["packets"] for d in self.ask("drops")["drops"]}

    def ocala(self, *words, check=True, limit=40):
        """The command line program."""
        return self.run([program("ocala"), "--socket", self.config["control"], *words], check=check, limit=limit)

    def ocala_json(self, *words):
        return json.loads(self.ocala(*words, "--json").stdout)

    def explain(self, name):
        return self.ask("explain", name=name)

    def diagnose(self):
        return super().diagnose() + self.facts()

    def facts(self):
        """What the daemon says of its links, paths and drops, if it still answers."""
        try:
            drops = {name: packets for name, packets in self.drops().items() if packets}
            links, paths = self.ask("overlay")["links"], self.ask("path")["paths"]
        except (AttributeError, OSError, Trouble, ValueError, KeyError, TypeError) as e:
            return [f"--- {self.name}: no facts from the daemon: {e!r}"]
        return [f"--- {self.name}: drops {drops}"] + [f"    link {json.dumps(x)}" for x in links[:8]] + \
               [f"    path {json.dumps(x)}" for x in paths[:8]]

    def lookup(self, name, kind="A"):
        """Addresses as dig prints them; a list."""
        return self.run(["dig", "+short", "+time=15", "+tries=1", name, kind]).stdout.split()

    def ping(self, name, count=None, limit=60):
        """True when an answer came.  Of `count` packets all are sent; without a count it is one a second until the first
        answer, for ten seconds: a single packet may be lost."""
        words = ["-c", str(count), "-i", "0.2", "-W", "10"] if count else ["-c", "1", "-w", "10"]
        return self.run(["ping", *words, name], limit=limit).returncode == 0

    def start_echoes(self, name, count, interval):
        """Sends `count` packets, one each `interval` seconds, and waits for the answers with patience (echoes.py)."""
        return self.start(["/usr/bin/python3", os.path.join(netlab.HERE, "echoes.py"), name, str(count), str(interval)])

    def echoes(self, name, count, interval):
        """The same to its end: {"answered": how many, "twice": how many more than once, "ms": round trips, sorted}."""
        process = self.start_echoes(name, count, interval)
        status = process.wait(60 + count * interval)
        if status:
            raise Trouble(f"{self.name}: echoes of {name}: status {status}: {process.log()}")
        return json.loads(process.log())

    def curl(self, url, *words, limit=30, check=True):
        """What curl fetched, as text."""
        return self.run(["curl", "-sS", "--max-time", str(limit - 2), *words, url], limit=limit, check=check).stdout

    def serve(self):
        """Starts the test service (service.py) and waits until it listens."""
        self.service = self.start(["/usr/bin/python3", os.path.join(netlab.HERE, "service.py")])
        self.service.await_log("ready")
        return self.service

    def serve_ssh(self, client, only_from):
        """An sshd that lets root of `client` in with a new key, if the client's address has the name `only_from`."""
        key, host_key = client.file("ssh_key"), self.file("ssh_host_key")
        for path in (key, host_key):
            netlab.call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        with open(key + ".pub") as f:
            keys = self.write("authorized_keys", f'from="{only_from}" {f.read()}', 0o600)
        config = self.write("sshd_config", f"HostKey {host_key}\nAuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\n"
                                           "PidFile none\nUseDNS yes\nPermitRootLogin yes\n"
                                           "PasswordAuthentication no\nKbdInteractiveAuthentication no\n")
        sshd = self.start([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", config])
        sshd.await_log("Server listening on")
        return sshd

    def ssh(self, name, *command, limit=40):
        """Runs a command on another machine by ssh, with the key that serve_ssh() made."""
        return self.run(["ssh", "-i", self.file("ssh_key"), "-o", "StrictHostKeyChecking=accept-new", "-o",
                         f"UserKnownHostsFile={self.file('known_hosts')}", "-o", "BatchMode=yes", "-o",
                         "ConnectTimeout=20", f"root@{name}", *command], limit=limit)


def at_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def serve_i3(machine, addresses, seeds=(), options=()):
    """Runs a server of i3 (ports 5610 and 5611) as machine.server, at one address or one of each family; `seeds`: addresses
    of others of its ring."""
    ready = machine.file("i3-ready")
    words = [program("ocala"), "i3-server", "--control", machine.file("i3-control"), "--ready-file", ready, *options]
    for address in netlab.listed(addresses):
        words += ["--listen", at_port(address, 5610)]
    for seed in seeds:
        words += ["--seed", at_port(seed, 5611)]
    machine.server = machine.start(words, "i3-server.log")
    wait_until(lambda: os.path.exists(ready), 60, lambda: f"{machine.name} to serve: {machine.server.log()}")


def underlay(lab, *, impair=(None, None), mtu=(1500, 1500), names=("alpha", "gate", "beta")):
    """Three machines in a row without any IP route between the outer two:
    alpha 10.1.0.1 ---- 10.1.0.2 gate 10.2.0.1 ---- 10.2.0.2 beta
    """
    alpha, gate, beta = (lab.machine(name) for name in names)
    lab.east = lab.cable(alpha, ["10.1.0.1/24", "fd01::1/64"], gate, ["10.1.0.2/24", "fd01::2/64"], mtu[0], impair[0])
    lab.west = lab.cable(gate, ["10.2.0.1/24", "fd02::1/64"], beta, ["10.2.0.2/24", "fd02::2/64"], mtu[1], impair[1],
                         seed=2)
    return alpha, gate, beta


SERVICES = ["icmp", "tcp/22", "tcp/7", "tcp/81", "tcp/8000", "udp/7", "udp/33434-33534"]


def gateway_overlays(alpha, gate, beta, allow=None):
    """alpha and gate share east.ip, gate and beta share west.ip with another secret; gate joins them."""
    east, west = secret(), secret()
    alpha.join("east.ip", east, {"gate": f"10.1.0.2:{PORT}"})
    gate.join("east.ip", east, {"alpha": f"10.1.0.1:{PORT}"}, listen=f"10.1.0.2:{PORT}")
    gate.join("west.ip", west, {"beta": f"10.2.0.2:{PORT}"}, listen=f"10.2.0.1:{PORT}")
    beta.join("west.ip", west, {"gate": f"10.2.0.1:{PORT}"})
    gate.config["dns"]["mode"] = "none"
    gate.add("forward", **{"from": "east.ip", "to": "west.ip"})
    gate.add("forward", **{"from": "west.ip", "to": "east.ip"})
    alpha.add("rules", names="*.west.ip", via="gate.east.ip")
    beta.add("rules", names="*.east.ip", via="gate.west.ip")
    alpha.add("believe", gateway="gate.east.ip", instances=["west.ip"])
    beta.add("believe", gateway="gate.west.ip", instances=["east.ip"])
    beta.add("policy", peer="*.east.ip", allow=allow or SERVICES)


def two_hosts(lab, *, impair=None, mtu=1500, secrets=None):
    """Two members of east.ip on one cable:  alpha 10.1.0.1 ---- 10.1.0.2 beta"""
    alpha, beta = lab.machine("alpha"), lab.machine("beta")
    lab.east = lab.cable(alpha, ["10.1.0.1/24", "fd01::1/64"], beta, ["10.1.0.2/24", "fd01::2/64"], mtu, impair)
    first, second = secrets or (secret(),) * 2
    alpha.join("east.ip", first, {"beta": f"10.1.0.2:{PORT}"})
    beta.join("east.ip", second, {"alpha": f"10.1.0.1:{PORT}"})
    return alpha, beta
