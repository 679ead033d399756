#!/usr/bin/python3
"""
    alpha ---- switch ---- beta        one overlay, east.ip: whose handle an address is, and who pays for it
    10.1.0.1     |     10.1.0.2
               gamma
              10.1.0.3
"""
import os
import re

import suite
from netlab import Lab, need
from ocalahost import PORT, Host, secret
from suite import case

BETA, GAMMA = "beta.east.ip", "gamma.east.ip"
FIRST, SECOND, ROOT = 1001, 1002, 0


def three_hosts(lab):
    alpha, beta, gamma = (lab.machine(name) for name in ("alpha", "beta", "gamma"))
    lab.switch({alpha: "10.1.0.1/24", beta: "10.1.0.2/24", gamma: "10.1.0.3/24"})
    text = secret()
    for host in (alpha, beta, gamma):
        host.join("east.ip", text, {"beta": f"10.1.0.2:{PORT}", "gamma": f"10.1.0.3:{PORT}"} if host is alpha else {})
    return alpha, beta, gamma


def ask(host, user, name, *words):
    """dig as another user: (status, addresses, text)."""
    text = host.run(["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "dig", "+time=15",
                     "+tries=1", *words, name, "A"]).stdout
    status = re.search(r"status: (\w+)", text)
    return status and status.group(1), re.findall(r"\sIN\tA\t(\S+)", text), text


def users(host):
    return {h["name"]: h["user"] for h in host.ask("handle")["handles"]}


def one_handle_each(words):
    need("dig", "setpriv")
    with Lab(machine_class=Host) as lab:
        alpha, beta, gamma = three_hosts(lab)
        alpha.config["handles"] = {"per_user": 1}
        for host in (alpha, beta, gamma):
            host.up()
        status, addresses, text = ask(alpha, FIRST, BETA, *words)
        assert status == "NOERROR" and len(addresses) == 1, text
        assert users(alpha) == {BETA: FIRST}, users(alpha)
        # The same one again costs nothing, another one is too much.
        assert ask(alpha, FIRST, BETA, *words)[1] == addresses
        status, _, text = ask(alpha, FIRST, GAMMA, *words)
        assert status == "SERVFAIL" and "as many handle addresses as one user may have" in text, text
        # Another user's limit is another one; what stands is for all.
        status, others, text = ask(alpha, SECOND, GAMMA, *words)
        assert status == "NOERROR" and len(others) == 1 and others != addresses, text
        assert users(alpha) == {BETA: FIRST, GAMMA: SECOND}, users(alpha)
        assert ask(alpha, FIRST, GAMMA, *words)[1] == others
        assert ask(alpha, ROOT, BETA, *words)[1] == addresses


@case
def a_users_limit_over_udp():
    """questions over UDP: the asking user pays for the handle, up to handles.per_user"""
    one_handle_each([])


@case
def a_users_limit_over_tcp():
    """the same over TCP"""
    one_handle_each(["+tcp"])


@case
def a_peer_costs_no_user_anything():
    """a handle for a host that came by itself counts for nobody"""
    need("ping", "dig", "setpriv")
    with Lab(machine_class=Host) as lab:
        alpha, beta, gamma = three_hosts(lab)
        alpha.config["handles"] = {"per_user": 1}
        beta.config["overlays"][0]["members"] = [{"name": "alpha", "at": f"10.1.0.1:{PORT}"}]
        for host in (alpha, beta, gamma):
            host.up()
        assert beta.ping("alpha.east.ip")
        assert users(alpha) == {BETA: None}, users(alpha)
        assert ask(alpha, FIRST, BETA)[0] == "NOERROR"
        assert ask(alpha, FIRST, GAMMA)[0] == "NOERROR"
        assert users(alpha) == {BETA: None, GAMMA: FIRST}, users(alpha)


# Asks for names of which hardly any exists, 64 at a time, as what a web page names is asked for; prints how many answers
# of each kind came, and in how many seconds.
PAGE = """
import collections, socket, struct, sys, time
where = next(l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver'))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((where, 53))
s.settimeout(10)
total, sent, open_, answers, start = int(sys.argv[1]), 0, {}, collections.Counter(), time.monotonic()
def labels(name):
    return b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + bytes(1)
def name(n):
    return (f'pixel{n}.east.ip', f'pixel{n}.north.ip', f'beta.east.ip.via.pixel{n}.east.ip', f'pixel{n}.beta.east.ip')[n % 4]
while sent < total or open_:
    while sent < total and len(open_) < 64:
        number = sent & 0xffff
        s.send(struct.pack('!HHHHHH', number, 0x100, 1, 0, 0, 0) + labels(name(sent)) + bytes([0, 1, 0, 1]))
        open_[number] = sent
        sent += 1
    reply = s.recv(1500)
    if open_.pop(struct.unpack_from('!H', reply)[0], None) is not None:
        answers[reply[3] & 15] += 1
print(dict(answers), round(time.monotonic() - start, 1))
"""


def size_of(host):
    """Private memory of the daemon, kB."""
    with open(f"/proc/{host.daemon_pid()}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


@case
def a_page_asks_for_100_000_names():
    """a page names 100 000 hosts that are not there: no address is given, no file grows, and another user notices nothing"""
    need("dig", "setpriv")
    with Lab(machine_class=Host) as lab:
        alpha, beta, gamma = three_hosts(lab)
        for host in (alpha, beta, gamma):
            host.up()
        assert ask(alpha, FIRST, BETA)[0] == "NOERROR"
        before, journal = size_of(alpha), alpha.file("state/handles")
        handles, file_size = users(alpha), os.path.getsize(journal)
        page = alpha.start(["setpriv", "--reuid", str(FIRST), "--regid", str(FIRST), "--clear-groups", "/usr/bin/python3",
                            "-c", PAGE, "100000"], "page.log")
        assert ask(alpha, SECOND, BETA)[0] == "NOERROR"
        assert ask(alpha, SECOND, GAMMA)[0] == "NOERROR", "the page kept another user out"
        assert page.wait(240) == 0, page.log()
        answers, seconds = page.log().rsplit(None, 1)
        suite.comment(f"100 000 names in {seconds} s, answers by status {answers}; {before} kB before, {size_of(alpha)} after")
        assert "0:" not in answers, f"a name that is not there has an address: {answers}"
        assert users(alpha) == {**handles, GAMMA: SECOND}
        assert os.path.getsize(journal) < file_size + 1000
        assert size_of(alpha) < before + 4096, f"{size_of(alpha)} kB, {before} before"
        assert len(alpha.ask("path")["paths"]) <= 2
        assert ask(alpha, FIRST, GAMMA)[0] == "NOERROR"


suite.main(__doc__)
