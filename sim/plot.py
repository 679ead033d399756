#!/usr/bin/python3
"""sim/plot.py FILE.svg CHART...    draws what `ocala-sim --measures FILE` wrote, as SVG, without anybody's help.

Charts, one below the other; FILE may have a label in front: LABEL=FILE.

    cdf:SAMPLES:FILE[,FILE...]      share of all values up to each: rtt, lookup, outage, stall
    series:NAME[+NAME...]:FILE      sums for each second: control, data, datagrams, asked, answered, streamed, faults
    flow:FROM/TO:FILE[,FILE...]     round trips of one ping over time; where nothing came back, a bar at the bottom
    members:control:FILE[,...]      bit/s that each member sent over the whole run, the most first
"""
import json
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 70, 24, 58, 46
COLOURS = ["#1f6feb", "#d1570b", "#2da44e", "#8250df"]
UNITS = {"control": "kbit/s", "data": "kbit/s", "streamed": "kbit/s"}


def load(text):
    label, _, path = text.rpartition("=")
    with open(path) as f:
        return label or path.rpartition("/")[2].removesuffix(".json"), json.load(f)


def nice(most):
    """The end of an axis that holds `most`, and the distance of its lines."""
    step = 1e-6
    while True:
        for factor in (1, 2, 5):
            if most <= step * factor * 5:
                lines = -(-most // (step * factor))  # rounded up
                return max(lines, 1) * step * factor, step * factor
        step *= 10


def number(value):
    return f"{value:g}" if abs(value) < 1e4 else f"{value:,.0f}".replace(",", "\u202f")


class Chart:
    def __init__(self, title, x_label, y_label, x_most, y_most):
        self.x_most, self.x_step = nice(x_most or 1)
        self.y_most, self.y_step = nice(y_most or 1)
        self.lines = [f'<text x="16" y="26" class="title">{escape(title)}</text>',
                      f'<text x="{LEFT}" y="{TOP - 10}" class="unit">{escape(y_label)}</text>',
                      f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" class="unit end">{escape(x_label)}</text>']
        self.labels = 0
        for line in range(int(self.y_most / self.y_step + 1e-9) + 1):
            y = self.y(line * self.y_step)
            self.lines += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" class="grid"/>',
                           f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="end">{number(round(line * self.y_step, 6))}</text>']
        for line in range(int(self.x_most / self.x_step + 1e-9) + 1):
            x = self.x(line * self.x_step)
            self.lines += [f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="#57606a"/>',
                           f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" class="middle">'
                           f'{number(round(line * self.x_step, 6))}</text>']

    def x(self, value):
        return LEFT + value / self.x_most * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.y_most * (HEIGHT - TOP - BOTTOM)

    def path(self, points, colour, step=False):
        """Points that fall on the same place of the picture are drawn once."""
        text, last = "", None
        for x, y in points:
            place = f"{self.x(x):.1f}", f"{self.y(y):.1f}"
            if place == last:
                continue
            text += (f"M{place[0]} {place[1]}" if last is None else
                     (f"H{place[0]}V{place[1]}" if step else f"L{place[0]} {place[1]}"))
            last = place
        self.lines.append(f'<path d="{text}" fill="none" stroke="{colour}" stroke-width="1.6"/>')

    def label(self, text, colour):
        x = LEFT + 150 + self.labels * 190
        self.labels += 1
        self.lines += [f'<rect x="{x}" y="{TOP - 20}" width="12" height="12" fill="{colour}"/>',
                       f'<text x="{x + 18}" y="{TOP - 10}">{escape(text)}</text>']


def cdf(samples, files):
    lists = [(label, sorted(v / 1e9 for v in found["samples"][samples])) for label, found in files]
    scale, unit = (1000, "ms") if max((v[-1] for _, v in lists if v), default=1) < 1 else (1, "s")
    chart = Chart({"outage": "Without an answer: from the first request that was lost to the next one answered",
                   "rtt": "Round trips", "lookup": "From a question to an address",
                   "stall": "The longest pause of each transfer"}[samples], unit, "share of all",
                  max((v[-1] * scale for _, v in lists if v), default=1), 1)
    for (label, values), colour in zip(lists, COLOURS):
        chart.path([(0, 0)] + [(v * scale, (i + 1) / len(values)) for i, v in enumerate(values)], colour, step=True)
        chart.label(f"{label} ({len(values)})", colour)
    return chart


def series(names, files):
    label, found = files[0]
    unit = UNITS.get(names[0], "a second")
    factor = 8 / 1000 if unit == "kbit/s" else 1
    lists = [(name, [v * factor for v in found["series"][name]]) for name in names]
    chart = Chart(f"{label}: {', '.join(names)}", "s", unit, found["lasted"] / 1e9,
                  max((max(v) for _, v in lists if v), default=1))
    for (name, values), colour in zip(lists, COLOURS):
        chart.path(list(enumerate(values)), colour, step=True)
        chart.label(name, colour)
    return chart


def flow(ends, files):
    source, _, target = ends.partition("/")
    flows = [(label, point) for label, found in files for point in found["flows"]
             if (point["from"], point["to"]) == (source, target)]
    if not flows:
        sys.exit(f"sim/plot.py: no ping from {source} to {target} was kept")
    first = min(f["rtt"][0][0] for _, f in flows) / 1e9
    chart = Chart(f"Round trips from {source} to {target}", "s", "ms",
                  max(f["rtt"][-1][0] for _, f in flows) / 1e9 - first,
                  max((rtt or 0) / 1e6 for _, f in flows for _, rtt in f["rtt"]))
    for (label, found), colour in zip(flows, COLOURS):
        piece = []
        for sent, rtt in found["rtt"] + [[None, None]]:
            if rtt is not None:
                piece.append((sent / 1e9 - first, rtt / 1e6))
                continue
            if len(piece) > 1:
                chart.path(piece, colour)
            piece = []
            if sent is not None:
                chart.lines.append(f'<rect x="{chart.x(sent / 1e9 - first):.1f}" y="{HEIGHT - BOTTOM - 6}" width="2" '
                                   f'height="6" fill="{colour}"/>')
        chart.label(label, colour)
    return chart


def members(what, files):
    lists = [(label, sorted((h[what] * 8 / found["lasted"] * 1e6 for h in found["hosts"]), reverse=True))
             for label, found in files]
    chart = Chart(f"Sent by each member: {what}", "member, the most first", "kbit/s", max(len(v) for _, v in lists),
                  max(v[0] for _, v in lists if v))
    for (label, values), colour in zip(lists, COLOURS):
        chart.path([(i, v) for i, v in enumerate(values)], colour, step=True)
        chart.label(label, colour)
    return chart


def draw(text):
    kind, what, paths = text.split(":", 2)
    files = [load(path) for path in paths.split(",")]
    if kind == "series":
        return series(what.split("+"), files)
    return {"cdf": cdf, "flow": flow, "members": members}[kind](what, files)


def main():
    if len(sys.argv) < 3 or any(chart.count(":") < 2 for chart in sys.argv[2:]):
        sys.exit(__doc__)
    charts = [draw(text) for text in sys.argv[2:]]
    tall = len(charts) * HEIGHT
    body = "\n".join(f'<g transform="translate(0 {i * HEIGHT})">\n' + "\n".join(chart.lines) + "\n</g>"
                     for i, chart in enumerate(charts))
    with open(sys.argv[1], "w") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{tall}" viewBox="0 0 {WIDTH} {tall}">\n'
                "<style>text{font:12px sans-serif;fill:#24292f}.title{font-size:15px;font-weight:bold}.unit{fill:#57606a}"
                ".end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#d0d7de;stroke-width:.6}</style>\n"
                f'<rect width="{WIDTH}" height="{tall}" fill="#fff"/>\n{body}\n</svg>\n')


main()
