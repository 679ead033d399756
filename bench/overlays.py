"""Bench of the kinds of overlays: what each carries, as a part of what `ip` carries in the same run."""
from measure import iperf, serve_iperf
from netlab import wait_until
from ocalahost import PORT, secret, serve_i3

ALLOW = ["icmp", "tcp/5201"]


def triangle(lab):
    """Three machines, each with a cable to both others; addresses of one cable lead nowhere else.

        alpha 10.3.0.1 ------------ 10.3.0.2 beta
        alpha 10.1.0.1 -- 10.1.0.2 gate 10.2.0.1 -- 10.2.0.2 beta
    """
    alpha, gate, beta = (lab.machine(name) for name in ("alpha", "gate", "beta"))
    lab.cable(alpha, ["10.1.0.1/24"], gate, ["10.1.0.2/24"])
    lab.cable(gate, ["10.2.0.1/24"], beta, ["10.2.0.2/24"])
    lab.cable(alpha, ["10.3.0.1/24"], beta, ["10.3.0.2/24"])
    return alpha, gate, beta


def join_ip(alpha, gate, beta):
    """near.ip over the cable between alpha and beta; east.ip and west.ip, which gate joins."""
    near, east, west = secret(), secret(), secret()
    alpha.join("near.ip", near, {"beta": f"10.3.0.2:{PORT}"}, listen=f"0.0.0.0:{PORT}")
    beta.join("near.ip", near, {"alpha": f"10.3.0.1:{PORT}"}, listen=f"0.0.0.0:{PORT}")
    alpha.join("east.ip", east, {"gate": f"10.1.0.2:{PORT + 1}"}, listen=f"0.0.0.0:{PORT + 1}")
    gate.join("east.ip", east, {"alpha": f"10.1.0.1:{PORT + 1}"}, listen=f"10.1.0.2:{PORT + 1}")
    gate.join("west.ip", west, {"beta": f"10.2.0.2:{PORT + 1}"}, listen=f"10.2.0.1:{PORT + 1}")
    beta.join("west.ip", west, {"gate": f"10.2.0.1:{PORT + 1}"}, listen=f"0.0.0.0:{PORT + 1}")
    gate.add("forward", **{"from": "east.ip", "to": "west.ip"})
    gate.add("forward", **{"from": "west.ip", "to": "east.ip"})
    alpha.add("rules", names="*.west.ip", via="gate.east.ip")
    beta.add("rules", names="*.east.ip", via="gate.west.ip")
    alpha.add("believe", gateway="gate.east.ip", instances=["west.ip"])
    beta.add("believe", gateway="gate.west.ip", instances=["east.ip"])
    beta.add("policy", peer="*.east.ip", allow=ALLOW)
    for name in ("*.near.ip", "*.near.ron", "*.far.ron", "*.near.i3", "*.far.i3"):
        beta.add("policy", peer=name, allow=ALLOW)


def join_ron(alpha, gate, beta):
    """near.ron over the cable between alpha and beta; in far.ron these two have no way but through gate."""
    near, far = secret(), secret()
    alpha.join("near.ron", near, {"beta": f"10.3.0.2:{PORT + 2}"}, listen=f"0.0.0.0:{PORT + 2}")
    beta.join("near.ron", near, {"alpha": f"10.3.0.1:{PORT + 2}"}, listen=f"0.0.0.0:{PORT + 2}")
    alpha.join("far.ron", far, {"gate": f"10.1.0.2:{PORT + 3}"}, listen=f"0.0.0.0:{PORT + 3}")
    gate.join("far.ron", far, {"alpha": f"10.1.0.1:{PORT + 3}"}, listen=f"0.0.0.0:{PORT + 3}")
    beta.join("far.ron", far, {"gate": f"10.2.0.1:{PORT + 3}"}, listen=f"0.0.0.0:{PORT + 3}")


def join_i3(alpha, gate, beta):
    """A server on gate: far.i3 always passes it, near.i3 takes shortcuts over the cable between alpha and beta."""
    near, far = secret(), secret()
    gate.ip("route add 10.3.0.1/32 via 10.1.0.1")  # of the cable past gate only gate hears
    gate.ip("route add 10.3.0.2/32 via 10.2.0.2")
    beta.ip("route add 10.1.0.2/32 via 10.2.0.1")
    for host, address in ((alpha, "10.3.0.1"), (beta, "10.3.0.2")):
        host.join("near.i3", near, listen=f"{address}:7404", options={"servers": "10.1.0.2:5610", "shortcut": "allow"})
        host.join("far.i3", far, listen="0.0.0.0:7405", options={"servers": "10.1.0.2:5610"})
    serve_i3(gate, "10.1.0.2")


def way_to(host, name):
    return next((s["text"] for s in host.explain(name)["steps"] if s["what"] == "tunnel"), "")


def overlays(bench, lab, result):
    """Direct ways are parts of `ip` over one cable, ways through a hop or a server parts of `ip` through a gateway."""
    alpha, gate, beta = triangle(lab)
    join_ip(alpha, gate, beta)
    join_ron(alpha, gate, beta)
    join_i3(alpha, gate, beta)
    for host in (alpha, gate, beta):
        host.up()
    names = {"ip": "beta.near.ip", "ip, gateway": "beta.west.ip", "ron": "beta.near.ron", "ron, hop": "beta.far.ron",
             "i3, shortcut": "beta.near.i3", "i3, server": "beta.far.i3"}
    for name in names.values():
        wait_until(lambda: alpha.ping(name), 60, f"{name} to answer")
    wait_until(lambda: "by way of gate" in way_to(alpha, names["ron, hop"]), 60, "a way through gate")
    wait_until(lambda: "by shortcut" in way_to(alpha, names["i3, shortcut"]), 60, "a shortcut")
    wait_until(lambda: "by private" in way_to(alpha, names["i3, server"]), 60, "a private identifier")
    serve_iperf(beta)
    found = bench.turns({label: lambda name=name: iperf(alpha, name) for label, name in names.items()}, "Mbit/s")
    ratios = {"ron": found["ron"].median / found["ip"].median,
              "ron, hop": found["ron, hop"].median / found["ip, gateway"].median,
              "i3, shortcut": found["i3, shortcut"].median / found["ip"].median,
              "i3, server": found["i3, server"].median / found["ip, gateway"].median}
    result.row("TCP, Mbit/s", "median and range", "of ip")
    for label, series in found.items():
        result.row(label, series.text(), f"{ratios[label]:.3f}" if label in ratios else "")
    result.json = {"ip_mbps": round(found["ip"].median, 1), "gateway_mbps": round(found["ip, gateway"].median, 1),
                   "ron_direct_ratio": round(ratios["ron"], 4), "ron_hop_ratio": round(ratios["ron, hop"], 4),
                   "i3_shortcut_ratio": round(ratios["i3, shortcut"], 4),
                   "i3_server_ratio": round(ratios["i3, server"], 4)}
    result.chart_series("TCP by kind of overlay", "Mbit/s, median and range",
                        {f"ocala, {label}": series for label, series in found.items()})
    return result
