#!/usr/bin/python3
"""
          east.ip                        west.ip
    alpha ------------------- gate ------------------- beta
    10.1.0.1       10.1.0.2        10.2.0.1       10.2.0.2
    fd01::1         fd01::2        fd02::1         fd02::2      no IP route between alpha and beta

Unmodified programs on alpha reach beta by name, through gate, encrypted end to end.
"""
import contextlib
import ipaddress
import json
import os
import re

import netlab
import service
import suite
from netlab import Lab, need
from ocalahost import Host, gateway_overlays, underlay
from suite import case

POOL = ipaddress.ip_network("198.18.0.0/15")
UNIQUE_LOCAL = ipaddress.ip_network("fc00::/7")
NAME = "beta.west.ip"

UDP_ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 7))
sent = bytes(i * 7 % 256 for i in range(int(sys.argv[2])))
for attempt in range(4): # a datagram may be lost
    try:
        s.send(sent)
        print("same" if s.recv(65536) == sent else "different")
        break
    except TimeoutError:
        pass
"""


class Net:
    pass


@contextlib.contextmanager
def fixture():
    need("curl", "ssh", "sshd", "ping", "dig", "tcpdump", "traceroute")
    with Lab(machine_class=Host) as lab:
        net = Net()
        net.alpha, net.gate, net.beta = underlay(lab)
        gateway_overlays(net.alpha, net.gate, net.beta)
        west = net.gate.config["overlays"][1]
        west["members"].append({"name": "dead", "at": "10.2.0.99:7400"})
        net.captures = [net.alpha.capture("eth0"), net.beta.capture("eth0")]
        net.alpha.set_resolver("nameserver 10.1.0.2\n")
        net.dns = net.gate.start(["/usr/bin/python3", os.path.join(netlab.HERE, "fakedns.py"), "10.1.0.2", "198.18.7.7"])
        net.dns.await_log("ready")
        for host in (net.gate, net.beta, net.alpha):
            host.up()
        net.beta.serve()
        net.beta.serve_ssh(net.alpha, "alpha.east.ip")
        yield net


def dig(net, *words):
    return net.alpha.run(["dig", "+time=20", "+tries=1", *words], limit=30).stdout


@case
def there_is_no_route_between_the_underlays(net):
    """there is no IP route between alpha's and beta's underlays"""
    for host, address in ((net.alpha, "10.2.0.2"), (net.beta, "10.1.0.1"), (net.alpha, "fd02::2")):
        assert host.run(["ip", "route", "get", address]).returncode != 0, address
    with open("/proc/sys/net/ipv4/ip_forward") as f:
        assert net.gate.run(["cat", f.name]).stdout.strip() == "0"


@case
def dig_gets_a_handle(net):
    """dig: A and AAAA give handle addresses, PTR gives the name back"""
    a, aaaa = net.alpha.lookup(NAME), net.alpha.lookup(NAME, "AAAA")
    assert len(a) == 1 and ipaddress.ip_address(a[0]) in POOL, a
    assert len(aaaa) == 1 and ipaddress.ip_address(aaaa[0]) in UNIQUE_LOCAL, aaaa
    for address in a + aaaa:
        assert dig(net, "+short", "-x", address).strip() == NAME + ".", address
    assert net.alpha.lookup(NAME) == a and net.alpha.lookup(NAME.upper()) == a


@case
def dig_over_tcp(net):
    """dig: the same answer over TCP"""
    assert dig(net, "+short", "+tcp", NAME).split() == net.alpha.lookup(NAME)


@case
def missing_types_are_nodata(net):
    """dig: MX, SRV and HTTPS are NODATA and never leave the machine"""
    for kind in ("MX", "SRV", "HTTPS", "TXT"):
        out = dig(net, NAME, kind)
        assert "status: NOERROR" in out and "ANSWER: 0" in out, out
    assert "west" not in net.dns.log() and "east" not in net.dns.log(), net.dns.log()


@case
def unknown_hosts_are_nxdomain(net):
    """dig: a host that gate does not know is NXDOMAIN"""
    out = dig(net, "nobody.west.ip")
    assert "status: NXDOMAIN" in out, out


@case
def trouble_is_told_in_words(net):
    """dig: a member that does not answer is SERVFAIL with an Extended DNS Error in plain words"""
    out = dig(net, "dead.west.ip")
    assert "status: SERVFAIL" in out, out
    assert re.search(r"EDE: \d+ \([^)]*\): \(.*dead.*\)", out), out


@case
def foreign_names_are_forwarded(net):
    """dig: a foreign name is answered by the resolver of before"""
    assert dig(net, "+short", "www.example.com").split() == ["192.0.2.80"]
    assert "status: NXDOMAIN" in dig(net, "nowhere.example.com")


@case
def rebinding_is_refused(net):
    """dig: a foreign answer with an address of our pool is refused"""
    out = dig(net, "rebind.example.com")
    assert "198.18.7.7" not in out and "status: NOERROR" not in out, out


@case
def ping_reaches_beta(net):
    """ping -c 3 and ping -6 -c 3"""
    for family in ("-4", "-6"):
        out = net.alpha.run(["ping", family, "-c", "3", "-w", "15", "-i", "0.2", NAME], check=True).stdout
        # With -w it waits for three answers, and asks until then.
        assert int(re.search(r"(\d+) received", out)[1]) >= 3, out


@case
def curl_fetches(net):
    """curl over IPv4 and IPv6"""
    for family in ("-4", "-6"):
        assert net.alpha.curl(f"http://{NAME}:8000/marker", family) == service.MARKER + "\n"


@case
def ssh_logs_in(net):
    """ssh: beta's sshd lets in only alpha.east.ip, by PTR and forward again"""
    done = net.alpha.ssh(NAME, "hostname")
    assert done.stdout.strip() == "beta", done.stderr + net.beta.diagnose()[-1]


@case
def the_server_sees_the_name(net):
    """the server on beta sees alpha.east.ip: PTR, and forward again to the same address"""
    for family in ("-4", "-6"):
        seen = json.loads(net.alpha.curl(f"http://{NAME}:8000/whoami", family))
        assert seen["name"] == "alpha.east.ip" and seen["address"] in seen["forward"], seen


@case
def beta_reaches_alpha_too(net):
    """the other way: beta pings alpha by the name that it saw"""
    assert net.beta.ping("alpha.east.ip")


@case
def udp_small_and_fragmented(net):
    """UDP: 20, 4000 and 60000 bytes come back whole, over IPv4 and IPv6"""
    for kind in ("A", "AAAA"):
        address = net.alpha.lookup(NAME, kind)[0]
        for size in ("20", "4000", "60000"):
            out = net.alpha.run(["/usr/bin/python3", "-c", UDP_ECHO, address, size])
            assert out.stdout.strip() == "same", (kind, size, out.stderr)


@case
def traceroute_ends_at_the_handle(net):
    """traceroute: beta's "port unreachable" comes back with the quoted packet rewritten"""
    address = net.alpha.lookup(NAME)[0]
    out = net.alpha.run(["traceroute", "-n", "-q", "1", "-w", "10", "-m", "6", NAME], limit=70).stdout
    assert address in out.splitlines()[-1], out


@case
def closed_ports_are_refused_at_once(net):
    """TCP to a port without a server is refused, not silent"""
    done = net.alpha.run(["curl", "-sS", "--max-time", "20", f"http://{NAME}:81/"])
    assert done.returncode == 7, (done.returncode, done.stderr)


@case
def the_policy_is_kept(net):
    """a service that beta's policy does not list is not reached: the program hears so at once, and the drop has its name"""
    server = net.beta.start(["/usr/bin/python3", "-m", "http.server", "--bind", "::", "8001"])
    before = net.beta.drops()["policy"]
    for family, words in (("-4", ("No route to host",)), ("-6", ("Permission denied", "No route to host"))):
        done = net.alpha.run(["curl", "-sSv", family, "--max-time", "20", f"http://{NAME}:8001/"])
        assert done.returncode == 7 and any(w in done.stderr for w in words), done.stderr  # 28 is a timeout
    assert net.beta.drops()["policy"] > before
    server.end()


@case
def unknown_handles_are_unreachable(net):
    """an address of the pool that nobody has is unreachable at once"""
    out = net.alpha.run(["ping", "-c", "1", "-W", "20", "198.18.255.254"]).stdout
    assert "nreachable" in out, out


@case
def explain_says_who_vouches(net):
    """ocala explain and status"""
    text = net.alpha.ocala("explain", NAME).stdout
    assert "vouched for by gate.east.ip" in text, text
    answer = net.alpha.ocala_json("explain", NAME)
    assert answer["ok"] and answer["verdict"], answer
    status = net.alpha.ocala_json("status")
    assert any(p["name"] == NAME and p["via"] == ["gate.east.ip"] for p in status["paths"]), status["paths"]
    transit = net.gate.ocala_json("path")["transits"]
    assert any(t["target"].startswith("beta") for t in transit), transit
    assert "beta.west.ip" in net.alpha.ocala("status").stdout
    assert "3" in net.alpha.ocala("ping", NAME, "-c", "3").stdout


@case
def gate_sees_no_plaintext_on_its_interfaces(net):
    """captures on both underlays show no plaintext, names included"""
    net.alpha.curl(f"http://{NAME}:8000/marker")
    for capture in net.captures:
        seen = capture.bytes().lower()
        assert len(seen) > 10000, "the capture is empty"
        for word in (service.MARKER, "get /marker", "ssh-2.0", "beta.west", "\4beta\4west", "west\2ip", "alpha.east",
                     "\5alpha", "east\2ip", "east.ip", "west.ip"):
            assert word.lower().encode() not in seen, f"{word!r} in {capture.path}"


suite.main(__doc__, fixture)
