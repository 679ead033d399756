#!/usr/bin/python3
"""
    alpha ------------ beta        one overlay, east.ip: what goes wrong on a host, and what is left behind
    10.1.0.1           10.1.0.2
"""
import os
import re
import signal
import subprocess

import service
import suite
from netlab import Lab, need, program, wait_until
from ocalahost import PORT, Host, alive, tree, two_hosts
from suite import case

BETA, ALPHA = "beta.east.ip", "alpha.east.ip"


def new_lab():
    need("ping", "curl", "dig", "tcpdump", "nft")
    return Lab(machine_class=Host)


def traces(host):
    """Everything that a daemon may change on its machine, as text to compare."""
    commands = ("ip -o link show", "ip -o addr show", "ip route show table all", "ip -6 route show table all",
                "ip rule show", "nft list ruleset", "cat /etc/resolv.conf")
    text = "\n".join(host.run(c).stdout for c in commands)
    # Counters of the kernel's own that move without anybody's doing.
    return re.sub(r"(valid_lft|preferred_lft|expires) \S+", "", re.sub(r" state \S+", "", text))


def ends_with(host, status, *words):
    """Starts ocalad, which must end by itself with `status` and say `words`."""
    process = host.launch()
    got = process.wait()
    log = process.log()
    assert got == status, f"status {got}, not {status}: {log}"
    for word in words:
        assert word in log, f'"{word}" is not in: {log}'
    return log


@case
def configuration_errors_end_with_78_and_change_nothing():
    """errors of the configuration: file, line, column, what would be right; status 78; nothing changed"""
    bad = {
        "unknown key": ("colour: blue\n", "colour"),
        "wrong type": ("workers: many\n", "workers"),
        "out of range": ("tun:\n  mtu: 12\n", "mtu"),
        "unknown mode": ("dns:\n  mode: sometimes\n", "resolvconf"),
    }
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        del alpha.config["tun"], alpha.config["dns"]
        alpha.write_config()
        with open(alpha.file("ocalad.yaml")) as f:
            good = f.read()
        before = traces(alpha)
        for what, (text, word) in bad.items():
            path = alpha.write("bad.yaml", good + text)
            done = alpha.run([program("ocalad"), "--config", path])
            assert done.returncode == 78, (what, done.returncode, done.stderr)
            assert re.search(r"bad\.yaml:\d+:\d+: ", done.stderr) and word in done.stderr, (what, done.stderr)
            check = alpha.run([program("ocala"), "config", "check", path])
            assert check.returncode == 78 and word in check.stderr + check.stdout, (what, check)
        assert traces(alpha) == before
        assert alpha.run([program("ocalad"), "--config", alpha.file("none.yaml")]).returncode == 78


@case
def keys_and_secrets_of_others_are_refused():
    """a secret that others can read, that is missing or that is garbage: status 78"""
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        path = alpha.config["overlays"][0]["secret"]
        os.chmod(path, 0o644)
        ends_with(alpha, 78, path, "600")
        os.chmod(path, 0o600)
        with open(path, "w") as f:
            f.write("not a secret\n")
        ends_with(alpha, 78, path)
        os.unlink(path)
        ends_with(alpha, 78, path)


@case
def a_taken_port():
    """the port is taken: status 1, the log names it, nothing is left"""
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        taker = alpha.start(["/usr/bin/python3", "-c",
                             f"import signal,socket\ns=socket.socket(2,2)\ns.bind(('0.0.0.0',{PORT}))\n"
                             "print('ready',flush=True)\nsignal.pause()"])
        taker.await_log("ready")
        before = traces(alpha)
        ends_with(alpha, 1, str(PORT))
        assert traces(alpha) == before
        taker.end(signal.SIGKILL)
        alpha.up()


@case
def a_taken_tun_name():
    """the TUN's name is taken: status 1, the log names it, nothing is left"""
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        alpha.ip("link add ocala0 type veth peer name other")
        before = traces(alpha)
        ends_with(alpha, 1, "ocala0")
        assert traces(alpha) == before


@case
def no_tun_device():
    """no /dev/net/tun: status 1 with the remedy"""
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        alpha.run("mount -t tmpfs tmpfs /dev/net", check=True)
        ends_with(alpha, 1, "/dev/net/tun")


@case
def no_privilege():
    """an ordinary user who starts ocalad is told what is missing"""
    with new_lab() as lab:
        alpha, _ = two_hosts(lab)
        os.chmod(alpha.write_config(), 0o644)
        os.chown(alpha.config["overlays"][0]["secret"], 65534, 65534)
        os.chmod(alpha.folder, 0o777)
        done = alpha.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program("ocalad"),
                          "--config", alpha.file("ocalad.yaml")])
        assert done.returncode == 1, (done.returncode, done.stderr)
        assert "root" in done.stderr or "CAP_NET_ADMIN" in done.stderr, done.stderr


@case
def sigterm_leaves_nothing():
    """SIGTERM: status 0; interfaces, routes, rules and resolv.conf are as before; no process is left"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.set_resolver("# as it was\nnameserver 192.0.2.53\noptions edns0\n")
        before = traces(alpha)
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        assert traces(alpha) != before
        pids = tree(alpha.process.pid)
        assert alpha.down() == 0
        assert traces(alpha) == before
        assert not [p for p in pids if alive(p)]


@case
def a_killed_daemon_leaves_dns_whole_and_nothing_leaks():
    """SIGKILL for the daemon: resolv.conf is restored, and a program that goes on sending leaks nothing in clear"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.set_resolver("# as it was\nnameserver 192.0.2.53\n")
        beta.run("echo 1 > /proc/sys/net/ipv4/ip_forward")
        alpha.ip("route add default via 10.1.0.2")
        alpha.up(), beta.up()
        handle = alpha.lookup(BETA)[0]
        handle6 = alpha.lookup(BETA, "AAAA")[0]
        alpha.ip("-6 route add default via fd01::2")
        sender = alpha.start(["/usr/bin/python3", "-c", f"""
import socket, time
print("ready", flush=True)
sockets = [(socket.socket(f, socket.SOCK_DGRAM), a) for f, a in ((socket.AF_INET, "{handle}"), (socket.AF_INET6, "{handle6}"))]
count = 0
while True:
    for s, a in sockets:
        try:
            s.sendto(b"{service.MARKER}", (a, 7))
        except OSError:
            pass
        count += 1
    time.sleep(0.002)
"""])
        sender.await_log("ready")
        capture = alpha.capture("eth0")
        alpha.kill9([alpha.daemon_pid()])
        wait_until(lambda: "as it was" in alpha.etc("resolv.conf"), 30, lambda: alpha.etc("resolv.conf"))
        assert "192.0.2.53" in alpha.etc("resolv.conf")
        # Long enough for the sender to have tried some hundred times.
        alpha.run(["ping", "-c", "10", "-i", "0.1", "10.1.0.2"], check=True)
        assert sender.running(), sender.log()
        seen = capture.bytes()
        assert service.MARKER.encode() not in seen, "the program's bytes left in clear"
        assert alpha.run(["ip", "route", "get", handle]).returncode != 0
        sender.end(signal.SIGKILL)
        alpha.up()
        assert alpha.ping(BETA) and alpha.lookup(BETA) == [handle]


@case
def everything_killed_then_started():
    """SIGKILL for daemon and helper: the next start puts resolv.conf right, keeps what was there before"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.set_resolver("# as it was\nnameserver 192.0.2.53\n")
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        alpha.kill9()
        assert "as it was" not in alpha.etc("resolv.conf") or "192.0.2.53" in alpha.etc("resolv.conf")
        alpha.up()
        assert alpha.ping(BETA)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == "# as it was\nnameserver 192.0.2.53\n"


@case
def a_killed_helper():
    """SIGKILL for the helper: the daemon does not go on as if nothing were; the next start is clean"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.set_resolver("# as it was\nnameserver 192.0.2.53\n")
        alpha.up(), beta.up()
        daemon = alpha.daemon_pid()
        os.kill(alpha.helper_pid(), signal.SIGKILL)
        wait_until(lambda: not alive(daemon), 15, "the daemon to end after its helper")
        alpha.process.wait()
        alpha.up()
        assert alpha.ping(BETA)
        assert alpha.down() == 0
        assert alpha.etc("resolv.conf") == "# as it was\nnameserver 192.0.2.53\n"


@case
def pool_addresses_from_the_underlay_are_dropped():
    """a packet with a handle address that arrives on another interface is dropped"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.up(), beta.up()
        assert alpha.ping(BETA)
        handle = alpha.lookup(BETA)[0]
        tun = alpha.ask("status")["host"]["tun"]["address4"].split("/")[0]
        server = alpha.start(["/usr/bin/python3", "-c", "import socket\ns=socket.socket(2,2)\ns.bind(('0.0.0.0',9))\n"
                              "print('ready',flush=True)\nwhile True: print(s.recvfrom(100),flush=True)"])
        server.await_log("ready")
        # beta's daemon is stopped so that its own pool rules do not stop the forgery.
        assert beta.down() == 0
        beta.ip(f"addr add {handle}/32 dev eth0")
        beta.ip(f"route add {tun}/32 via 10.1.0.1")
        beta.run(["/usr/bin/python3", "-c", f"import socket\ns=socket.socket(2,2)\ns.bind(('{handle}',0))\n"
                  f"s.sendto(b'forged',('{tun}',9))\ns.sendto(b'forged',('10.1.0.1',9))"])
        beta.run(["/usr/bin/python3", "-c", "import socket\ns=socket.socket(2,2)\ns.bind(('10.1.0.2',0))\n"
                  f"s.sendto(b'pool-target',('{tun}',9))\ns.sendto(b'honest',('10.1.0.1',9))"])
        wait_until(lambda: "honest" in server.log(), 30, "the honest datagram")
        assert "forged" not in server.log() and "pool-target" not in server.log(), server.log()


@case
def several_daemons_on_one_machine():
    """two daemons on one machine in different namespaces do not know of each other"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        # Both share the machine's files, and nothing but their configuration differs.
        alpha.up(), beta.up()
        assert alpha.ping(BETA) and beta.ping(ALPHA)
        assert alpha.down() == 0
        assert beta.is_running() and beta.down() == 0


@case
def a_second_daemon_in_one_place_is_refused():
    """a second ocalad with the same configuration is refused and the first one goes on"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        alpha.up(), beta.up()
        done = alpha.run([program("ocalad"), "--config", alpha.file("ocalad.yaml")])
        assert done.returncode == 1 and done.stderr, (done.returncode, done.stderr)
        assert alpha.ping(BETA)


@case
def the_underlay_address_changes():
    """alpha's underlay address changes in the middle of a download"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab, impair="--rate 40")
        beta.config["overlays"][0]["members"] = []
        alpha.up(), beta.up()
        beta.serve()
        size = 12 << 20
        path = alpha.file("download")
        curl = alpha.start(["curl", "-sS", "--max-time", "80", "-o", path, f"http://{BETA}:8000/big/{size}"])
        wait_until(lambda: not curl.running() or os.path.exists(path) and os.path.getsize(path) > size // 4, 60,
                   lambda: f"a quarter of the download: {curl.log()}")
        # Otherwise the kernel takes the second address of a network away with the first.
        alpha.run("echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries", check=True)
        alpha.ip("addr add 10.1.0.77/24 dev eth0")
        alpha.ip("addr del 10.1.0.1/24 dev eth0")
        assert curl.wait(80) == 0, curl.log()
        assert subprocess.run(["sha256sum", path], capture_output=True, text=True).stdout.split()[0] == \
            service.test_digest(size)


@case
def a_suspended_daemon_wakes_up():
    """a daemon that is stopped (SIGSTOP) and goes on later finds its peers again"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        for host in (alpha, beta):
            host.config["timers"] = {"keepalive": "1s"}
            host.up()
        assert alpha.ping(BETA)
        pids = tree(alpha.process.popen.pid)
        for pid in pids[1:]:
            os.kill(pid, signal.SIGSTOP)
        assert not beta.ping(ALPHA)  # some ten seconds of silence
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        assert wait_until(lambda: alpha.ping(BETA), 60, "alpha to reach beta again")
        assert wait_until(lambda: beta.ping(ALPHA), 60, "beta to reach alpha again")


@case
def a_full_disk():
    """the disk with the state is full: the daemon says so once and goes on; with room again nothing was lost"""
    with new_lab() as lab:
        alpha, beta = two_hosts(lab)
        os.mkdir(alpha.file("state"))
        alpha.run(f"mount -t tmpfs -o size=64k tmpfs {alpha.file('state')}", check=True)
        alpha.up(), beta.up()
        alpha.run(f"dd if=/dev/zero of={alpha.file('state')}/filler bs=1k; true")
        assert alpha.ping(BETA)
        handles, keys = alpha.ask("handle")["handles"], alpha.ask("key")["keys"]
        assert len(handles) == len(keys) == 1
        alpha.await_log("known: the disk is full")
        # Longer than the daemon takes to try again.
        wait_until(lambda: alpha.ask("status")["host"]["uptime_s"] > 12, 60, "a second try")
        assert alpha.log().count("full") == 1, alpha.log()
        alpha.run(f"rm {alpha.file('state')}/filler", check=True)
        alpha.await_log("'known' can be written again")
        alpha.again()
        again = alpha.ask("handle")["handles"]
        assert [(h["ipv4"], h["key"]) for h in again] == [(h["ipv4"], h["key"]) for h in handles], again
        assert alpha.ask("key")["keys"] == keys
        assert alpha.ping(BETA)
        assert alpha.down() == 0


suite.main(__doc__)
