#!/usr/bin/python3
"""
    alpha ------------ beta        one overlay, east.ip; crowd, without a cable, keeps the kernel busy: addresses are
    10.1.0.1           10.1.0.2    added to its interface by the thousand
             crowd
"""
import suite
from netlab import Lab, need, wait_until
from ocalahost import Host, two_hosts
from suite import case

BETA = "beta.east.ip"


@case
def ipv6_answers_are_taken_from_the_start():
    """starts while the kernel comes late to new addresses: a host that runs takes what answers over IPv6"""
    need("ping")
    with Lab(machine_class=Host) as lab:
        alpha, beta = two_hosts(lab)
        crowd = lab.machine("crowd")
        crowd.ip("link add many type veth peer name other")
        crowd.run("echo 1 > /proc/sys/net/ipv6/conf/many/accept_dad", check=True)
        for interface in ("many", "other"):
            crowd.ip(f"link set {interface} up")
        beta.up()
        busy = []
        for part in range(8):
            lines = "".join(f"addr add fd99::{part}:{number:x}/128 dev many\n" for number in range(20000))
            busy.append(crowd.start(["ip", "-batch", crowd.write(f"addresses{part}", lines)]))
        wait_until(lambda: crowd.run("ip -o addr show many").stdout.count("fd99:") > 500, 60, "the kernel to be busy")
        for _ in range(5):
            alpha.up(60)
            tun = alpha.ask("status")["host"]["tun"]["address6"].split("/")[0]
            way = alpha.run(["ip", "route", "get", tun]).stdout
            assert way.startswith("local "), f"packets to {tun} are not taken yet: {way}"
            assert alpha.down(60) == 0
        assert all(process.running() for process in busy), "the kernel was not busy any more"
        for process in busy:
            process.end()
        alpha.up(60)
        assert alpha.ping(BETA)


suite.main(__doc__)
