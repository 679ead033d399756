"""Small networks of namespaces on one machine, for tests of the real daemon with the real kernel.

    with Lab() as lab:
        alpha, gate = lab.machine("alpha"), lab.machine("gate")
        lab.cable(alpha, "10.1.0.1/24", gate, "10.1.0.2/24", impair="--delay 10 --loss 0.01")
        print(alpha.run(["ping", "-c1", "10.1.0.2"]).stdout)

A machine is a set of namespaces (network, mount, process, hostname) held by one sleeping process: it has its own /etc,
/run and process numbers, and when that process ends the kernel ends everything inside.  The holder dies with the test,
so nothing stays behind however the test ends.  Only /tmp and the programs are shared.  Needs root.
"""
import atexit
import collections
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Trouble(Exception):
    """What a test could not do; the text is for the reader."""


class Skip(Exception):
    """The machine lacks what the test needs."""


def wait_until(condition, limit=30, what="a condition"):
    """Waits until condition() is true and returns its value; after `limit` seconds raises Trouble."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble(f"waited {limit} s in vain for {what() if callable(what) else what}")
        time.sleep(0.02)


def build_folder():
    """The build folder whose programs are tested: OCALA_BUILD, or build/."""
    return os.environ.get("OCALA_BUILD") or os.path.join(ROOT, "build")


def program(name):
    """Path of a program of ours in the build folder."""
    for folder in ("src/daemon", "src/cli", "tests/support", "src/helper", "src", "bench", "tests/netns", ""):
        path = os.path.join(build_folder(), folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise Skip(f"{name} is not built in {build_folder()}")


def cpu_groups():
    """The folder of our own control group for processor time, and its version; None where there is none."""
    with open("/proc/self/cgroup") as f:
        own = {field: path for _, fields, path in (line.rstrip("\n").split(":", 2) for line in f)
               for field in fields.split(",")}
    if "cpu" in own:
        for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
            if os.path.isdir(root):
                return root + own["cpu"].rstrip("/"), 1
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "/sys/fs/cgroup" + own.get("", "/").rstrip("/"), 2
    return None, 0


@contextlib.contextmanager
def leash(pid, share):
    """A process and its threads get at most this share of one processor while the block runs: what is too much for it is
    then the same on every machine, whatever else runs there."""
    home, version = cpu_groups()
    if not home:
        raise Skip("no control group for processor time")
    root = home if version == 1 else "/sys/fs/cgroup"
    group = f"{root}/ocala-test-{os.getpid()}"
    period = max(10000, round(1000 / share))  # microseconds; the kernel gives no less than one millisecond of each
    quota = max(1000, int(share * period))

    def put(path, text):
        with open(path, "w") as f:
            f.write(text)
    try:
        os.mkdir(group)
        if version == 2 and not os.path.exists(f"{group}/cpu.max"):
            put(f"{root}/cgroup.subtree_control", "+cpu")
        if version == 2:
            put(f"{group}/cpu.max", f"{quota} {period}")
        else:
            put(f"{group}/cpu.cfs_period_us", str(period))
            put(f"{group}/cpu.cfs_quota_us", str(quota))
        put(f"{group}/cgroup.procs", str(pid))
    except OSError as e:
        if os.path.isdir(group):
            os.rmdir(group)
        raise Skip(f"processor time cannot be limited: {e}") from None
    try:
        yield
    finally:
        with open(f"{group}/cgroup.procs") as f:
            for left in f.read().split():
                put(f"{home}/cgroup.procs", left)
        os.rmdir(group)


def need(*programs):
    """Skips the test unless it runs as root with these programs of the system."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    for name in programs:
        if not shutil.which(name):
            raise Skip(f"needs the program {name}")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def state(pid):
    """What a process does, one letter of /proc/PID/stat: R, S, T, Z...; X when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def call(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Trouble(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


class Process:
    """A program that runs inside a machine, with its output in a file."""

    def __init__(self, machine, argv, log, stdin=subprocess.DEVNULL, stdout=None, new_session=False):
        self.argv, self.log_path = argv, log
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(machine.enter(argv), stdin=stdin, stdout=stdout or output,
                                          stderr=output, start_new_session=new_session, text=True)
        # nsenter forks to enter the process namespace; the program is its child.
        wait_until(lambda: self.popen.poll() is not None or children(self.popen.pid), 30, f"{argv[0]} to start")
        self.pid = (children(self.popen.pid) or [self.popen.pid])[0]

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def running(self):
        return self.popen.poll() is None

    def await_log(self, text, limit=30):
        """Waits until the program printed `text`."""
        wait_until(lambda: text in self.log() or not self.running(), limit, lambda: f'"{text}" in: {self.log()}')
        if text not in self.log():
            raise Trouble(f"{self.argv[0]} ended before it said \"{text}\": {self.log()}")

    def ended(self):
        """Has the program ended?  nsenter stops itself when its program is stopped (SIGSTOP), and sleeps on when that one
        is killed after it: wake it."""
        if self.popen.poll() is None and state(self.popen.pid) == "T" and state(self.pid) in "ZX":
            os.kill(self.popen.pid, signal.SIGCONT)
        return self.popen.poll() is not None

    def wait(self, limit=30):
        """Exit status, -N for a signal."""
        wait_until(self.ended, limit, lambda: f"{self.argv[0]} to end (process {self.pid}, state {state(self.pid)})")
        return self.popen.returncode

    def send_signal(self, number):
        if self.running():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end(self, number=signal.SIGTERM, limit=30):
        """Asks the program to end and returns its status."""
        self.send_signal(number)
        return self.wait(limit)


class Capture:
    """tcpdump on one interface, from the moment it is made until bytes() is called."""

    def __init__(self, machine, interface):
        self.path = machine.file(f"{interface}.pcap")
        self.process = machine.start(["tcpdump", "-i", interface, "-n", "-s0", "-U", "--immediate-mode", "-Z", "root",
                                      "-w", self.path], f"tcpdump-{interface}.log")
        self.process.await_log("listening on")

    def bytes(self):
        """Ends the capture and returns the whole pcap file."""
        self.process.end(signal.SIGINT)
        with open(self.path, "rb") as f:
            return f.read()

    def frames(self):
        """Ends the capture and returns the captured frames as a list of bytes."""
        data, at, frames = self.bytes(), 24, []
        while at + 16 <= len(data):
            size = int.from_bytes(data[at + 8:at + 12], "little")
            frames.append(data[at + 16:at + 16 + size])
            at += 16 + size
        return frames


HOLDER = """
trap '' CHLD                     # ignored over exec too: orphans that end here are reaped
mount --bind "$1/etc" /etc &&
mount -t tmpfs -o mode=755 tmpfs /run &&
mkdir -p /run/sshd /run/lock /run/user &&
hostname "$2" &&
ip link set lo up &&
{ mount -t sysfs sysfs /sys 2>/dev/null || true; } &&
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 &&
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6 &&
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad &&
touch "$1/ready" &&
exec sleep infinity
"""


class Machine:
    """One host of the lab."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.folder = os.path.join(lab.folder, name)
        self.interfaces = 0
        self.processes = []
        self.unsuccessful = collections.deque(maxlen=3)  # what the last programs that failed printed; a test may expect it
        os.mkdir(self.folder)
        self.write_etc()
        argv = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"]
        if not lab.keep:
            argv = ["setpriv", "--pdeathsig", "KILL"] + argv + ["--kill-child=KILL"]
        log = open(self.file("holder.log"), "wb")
        self.holder = subprocess.Popen(argv + ["sh", "-c", HOLDER, "sh", self.folder, name], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        log.close()
        wait_until(lambda: os.path.exists(self.file("ready")) or self.holder.poll() is not None, 30,
                   f"the namespaces of {name}")
        if self.holder.poll() is not None:
            with open(self.file("holder.log")) as f:
                raise Skip(f"cannot make namespaces: {f.read().strip()}")
        self.pid = children(self.holder.pid)[0]

    def write_etc(self):
        """Its own /etc, so that a daemon may change resolv.conf in any way it likes."""
        etc = self.file("etc")
        subprocess.run(["cp", "-a", "/etc", etc], check=False, stderr=subprocess.DEVNULL)
        for name, text in (("hostname", self.name + "\n"),
                           ("hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n"),
                           ("resolv.conf", "nameserver 127.0.0.1\n"),
                           ("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
                                             "services: files\nprotocols: files\n")):
            path = os.path.join(etc, name)
            if os.path.lexists(path):
                os.unlink(path)
            with open(path, "w") as f:
                f.write(text)
        # sshd refuses an account whose password field starts with "!".
        shadow = os.path.join(etc, "shadow")
        with open(shadow) as f:
            lines = [re.sub(r"^root:[^:]*:", "root:*:", line) for line in f]
        with open(shadow, "w") as f:
            f.writelines(lines)

    def file(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content, mode=0o644):
        path = self.file(name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as f:
            f.write(content)
        os.chmod(path, mode)
        return path

    def etc(self, name):
        with open(os.path.join(self.folder, "etc", name)) as f:
            return f.read()

    def etc_link(self, name):
        """Where the link leads."""
        return os.readlink(os.path.join(self.folder, "etc", name))

    def set_resolver(self, text):
        self.write("etc/resolv.conf", text)

    def enter(self, argv):
        """The command line that runs argv inside."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", "--"] + list(argv)

    def run(self, argv, check=False, limit=30, input=None, text=True):
        """Runs a program inside to its end.  `check`: failure is Trouble."""
        if isinstance(argv, str):
            argv = ["sh", "-c", argv]
        try:
            done = subprocess.run(self.enter(argv), capture_output=True, text=text, input=input, timeout=limit,
                                  stdin=None if input is not None else subprocess.DEVNULL)
        except subprocess.TimeoutExpired as e:
            raise Trouble(f"{self.name}: {' '.join(argv)}: no end after {limit} s; output: {e.stdout} {e.stderr}") \
                from None
        if done.returncode != 0:
            said = f"{' '.join(argv)}: status {done.returncode}: {done.stderr} {done.stdout}"
            self.unsuccessful.append(f"{time.strftime('%H:%M:%S')} {said}")
            if check:
                raise Trouble(f"{self.name}: {said}")
        return done

    def start(self, argv, log=None, **more):
        """Starts a program inside and returns its Process; a log that is named is appended to."""
        log = self.file(log or f"{len(self.processes)}-{os.path.basename(argv[0])}.log")
        process = Process(self, argv, log, new_session=self.lab.keep, **more)
        self.processes.append(process)
        return process

    def ip(self, command):
        self.run(["ip"] + command.split(), check=True)

    def capture(self, interface):
        return Capture(self, interface)

    def new_interface(self):
        self.interfaces += 1
        return f"eth{self.interfaces - 1}"

    def set_up(self, interface, addresses, mtu=1500, offloads=True):
        lines = [f"link set {interface} mtu {mtu} up"]
        lines += [f"addr add {a} dev {interface}{' nodad' if ':' in a else ''}" for a in addresses]
        self.run(["ip", "-batch", "-"], check=True, input="\n".join(lines) + "\n")
        for address in addresses:
            if ":" in address:
                self.await_local(address.partition("/")[0])
        if not offloads:
            self.run(["ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"], check=True)

    def await_local(self, address):
        """Waits until packets to an IPv6 address are the machine's own: a busy kernel comes to that later."""
        wait_until(lambda: self.run(["ip", "route", "get", address]).stdout.startswith("local"), 30, f"{address} to be there")

    def diagnose(self):
        """Ends of all logs and the last programs that failed, for the reader of a failed test."""
        text = []
        for said in self.unsuccessful:
            text += [f"--- {self.name}: a program failed"] + ["    " + line for line in said.strip().splitlines()[-15:]]
        for path in dict.fromkeys(process.log_path for process in self.processes):
            with open(path, errors="replace") as f:
                tail = f.read().splitlines()[-15:]
            if tail:
                text.append(f"--- {self.name}: {os.path.basename(path)}")
                text += ["    " + line for line in tail]
        return text


class Cable:
    """What joins two machines; `impairment` takes commands of ocala-impair when it was asked for."""

    def __init__(self, names, process=None):
        self.names, self.process = names, process

    def command(self, text):
        """"loss 0.1", "forth delay 20", "cut", "heal", "stats"..."""
        self.process.popen.stdin.write(text + "\n")
        self.process.popen.stdin.flush()
        answer = self.process.popen.stdout.readline().strip()
        if answer.startswith("{"):
            return json.loads(answer)
        if answer != "ok":
            raise Trouble(f"impairment: {text}: {answer or self.process.log()}")
        return None


def listed(addresses):
    return [addresses] if isinstance(addresses, str) else list(addresses)


LIBC = ctypes.CDLL(None)
NEW_MOUNTS, PRIVATE, DETACH = 0x00020000, 1 << 18 | 1 << 14, 2 # CLONE_NEWNS; MS_PRIVATE | MS_REC; MNT_DETACH


def in_memory(folder):
    """Covers `folder` with a tmpfs that only this process and its children see, and that ends with them: each machine
    copies /etc, which takes seconds on some disks.  Where it cannot be had the folder stays as it is."""
    if not Lab.mounts_are_ours:
        Lab.mounts_are_ours = LIBC.unshare(NEW_MOUNTS) == 0 and LIBC.mount(b"none", b"/", None, PRIVATE, None) == 0
    if Lab.mounts_are_ours:
        LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, None)


class Lab:
    """All machines and cables of one test.  Ends with the `with` block, the process, or a signal."""

    alive = []
    mounts_are_ours = False

    def __init__(self, keep=False, machine_class=Machine):
        need("ip", "unshare", "nsenter", "setpriv", "ethtool")
        self.keep, self.machine_class = keep, machine_class
        self.folder = tempfile.mkdtemp(prefix="ocala-", dir="/tmp")
        if not keep:
            in_memory(self.folder)
        os.chmod(self.folder, 0o711) # programs of other users reach what they are given inside
        self.machines, self.wires, self.wire_count = [], None, 0
        Lab.alive.append(self)
        atexit.register(self.end)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, lambda n, frame: sys.exit(128 + n))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and issubclass(kind, Exception) and not issubclass(kind, Skip):
            print("\n".join("# " + line for line in self.diagnose()), file=sys.stderr, flush=True)
        self.end()

    def end(self):
        """Ends every process inside, and with them the namespaces."""
        if self in Lab.alive:
            Lab.alive.remove(self)
        if self.keep:
            return
        machines = self.machines + ([self.wires] if self.wires else [])
        for machine in machines:
            for pid in [machine.pid] + [machine.holder.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for machine in machines:
            machine.holder.wait()
            for process in machine.processes:
                process.popen.kill()  # nsenter may have been stopped along with its program
                process.popen.wait()
                for stream in (process.popen.stdin, process.popen.stdout):
                    if stream:
                        stream.close()
        self.machines, self.wires = [], None
        LIBC.umount2(self.folder.encode(), DETACH)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.end)

    def machine(self, name, **more):
        machine = self.machine_class(self, name, **more)
        self.machines.append(machine)
        return machine

    def wire_room(self):
        """The machine in which bad cables and switches live."""
        if not self.wires:
            self.wires = Machine(self, "wires")
            self.wires.run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
                           "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6", check=True)
        return self.wires

    def pair(self, a, a_name, b, b_name):
        call("ip", "link", "add", a_name, "netns", str(a.pid), "type", "veth", "peer", "name", b_name, "netns",
             str(b.pid))

    def cable(self, a, a_addresses, b, b_addresses, mtu=1500, impair=None, seed=1):
        """Joins two machines; `impair`: options of ocala-impair, "" for a good cable that can turn bad."""
        a_name, b_name = a.new_interface(), b.new_interface()
        process = None
        if impair is None:
            self.pair(a, a_name, b, b_name)
        else:
            room = self.wire_room()
            ends = [f"w{self.wire_count}a", f"w{self.wire_count}b"]
            self.wire_count += 1
            self.pair(a, a_name, room, ends[0])
            self.pair(b, b_name, room, ends[1])
            for end in ends:
                room.ip(f"link set {end} mtu {mtu} up")
            process = room.start([program("ocala-impair"), *ends, "--seed", str(seed), *impair.split()],
                                 f"impair-{ends[0]}.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if process.popen.stdout.readline() != "ready\n":
                raise Trouble(f"ocala-impair: {process.log()}")
        a.set_up(a_name, listed(a_addresses), mtu, impair is None)
        b.set_up(b_name, listed(b_addresses), mtu, impair is None)
        return Cable((a_name, b_name), process)

    def switch(self, ports, mtu=1500):
        """Joins any number of machines: {machine: addresses}.  Returns {machine: interface}."""
        room = self.wire_room()
        bridge = f"sw{self.wire_count}"
        self.wire_count += 1
        room.ip(f"link add {bridge} type bridge forward_delay 0")
        room.ip(f"link set {bridge} mtu {mtu} up")
        names = {}
        for number, (machine, addresses) in enumerate(ports.items()):
            names[machine] = machine.new_interface()
            end = f"{bridge}p{number}"
            self.pair(machine, names[machine], room, end)
            room.ip(f"link set {end} mtu {mtu} master {bridge} up")
            machine.set_up(names[machine], listed(addresses), mtu)
        return names

    def diagnose(self):
        return [line for machine in self.machines for line in machine.diagnose()]
