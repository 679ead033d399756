#!/usr/bin/python3
"""
    alpha   beta   gamma       s1    s2    s3    s4        lab.i3: three hosts, a ring of four servers
      |       |      |          |     |     |     |
      +-------+------+---- switch ----+-----+-----+        10.1.0.0/24
                          |
                       router (NAT) ---- delta             192.168.9.0/24

Unmodified programs reach hosts by identifiers that servers keep.
"""
import json
import re
import socket
import sys

import service
import suite
from i3lab import (HOSTS, NAME, SERVERS, about, await_way, behind_a_router, download_while, everybody_up, join, metric,
                   network, tunnel_text)
from netlab import need, program, wait_until
from ocalahost import secret
from suite import case


@case
def curl_by_one_server():
    """two daemons and one server: curl over i3, by private identifiers"""
    with network(servers={"s1": "10.1.0.11"}) as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        await_way(net.alpha, NAME, "by private identifier")
        await_way(net.beta, "alpha.lab.i3", "by private identifier")


@case
def programs_by_a_ring():
    """four servers, three hosts: curl, ssh and ping, each way; explain tells how"""
    need("ssh", "sshd", "ssh-keygen")
    with network(hosts=("alpha", "beta", "gamma")) as net:
        everybody_up(net)
        net.beta.serve()
        net.beta.serve_ssh(net.alpha, "alpha.lab.i3")
        for host in (net.alpha, net.gamma):
            assert host.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        done = net.alpha.ssh(NAME, "hostname")
        assert done.stdout.strip() == "beta", done.stderr
        assert net.beta.ping("alpha.lab.i3") and net.gamma.ping("alpha.lab.i3") and net.beta.ping("gamma.lab.i3")
        await_way(net.alpha, NAME, "by private identifier")
        text = tunnel_text(net.alpha, NAME)
        assert "ms" in text and "no shortcut: this host denies it" in text, text
        said = about(net.alpha)
        for word in ("4 servers listed", "near: 10.1.0.1", "this host is 10.1.0.1:", "public trigger", "shortcuts denied"):
            assert word in said, said
        assert metric(net.alpha, "i3.inserts") >= 3


def name_id(frames):
    """The identifier of the first trigger that asks for 192 matching bits, as those of names do."""
    for frame in frames:
        packet = frame[42:]
        if packet[:1] == b"\x10" and len(packet) > 90 and packet[2] == 1 and packet[37] == 1 and packet[45] == 2 \
                and packet[79:81] == b"\0\xc0":
            return packet[3:35]
    raise AssertionError("no INSERT of a name was seen")


def server_metrics(machine):
    done = machine.run([program("ocala"), "--socket", machine.file("i3-control"), "--json", "metrics"], check=True)
    return json.loads(done.stdout)["metrics"]


@case
def a_name_with_a_limit():
    """beta's name lets 200 packets a second through: a flood stays at the server, and connections do not notice"""
    with network(servers={"s1": "10.1.0.11"}, options={"beta": {"limit": "200"}}, hosts=("alpha", "beta", "gamma")) as net:
        seen = net.beta.capture("eth0")
        everybody_up(net, "alpha", "beta")
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by private identifier")
        wait_until(lambda: " for 200 packets a second" in about(net.beta), 20, lambda: about(net.beta))
        s1 = net.servers["s1"]
        assert server_metrics(s1)["i3_server.limited"] == 1
        flood = b"\x10\x30\x01" + name_id(seen.frames()) + b"\0\2" + b"flood"
        path = net.gamma.write("flood", flood.hex() + "\n")
        before = server_metrics(s1)
        at_beta = net.beta.capture("eth0")
        with open(path) as lines:
            blast = net.gamma.start([program("ocala-blast"), "10.1.0.11", "5610", "5", "4000"], stdin=lines)
        while blast.running():
            assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        through = sum(frame.endswith(b"flood") for frame in at_beta.frames())
        dropped = server_metrics(s1)["i3_server.drop.trigger-limit"] - before["i3_server.drop.trigger-limit"]
        assert dropped > 1000 and dropped > 2 * through, f"{dropped} dropped, {through} came through"
        assert 0 < through < 200 * 10, f"{through} came through"
        # The limit does not keep a newcomer away once the flood is over.
        net.alpha.again()
        assert net.alpha.ping(NAME)


@case
def nobody_is_nxdomain():
    """a name that nobody has inserted is NXDOMAIN, in words"""
    with network(servers={"s1": "10.1.0.11"}, hosts=("alpha",)) as net:
        net.alpha.up()
        out = net.alpha.run(["dig", "+time=20", "+tries=1", "nobody.lab.i3"], limit=30).stdout
        assert "status: NXDOMAIN" in out, out
        assert "no trigger for 'nobody'" in json.dumps(net.alpha.explain("nobody.lab.i3"))


@case
def no_server_answers():
    """no server is there: SERVFAIL that names the server"""
    with network(servers={"s1": "10.1.0.11"}, hosts=("alpha",)) as net:
        net.servers["s1"].server.end()
        net.alpha.up()
        explained = json.dumps(net.alpha.explain("beta.lab.i3"))
        assert "no server of lab.i3 answers" in explained and "10.1.0.11:5610" in explained, explained


@case
def a_server_is_killed():
    """the server that carries the download is killed in the middle: it goes on, by others"""
    with network() as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by private identifier")

        def kill():
            for host, name in ((net.alpha, NAME), (net.beta, "alpha.lab.i3")):
                used = next((s for s in net.servers.values() if SERVERS[s.name] + ":" in tunnel_text(host, name)), None)
                if used and used.server.running():
                    used.server.end(9)
                    return
            raise AssertionError("no server carries the tunnel: " + tunnel_text(net.alpha, NAME))
        download_while(net, kill)
        assert net.beta.ping("alpha.lab.i3")


def new_address(host, address):
    host.ip(f"addr del {HOSTS[host.name]}/24 dev eth0")  # with it go all others of its network
    host.ip(f"addr add {address}/24 dev eth0")


@case
def a_host_moves():
    """beta gets another address in the middle of a download: its triggers follow, TCP survives"""
    with network() as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by private identifier")
        download_while(net, lambda: new_address(net.beta, "10.1.0.77"))
        assert "this host is 10.1.0.77:" in about(net.beta), about(net.beta)


def udp_between(frames, source, destination):
    """How many IPv4 UDP frames went from one address to the other."""
    pair = socket.inet_aton(source) + socket.inet_aton(destination)
    return sum(f[12:14] == b"\x08\x00" and f[23] == 17 and f[26:34] == pair for f in frames)


@case
def a_receiver_stays_anonymous():
    """beta denies shortcuts: nothing ever passes between its address and alpha's, whatever alpha allows"""
    with network(options={"alpha": {"shortcut": "allow"}, "beta": {"shortcut": "deny"}}) as net:
        everybody_up(net)
        capture = net.alpha.capture("eth0")
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        await_way(net.alpha, NAME, "by private identifier")
        net.alpha.curl(f"http://{NAME}:8000/big/100000", "-o", "/dev/null")
        assert net.beta.ping("alpha.lab.i3", count=3)
        assert HOSTS["beta"] not in json.dumps(net.alpha.explain(NAME)), "explain knows its address"
        frames = capture.frames()
        assert udp_between(frames, HOSTS["beta"], HOSTS["alpha"]) == 0
        assert udp_between(frames, HOSTS["alpha"], HOSTS["beta"]) == 0
        assert not any(service.MARKER.encode() in f for f in frames)
        address = socket.inet_aton(HOSTS["beta"])  # nor is it inside of anything that alpha got
        assert not any(address in f[14:] for f in frames if f[12:14] == b"\x08\x00" and f[23] == 17)


@case
def shortcuts_are_taken():
    """both allow shortcuts: records go straight, a move and a lost way go back to the servers"""
    with network(options={"all": {"shortcut": "allow"}}) as net:
        everybody_up(net)
        net.beta.serve()
        assert net.alpha.ping(NAME)
        await_way(net.alpha, NAME, "by shortcut")
        await_way(net.beta, "alpha.lab.i3", "by shortcut")
        capture = net.alpha.capture("eth0")
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        assert udp_between(capture.frames(), HOSTS["beta"], HOSTS["alpha"]) > 0
        download_while(net, lambda: new_address(net.beta, "10.1.0.77"))
        await_way(net.alpha, NAME, "by shortcut 10.1.0.77", 60)


@case
def behind_a_nat():
    """delta behind a NAT is reached, without a port forwarded, and reaches others"""
    need("nft")
    with network(hosts=("alpha", "delta")) as net:
        behind_a_router(net)
        everybody_up(net)
        net.delta.serve()
        assert net.alpha.curl("http://delta.lab.i3:8000/marker") == service.MARKER + "\n"
        assert net.delta.ping("alpha.lab.i3")
        await_way(net.alpha, "delta.lab.i3", "by private identifier")
        await_way(net.delta, "alpha.lab.i3", "by private identifier")


@case
def a_middlebox():
    """beta has everything sent to it pass a filter, a program without privileges; alpha does not notice"""
    with network(servers={"s1": "10.1.0.11"}, options={"beta": {"middlebox": "filter"}}, hosts=("alpha", "beta", "gamma")) as net:
        box = net.gamma.start([program("i3-filter"), "10.1.0.11:5610", "10.1.0.3:7000", "filter.lab.i3", "100000"], "filter.log")
        box.await_log("ready")
        everybody_up(net, "alpha", "beta")
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        await_way(net.alpha, NAME, "by private identifier")
        capture = net.gamma.capture("eth0")
        net.alpha.curl(f"http://{NAME}:8000/big/300000", "-o", "/dev/null")
        assert net.alpha.echoes(NAME, 30, 0.05)["answered"] > 20
        frames = capture.frames()
        assert udp_between(frames, "10.1.0.11", "10.1.0.3") > 20, "requests pass the filter"
        assert not any(service.MARKER.encode() in f for f in frames)
        box.end()
        passed = int(box.log().split()[-4])
        assert passed > 20, box.log()
        # Without it beta hears nothing any more but what is said to make a link.
        assert not net.alpha.ping(NAME) or "by private identifier" not in tunnel_text(net.alpha, NAME)


@case
def a_gateway_takes_records_of_any_server():
    """gamma is a gateway from lab.i3 to east.ip: the server that carries alpha's records to it is killed, the download goes on"""
    # Without a near server the identifiers of both ends are most probably different servers' business.
    with network(options={"all": {"sample": 0}}, hosts=("alpha", "beta", "gamma")) as net:
        east = secret()
        net.beta.config["overlays"].clear()
        net.beta.join("east.ip", east, {"gamma": f"{HOSTS['gamma']}:7401"})
        net.gamma.join("east.ip", east, {"beta": f"{HOSTS['beta']}:7400"}, listen=f"{HOSTS['gamma']}:7401")
        for a, b in (("lab.i3", "east.ip"), ("east.ip", "lab.i3")):
            net.gamma.add("forward", **{"from": a, "to": b})
        net.alpha.add("rules", names="*.east.ip", via="gamma.lab.i3")
        net.beta.add("rules", names="*.lab.i3", via="gamma.east.ip")
        net.alpha.add("believe", gateway="gamma.lab.i3", instances=["east.ip"])
        net.beta.add("believe", gateway="gamma.east.ip", instances=["lab.i3"])
        net.beta.add("policy", peer="*.lab.i3", allow=["icmp", "tcp/8000"])
        net.beta.up()
        everybody_up(net, "alpha", "gamma")
        net.beta.serve()
        wait_until(lambda: net.alpha.ping("beta.east.ip"), 60, "beta to answer")
        await_way(net.alpha, "gamma.lab.i3", "by private identifier")

        def kill():
            used = next(s for s in net.servers.values() if SERVERS[s.name] + ":" in tunnel_text(net.alpha, "gamma.lab.i3"))
            used.server.end(9)
        download_while(net, kill, name="beta.east.ip")


@case
def a_sender_has_it_pass_a_filter():
    """alpha has everything that it sends to beta pass the same filter, by a ring; beta, which knows nothing of it, answers straight"""
    with network(options={"alpha": {"through": "filter"}, "beta": {"shortcut": "allow"}}, hosts=("alpha", "beta", "gamma")) as net:
        # By a server that does not keep its trigger: another one answers and delivers.
        box = net.gamma.start([program("i3-filter"), "10.1.0.12:5610", "10.1.0.3:7000", "filter.lab.i3", "100000"], "filter.log")
        box.await_log("ready")
        everybody_up(net, "alpha", "beta")
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        await_way(net.alpha, NAME, "by private identifier")
        assert "passes 1 host first" in tunnel_text(net.alpha, NAME)
        assert net.alpha.echoes(NAME, 30, 0.05)["answered"] > 20
        box.end()
        passed = int(box.log().split()[-4])
        assert passed > 30, box.log()
        # Nothing goes past it: not on this link, and there is no other.
        assert not net.alpha.ping(NAME)
        net.alpha.again()
        wait_until(lambda: "has to pass" in json.dumps(net.alpha.explain(NAME)), 90, lambda: net.alpha.explain(NAME))


@case
def who_is_missing_on_the_way_is_named():
    """alpha has what it sends pass two hosts: DNS and explain name the one without a trigger, and an unknown name is NXDOMAIN"""
    with network(servers={"s1": "10.1.0.11"}, options={"alpha": {"through": "filter, guard"}}, hosts=("alpha", "beta", "gamma")) as net:
        def start(name, port):
            box = net.gamma.start([program("i3-filter"), "10.1.0.11:5610", f"10.1.0.3:{port}", f"{name}.lab.i3", "100000"], name + ".log")
            box.await_log("ready")

        def asked(name):
            return net.alpha.run(["dig", "+time=20", "+tries=1", name], limit=30).stdout

        everybody_up(net, "alpha", "beta")
        for missing, port in (("filter", 7000), ("guard", 7001)):
            says = f"no trigger for '{missing}', which what is sent to 'beta' has to pass"
            # A failure is remembered for a moment: the one before may be told once more.
            wait_until(lambda: re.search(r"EDE: \d+ \([^)]*\): \(.*" + says, asked(NAME)), 60, lambda: asked(NAME))
            assert "status: SERVFAIL" in asked(NAME)
            explained = json.dumps(net.alpha.explain(NAME))
            assert says in explained, explained
            start(missing, port)
        out = asked("nobody.lab.i3")
        assert "status: NXDOMAIN" in out, out
        assert "no trigger for 'nobody'" in json.dumps(net.alpha.explain("nobody.lab.i3"))
        net.alpha.again()
        assert net.alpha.ping(NAME)


@case
def an_address_book():
    """beta's identifier is computed from a text of its own: found by who lists the identifier, by nobody else"""
    with network(servers={"s1": "10.1.0.11"}, options={"beta": {"id_from": "a text that nobody else knows"}},
                 hosts=("alpha", "beta", "gamma")) as net:
        everybody_up(net, "beta")
        identifier = re.search("its identifier, for others' members, is ([0-9a-f]{64})", about(net.beta))[1]
        net.alpha.config["overlays"][0]["members"] = [{"name": "beta", "options": {"id": identifier}}]
        everybody_up(net, "alpha", "gamma")
        net.beta.serve()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        assert net.beta.ping("alpha.lab.i3")
        assert "status: NXDOMAIN" in net.gamma.run(["dig", "+time=20", "+tries=1", NAME], limit=30).stdout
        # Listed while the daemon runs.
        net.gamma.config["overlays"][0]["members"] = [{"name": "beta", "options": {"id": identifier}}]
        net.gamma.write_config()
        net.gamma.ocala("reload")
        wait_until(lambda: net.gamma.ping(NAME), 60, "gamma to find beta")


@case
def one_of_several():
    """beta and gamma have one name and one key: alpha reaches the one whose digits match longer, the other when that one is gone"""
    options = {"alpha": {"anycast": "aa"}, "beta": {"anycast": "a8"}, "gamma": {"anycast": "a0"}}
    with network(servers={"s1": "10.1.0.11"}, options=options, hosts=("alpha", "beta", "gamma")) as net:
        key = net.beta.file("shared.pem")
        net.beta.ocala("key", "new", key)
        for host in (net.beta, net.gamma):
            host.config.update(name="printer", key=key)
        everybody_up(net)
        for host, text in ((net.beta, "near"), (net.gamma, "far")):
            host.write("who", text)
            host.start([sys.executable, "-m", "http.server", "8000", "--directory", host.folder])

        def who():
            return net.alpha.curl("http://printer.lab.i3:8000/who", check=False)
        wait_until(lambda: who() == "near", 30, "the near one to answer")
        net.beta.kill9()  # not a word to the server: its trigger is there for half a minute
        wait_until(lambda: who() == "far", 120, "the far one to answer")
        net.beta.up()
        wait_until(lambda: re.search("public trigger [^;]* at ", about(net.beta)), 30, lambda: about(net.beta))
        net.alpha.again()
        wait_until(lambda: who() == "near", 30, "the near one to answer again")


@case
def a_stolen_trigger_costs_nothing_but_time():
    """mallory inserts beta's public trigger too: handshakes reach her, alpha still talks to beta and never to her"""
    with network(servers={"s1": "10.1.0.11"}, hosts=("alpha", "beta", "gamma")) as net:
        mallory = net.gamma
        mallory.config["overlays"].clear()
        mallory.config["name"] = "beta"
        join(net, mallory, {"s1": "10.1.0.11"}, {}, secret())
        everybody_up(net)
        net.beta.serve()
        mallory.serve()
        for _ in range(3):
            assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        wait_until(lambda: mallory.drops()["bad-mac"] > 0, 20, lambda: f"mallory to hear the handshake: {mallory.drops()}")
        net.beta.down()
        net.alpha.again()
        assert not net.alpha.ping(NAME)
        assert not mallory.ask("path")["paths"]


def public_triggers(host):
    """How many triggers of its own name a host has."""
    return re.search("public trigger ([^;]*)", about(host)).group(1).count(" at ")


@case
def names_that_strangers_cannot_compute():
    """with `names: keyed` who lacks the secret never hears of a handshake, and a change of the secret breaks nothing"""
    with network(servers={"s1": "10.1.0.11"}, options={"all": {"names": "keyed"}}, hosts=("alpha", "beta", "gamma")) as net:
        mallory = net.gamma
        mallory.config["overlays"].clear()
        mallory.config["name"] = "beta"
        join(net, mallory, {"s1": "10.1.0.11"}, {"names": "keyed"}, secret())
        everybody_up(net)
        net.beta.serve()
        fresh = secret()
        for texts in ([fresh, net.secret], fresh):  # of beta; alpha knows the new one only in the end
            assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
            net.beta.config["overlays"].clear()
            join(net, net.beta, {"s1": "10.1.0.11"}, {"names": "keyed"}, texts)
            net.beta.write_config()
            assert "lab.i3 secret" in net.beta.ask("reload")["changed"]
            wait_until(lambda: public_triggers(net.beta) == (1 if isinstance(texts, str) else 2), 30, lambda: about(net.beta))
        net.alpha.config["overlays"].clear()
        join(net, net.alpha, {"s1": "10.1.0.11"}, {"names": "keyed"}, fresh)
        net.alpha.again()
        assert net.alpha.curl(f"http://{NAME}:8000/marker") == service.MARKER + "\n"
        assert mallory.drops()["bad-mac"] == 0


suite.main(__doc__)
