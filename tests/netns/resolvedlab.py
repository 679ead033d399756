"""A real systemd-resolved inside a machine of the lab, with a system bus of its own.

The one that is installed, or the one that tools/deps unpacked (installing it would make it this machine's resolver).
"""
import glob
import os
import shutil

from netlab import Skip, need, wait_until

BUS = "/run/dbus/system_bus_socket"
BUS_CONFIG = """<busconfig>
<type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow send_type="method_return"/><allow send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="signal"/>
<allow receive_type="error"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
""" % BUS


def find():
    """(systemd-resolved, resolvectl, folder of its library or None)"""
    unpacked = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ocala",
                            "systemd-resolved")
    for root in ("/", unpacked):
        for folder in ("usr/lib/systemd", "lib/systemd"):
            server = os.path.join(root, folder, "systemd-resolved")
            if os.access(server, os.X_OK):
                library = glob.glob(os.path.join(unpacked, "usr/lib/*/systemd")) if root == unpacked else []
                return server, os.path.join(root, "usr/bin/resolvectl"), library[0] if library else None
    raise Skip("needs systemd-resolved (tools/deps check unpacks one)")


class Resolved:
    def __init__(self, machine, upstream, stub=True, **settings):
        """Starts it in `machine`, with `upstream` as its server; `stub`: resolv.conf leads to it."""
        need("dbus-daemon")
        self.machine = machine
        self.server, client, library = find()
        self.environment = [f"LD_LIBRARY_PATH={library}"] if library else []
        with open(machine.file("etc/passwd"), "a") as f:
            f.write("\nsystemd-resolve:x:990:990::/:/usr/sbin/nologin\n")
        with open(machine.file("etc/group"), "a") as f:
            f.write("\nsystemd-resolve:x:990:\n")
        # Programs look for resolvectl in the system's folders.
        folder = machine.file("sbin")
        os.mkdir(folder)
        machine.write("sbin/resolvectl", "#!/bin/sh\n" + (f"export {self.environment[0]}\n" if library else "") +
                      f'echo "$@" >>{machine.file("resolvectl.log")}\nexec {client} "$@"\n', 0o755)
        machine.run(["mount", "--bind", folder, "/usr/local/sbin"], check=True)
        machine.run("mkdir -p /run/dbus /run/systemd/resolve; chown 990:990 /run/systemd/resolve", check=True)
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        os.makedirs(machine.file("etc/systemd"), exist_ok=True)
        machine.write("etc/systemd/resolved.conf", f"[Resolve]\nDNS={upstream}\nFallbackDNS=\nLLMNR=no\n"
                                                   f"MulticastDNS=no\n{text}")
        self.bus = machine.start([shutil.which("dbus-daemon"), "--nofork", "--nopidfile", "--config-file",
                                  machine.write("bus.conf", BUS_CONFIG)], "dbus.log")
        wait_until(lambda: machine.run(["test", "-S", BUS]).returncode == 0, 30, "the bus")
        if stub:
            os.unlink(machine.file("etc/resolv.conf"))
            os.symlink("../run/systemd/resolve/stub-resolv.conf", machine.file("etc/resolv.conf"))
        self.start()

    def start(self):
        self.process = self.machine.start(["env", *self.environment, "SYSTEMD_LOG_TARGET=console", self.server],
                                          "resolved.log")
        wait_until(lambda: not self.process.running() or
                   self.machine.run(["resolvectl", "status"]).returncode == 0, 15,
                   lambda: f"systemd-resolved: {self.process.log()[-2000:]}")
        if not self.process.running():
            raise Skip(f"systemd-resolved does not run here: {self.process.log()[-500:]}")

    def ctl(self, *words):
        """What resolvectl printed."""
        return self.machine.run(["resolvectl", "--no-pager", *words]).stdout

    def asked(self):
        """Every call of resolvectl so far, ours included, as lines."""
        with open(self.machine.file("resolvectl.log")) as f:
            return f.read().splitlines()
