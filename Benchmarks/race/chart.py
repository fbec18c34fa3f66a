"""Ratios as bars: how many times Mingle's time each peer takes."""

from html import escape

from contest import CONTENDERS
from report import MODES, groups

COLOURS = {
    "eager": "#d1603d", "compile": "#e0a458", "onnxruntime": "#4f7cac", "openvino": "#5b8c5a"}
WIDTH, LEFT, RIGHT = 920, 250, 60
BAR, GAP, HEAD = 12, 12, 34


def picture(results, contenders):
    """An SVG picture: a panel for each mode and precision, a group of bars for each race."""
    peers = [name for name in contenders if name != "mingle"]
    ratios = [
        entry["ratio"]["upper"] for result in results for name, entry in
        result["contenders"].items() if name != "mingle" and "ratio" in entry]
    most = max([1.5, *ratios]) * 1.05
    canvas = Canvas((WIDTH - LEFT - RIGHT) / most)
    canvas.legend(peers)
    for mode, precision in groups(results):
        rows = [r for r in results if (r["mode"], r["precision"]) == (mode, precision)]
        rows = [r for r in rows if any(
            "ratio" in r["contenders"].get(name, {}) for name in peers)]
        if rows:
            canvas.panel(f"{MODES[mode]}, {precision}", rows, peers)
    return canvas.text(most)


class Canvas:
    def __init__(self, scale):
        self.scale = scale
        self.y = 10
        self.parts = []

    def at(self, ratio):
        return LEFT + ratio * self.scale

    def legend(self, peers):
        x = LEFT
        for name in peers:
            self.parts.append(
                f'<rect x="{x}" y="{self.y}" width="12" height="12" fill="{COLOURS[name]}"/>'
                f'<text x="{x + 18}" y="{self.y + 10}">{escape(CONTENDERS[name][0])}</text>')
            x += 150
        self.y += 16

    def panel(self, title, rows, peers):
        self.y += HEAD
        self.parts.append(f'<text class="title" x="10" y="{self.y - 10}">{escape(title)}</text>')
        top = self.y
        for row in rows:
            bars = [name for name in peers if "ratio" in row["contenders"].get(name, {})]
            middle = self.y + BAR * len(bars) / 2 + 4
            label = escape(f"{row['model']}, batch {row['batch']}")
            mark = "" if row.get("quiet", True) else " (!)"
            self.parts.append(
                f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{label}{mark}</text>')
            for name in bars:
                self.bar(row["contenders"][name]["ratio"], name)
            self.y += GAP
        x = f"{self.at(1):.1f}"
        self.parts.append(
            f'<line class="one" x1="{x}" y1="{top - 4}" x2="{x}" y2="{self.y - GAP + 4}"/>')

    def bar(self, ratio, name):
        y, middle = self.y, self.y + BAR / 2
        end, lower, upper = (self.at(ratio[key]) for key in ("median", "lower", "upper"))
        self.parts.append(
            f'<rect x="{LEFT}" y="{y + 1}" width="{end - LEFT:.1f}" height="{BAR - 2}" '
            f'fill="{COLOURS[name]}"/>'
            f'<line class="span" x1="{lower:.1f}" y1="{middle}" x2="{upper:.1f}" y2="{middle}"/>'
            f'<text class="value" x="{upper + 5:.1f}" y="{y + BAR - 2}">'
            f'{ratio["median"]:.2f}</text>')
        self.y += BAR

    def text(self, most):
        height = self.y + 30
        caption = "time over Mingle's: right of the line Mingle is faster; thin: quartiles"
        style = (
            "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.value{font-size:10px}"
            ".one{stroke:#222}.span{stroke:#222;stroke-width:2}")
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}"><style>{style}</style>'
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
        foot = f'<text x="{LEFT}" y="{height - 10}">{caption}</text></svg>'
        return head + "".join(self.parts) + foot + "\n"
