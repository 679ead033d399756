"""Other VPNs between the same two machines, each with its own tunnel interface and addresses.

Each class says what it needs, makes its keys and configuration, starts both ends and tells the address of the other
end.  All are set up as their manuals say, over UDP where they can, with encryption, with their own default MTU.
"""
import json
import os
import re
import shutil
import subprocess

import netlab
from netlab import Skip, Trouble, wait_until

ALPHA, BETA = "10.1.0.1", "10.1.0.2"
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ocala-bench")


def quiet(*argv, input=None):
    done = subprocess.run(argv, capture_output=True, text=True, input=input)
    if done.returncode:
        raise Trouble(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


class Peer:
    """One VPN.  `net`: the number of its /24, 10.99.net.0."""

    packages = ()
    programs = ()
    packaged = True
    family = 4
    interface = ""

    def __init__(self, net):
        self.net = net
        self.here, self.target = f"10.99.{net}.1", f"10.99.{net}.2"
        self.port = 7500 + net
        self.processes = []

    def missing(self):
        """Why it cannot run here; None when it can."""
        lacking = [p for p in self.programs if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
        if lacking:
            return f"{' and '.join(lacking)} not installed (Debian: {' '.join(self.packages)}; --install)"
        return None

    def run(self, machine, argv, name):
        process = machine.start(argv, f"{self.name}{name}.log")
        self.processes.append(process)
        return process

    def up(self, alpha, beta):
        self.start(alpha, beta)
        # Some make their link at the first packet only.
        wait_until(lambda: alpha.run(["ping", f"-{self.family}", "-c1", "-W1", self.target]).returncode == 0, 25,
                   lambda: f"{self.target} to answer; " + " ".join(p.log()[-300:] for p in self.processes))

    def down(self):
        for process in self.processes:
            process.end(limit=10)


class WireGuardGo(Peer):
    name, packages, programs = "wireguard-go", ("wireguard-go", "wireguard-tools"), ("wireguard-go", "wg")
    binary = "wireguard-go"

    def device(self, machine, name):
        self.run(machine, [self.binary, "-f", name], f"-{machine.name}")
        wait_until(lambda: machine.run(["ip", "link", "show", name]).returncode == 0, 10, f"{self.name}'s interface")

    def start(self, alpha, beta):
        keys = {m: quiet("wg", "genkey") for m in (alpha, beta)}
        for machine, other, own, at in ((alpha, beta, self.here, BETA), (beta, alpha, self.target, ALPHA)):
            name = f"wg{self.net}"
            self.device(machine, name)
            path = machine.write(f"{name}.conf", f"[Interface]\nPrivateKey = {keys[machine]}\nListenPort = {self.port}\n"
                                 f"[Peer]\nPublicKey = {quiet('wg', 'pubkey', input=keys[other])}\n"
                                 f"Endpoint = {at}:{self.port}\nAllowedIPs = 10.99.{self.net}.0/24\n", 0o600)
            machine.run(["wg", "setconf", name, path], check=True)
            machine.run(f"ip addr add {own}/24 dev {name} && ip link set {name} mtu 1420 up", check=True)


class WireGuardGoCurrent(WireGuardGo):
    """As its module says now, built by a Go toolchain from the module proxy; kept in a cache folder."""

    name, packages, packaged = "wireguard-go (current)", ("golang-go", "wireguard-tools"), False
    module = "golang.zx2c4.com/wireguard"

    def missing(self):
        if not shutil.which("wg"):
            return "wg not installed (Debian: wireguard-tools; --install)"
        self.binary = os.path.join(CACHE, "wireguard")
        if os.path.exists(self.binary):
            return None
        if not shutil.which("go"):
            return "no Go toolchain to build it (Debian: golang-go; --install)"
        env = dict(os.environ, GOBIN=CACHE, GOPATH=os.path.join(CACHE, "go"), GOCACHE=os.path.join(CACHE, "build"),
                   GOFLAGS="-modcacherw")
        os.makedirs(CACHE, exist_ok=True)
        try:
            done = subprocess.run(["go", "install", self.module + "@latest"], env=env, capture_output=True, text=True,
                                  timeout=600)
        except subprocess.TimeoutExpired:
            return "building it took more than 10 minutes"
        for folder in ("go", "build"):
            shutil.rmtree(os.path.join(CACHE, folder), ignore_errors=True)
        if done.returncode:
            return f"cannot be built here: {done.stderr.strip().splitlines()[-1][:200]}"
        return None

    def version(self):
        done = subprocess.run(["go", "version", "-m", self.binary], capture_output=True, text=True)
        found = re.search(r"\smod\s+\S+\s+(\S+)", done.stdout)
        return found[1] if found else "unknown"


class WireGuardKernel(WireGuardGo):
    name, packages, programs, packaged = "WireGuard (kernel)", ("wireguard-tools",), ("wg",), False

    def device(self, machine, name):
        done = machine.run(["ip", "link", "add", name, "type", "wireguard"])
        if done.returncode:
            raise Skip("this kernel has no WireGuard")


class OpenVpn(Peer):
    name, packages, programs = "OpenVPN", ("openvpn", "openssl"), ("openvpn", "openssl")

    def start(self, alpha, beta):
        prints = {}
        for machine in (alpha, beta):
            key, cert = machine.file("ovpn.key"), machine.file("ovpn.crt")
            quiet("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                  "2", "-subj", f"/CN={machine.name}", "-keyout", key, "-out", cert)
            prints[machine] = quiet("openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256").partition("=")[2]
        for machine, other, role, own, far, at in ((beta, alpha, "--tls-server", self.target, self.here, ALPHA),
                                                   (alpha, beta, "--tls-client", self.here, self.target, BETA)):
            self.run(machine, ["openvpn", role, "--dev", f"ovpn{self.net}", "--dev-type", "tun", "--proto", "udp", "--port",
                               str(self.port), "--remote", at, "--ifconfig", own, far, "--dh", "none", "--cert",
                               machine.file("ovpn.crt"), "--key", machine.file("ovpn.key"), "--peer-fingerprint",
                               prints[other], "--data-ciphers", "AES-256-GCM", "--verb", "3", "--disable-dco"], f"-{machine.name}")


class Tinc(Peer):
    name, packages, programs = "tinc", ("tinc",), ("tincd",)

    def start(self, alpha, beta):
        hosts = {}
        for machine, at, own in ((alpha, ALPHA, self.here), (beta, BETA, self.target)):
            folder = machine.file("tinc")
            os.makedirs(os.path.join(folder, "hosts"))
            connect = "ConnectTo = beta\n" if machine is alpha else ""
            machine.write("tinc/tinc.conf", f"Name = {machine.name}\nInterface = tinc{self.net}\nAddressFamily = ipv4\n"
                          f"{connect}")
            machine.write("tinc/tinc-up", f"#!/bin/sh\nip addr add {own}/24 dev $INTERFACE\nip link set $INTERFACE up\n",
                          0o755)
            machine.write(f"tinc/hosts/{machine.name}", f"Address = {at}\nPort = {self.port}\nSubnet = {own}/32\n")
            quiet("tincd", "-c", folder, "-K2048", input="\n\n")
            with open(os.path.join(folder, "hosts", machine.name)) as f:
                hosts[machine.name] = f.read()
        for machine in (beta, alpha):
            for name, text in hosts.items():
                machine.write(f"tinc/hosts/{name}", text)
            self.run(machine, ["tincd", "-c", machine.file("tinc"), "-D", f"--pidfile={machine.file('tinc.pid')}"],
                     f"-{machine.name}")


class Nebula(Peer):
    name, packages, programs = "nebula", ("nebula",), ("nebula", "nebula-cert")

    def start(self, alpha, beta):
        ca = [alpha.file("nebula-ca.crt"), alpha.file("nebula-ca.key")]
        quiet("nebula-cert", "ca", "-name", "bench", "-out-crt", ca[0], "-out-key", ca[1])
        for machine, own in ((beta, self.target), (alpha, self.here)):
            crt, key = machine.file("nebula.crt"), machine.file("nebula.key")
            quiet("nebula-cert", "sign", "-name", machine.name, "-ip", f"{own}/24", "-ca-crt", ca[0], "-ca-key", ca[1],
                  "-out-crt", crt, "-out-key", key)
            anybody = [{"port": "any", "proto": "any", "host": "any"}]
            config = {"pki": {"ca": ca[0], "cert": crt, "key": key},
                      "static_host_map": {} if machine is beta else {self.target: [f"{BETA}:{self.port}"]},
                      "lighthouse": {"am_lighthouse": machine is beta, "interval": 60,
                                     "hosts": [] if machine is beta else [self.target]},
                      "listen": {"host": "0.0.0.0", "port": self.port},
                      "tun": {"dev": f"neb{self.net}", "mtu": 1300},
                      "firewall": {"outbound": anybody, "inbound": anybody}}
            self.run(machine, ["nebula", "-config", machine.write("nebula.yaml", json.dumps(config))], f"-{machine.name}")


class Fastd(Peer):
    name, packages, programs = "fastd", ("fastd",), ("fastd",)

    def start(self, alpha, beta):
        keys = {}
        for machine in (alpha, beta):
            words = re.findall(r"[0-9a-f]{64}", quiet("fastd", "--generate-key"))
            keys[machine] = words[:2]  # secret, public
        for machine, other, own, at in ((alpha, beta, self.here, BETA), (beta, alpha, self.target, ALPHA)):
            text = (f'log level warn;\nmode tun;\ninterface "fastd{self.net}";\nmethod "salsa2012+umac";\nmtu 1406;\n'
                    f'bind 0.0.0.0:{self.port};\nsecret "{keys[machine][0]}";\n'
                    f'on up "ip addr add {own}/24 dev $INTERFACE; ip link set $INTERFACE up";\n'
                    f'peer "other" {{ key "{keys[other][1]}"; remote {at} port {self.port}; }}\n')
            self.run(machine, ["fastd", "--config", machine.write("fastd.conf", text, 0o600)], f"-{machine.name}")


class Yggdrasil(Peer):
    name, packages, programs, family = "yggdrasil", ("yggdrasil",), ("yggdrasil",), 6

    def start(self, alpha, beta):
        for machine in (beta, alpha):
            config = json.loads(quiet("yggdrasil", "-genconf", "-json"))
            config.update({"Listen": [f"tcp://{BETA}:{self.port}"] if machine is beta else [],
                           "Peers": [] if machine is beta else [f"tcp://{BETA}:{self.port}"],
                           "IfName": f"ygg{self.net}", "MulticastInterfaces": [], "AdminListen": "none"})
            path = machine.write("yggdrasil.conf", json.dumps(config), 0o600)
            if machine is beta:
                self.target = quiet("yggdrasil", "-useconffile", path, "-address")
            self.run(machine, ["yggdrasil", "-useconffile", path], f"-{machine.name}")


class N2n(Peer):
    name, packages, programs = "n2n", ("n2n",), ("edge", "supernode")

    def start(self, alpha, beta):
        self.run(beta, ["supernode", "-l", str(self.port), "-f"], "-supernode")
        for machine, own in ((beta, self.target), (alpha, self.here)):
            self.run(machine, ["edge", "-d", f"n2n{self.net}", "-a", own, "-c", "bench", "-k", "secret", "-l",
                               f"{BETA}:{self.port}", "-f", "-u", "0", "-g", "0"], f"-{machine.name}")


PEERS = [WireGuardKernel, WireGuardGoCurrent, WireGuardGo, OpenVpn, Tinc, Nebula, Fastd, Yggdrasil, N2n]


def start_all(alpha, beta, progress, wanted=None):
    """All that can run; what cannot is told with the reason.  Returns (peers, {name: reason})."""
    running, skipped = [], {}
    for number, kind in enumerate(PEERS, 1):
        if wanted and not any(word.lower() in kind.name.lower() for word in wanted):
            continue
        peer = kind(number)
        reason = peer.missing()
        if not reason:
            try:
                peer.up(alpha, beta)
            except (Skip, Trouble, netlab.Skip) as e:
                reason = str(e)
                peer.down()
        if reason:
            skipped[peer.name] = reason
            progress(f"{peer.name}: skipped: {reason}")
        else:
            running.append(peer)
            progress(f"{peer.name}: runs")
    return running, skipped
