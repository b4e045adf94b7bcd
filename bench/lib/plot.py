"""Percentile curves as SVG, in the manner of HdrHistogram: a nine more every step to the right, tenfold every step up."""

import math
from html import escape

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")
LEFT, TOP, WIDTH, HEIGHT, LEGEND = 70, 40, 620, 320, 20


def quantiles(sorted_values):
    """(share, value): ever finer towards 1, and the largest."""
    found, beyond, n = [], 1.0, len(sorted_values)
    while beyond * n >= 1:
        share = 1 - beyond
        found.append((share, sorted_values[min(n - 1, int(share * n))]))
        beyond /= 10 ** 0.1
    return [*found, (1 - 1 / n / 2, sorted_values[-1])]


class Axes:
    def __init__(self, curves):
        shares = [share for _, points in curves for share, _ in points]
        values = [max(value, 1e-3) for _, points in curves for _, value in points]
        self.nines = max(1.0, -math.log10(1 - max(shares)))
        self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)

    def x(self, share):
        return LEFT + WIDTH * -math.log10(1 - share) / self.nines

    def y(self, value):
        return TOP + HEIGHT * (1 - (math.log10(max(value, 1e-3)) - self.low) / max(1, self.high - self.low))

    def lines(self):
        for power in range(self.low, self.high + 1):
            y = self.y(10.0 ** power)
            yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}" stroke="#ddd"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** power:g} ms</text>'
        for nines in range(int(self.nines) + 1):
            x = self.x(1 - 10.0 ** -nines)
            yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + HEIGHT}" stroke="#ddd"/>'
            name = f"{100 - 10.0 ** (2 - nines):.{max(0, nines - 2)}f} %"
            yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{name}</text>'


def svg(title, curves):
    """curves: (name, sorted values in ms). The whole document."""
    curves = [(name, quantiles(values)) for name, values in curves]
    axes, parts = Axes(curves), []
    for number, (name, points) in enumerate(curves):
        colour, y = COLOURS[number % len(COLOURS)], TOP + HEIGHT + 44 + number * LEGEND
        path = " ".join(f"{axes.x(share):.1f},{axes.y(value):.1f}" for share, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<line x1="{LEFT}" y1="{y - 4}" x2="{LEFT + 24}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{LEFT + 32}" y="{y}">{escape(name)}</text>')
    whole = (LEFT + WIDTH + 40, TOP + HEIGHT + 50 + len(curves) * LEGEND)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole[0]}" height="{whole[1]}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *axes.lines(), *parts, "</svg>\n",
    ])
