"""Bar charts as SVG, without anybody's help."""
from xml.sax.saxutils import escape

WIDTH, ROW, LEFT, RIGHT, TOP = 760, 26, 210, 130, 64
OURS, OTHERS = "#1f6feb", "#9aa4b2"


def number(value):
    """12345.6 as people read it."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(title, unit, rows):
    """Lines of SVG and their height.  rows: [(label, value, low, high, ours)]; the range is drawn as a thin line."""
    most = max(high for _, _, _, high, _ in rows) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    lines = [f'<text x="16" y="28" class="title">{escape(title)}</text>',
             f'<text x="16" y="48" class="unit">{escape(unit)}</text>']
    y = TOP
    for label, value, low, high, ours in rows:
        middle = y + ROW / 2
        lines += [f'<text x="{LEFT - 10}" y="{middle + 4:.0f}" class="label">{escape(label)}</text>',
                  f'<rect x="{LEFT}" y="{y + 4}" width="{max(value * scale, 1):.1f}" height="{ROW - 8}" rx="2" '
                  f'fill="{OURS if ours else OTHERS}"/>']
        if high > low:
            lines.append(f'<path d="M{LEFT + low * scale:.1f} {middle}H{LEFT + high * scale:.1f}" stroke="#24292f"/>')
        lines.append(f'<text x="{LEFT + max(high, value) * scale + 8:.0f}" y="{middle + 4:.0f}" class="value">'
                     f'{number(value)}</text>')
        y += ROW
    return lines, y + 16


def write(path, charts):
    """charts: [(title, unit, rows)], one below the other."""
    body, height = [], 0
    for chart in charts:
        lines, tall = bars(*chart)
        body += [f'<g transform="translate(0 {height})">', *lines, "</g>"]
        height += tall
    with open(path, "w") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                f'viewBox="0 0 {WIDTH} {height}">\n<style>text{{font:13px sans-serif;fill:#24292f}}'
                '.title{font-size:16px;font-weight:bold}.unit{fill:#57606a}.label{text-anchor:end}</style>\n'
                f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")
