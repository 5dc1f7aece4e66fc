# SPDX-License-Identifier: MIT
"""A number of many machines side by side, as an SVG in a page: a row a machine, a dot and its interval, by verdict."""
import math
import xml.etree.ElementTree as tree

from markupsafe import Markup
from matplotlib.ticker import LogLocator, MaxNLocator

from language import say
from results import WORDS, shown_verdict
from sentence import share, value
from vector import NOT_XML

WIDTH, LEFT, RIGHT, TOP, AXIS = 1000, 240, 960, 8, 30  # of the drawing, in its own units
NAMED, ROW, HEIGHT, GAP = 40, 20, 600, 20  # so many rows have names and this height; more of them share HEIGHT
NAME = 26  # characters of a machine's name
LOGARITHMIC = 20  # from this ratio of the greatest to the least on


class Scale:
    """The place of a number between the least and the greatest of all intervals."""

    def __init__(self, lows, highs):
        least, most = min(lows), max(highs)
        self.log = least > 0 and most > LOGARITHMIC * least
        if least == most:
            least, most = least - abs(least or 1), most + abs(most or 1)
        ticks = (LogLocator(numticks=6) if self.log else MaxNLocator(4)).tick_values(least, most)
        self.ticks = [float(tick) for tick in ticks if least <= tick <= most]
        self.ends = [self.measure(end) for end in (least, most)]

    def measure(self, number):
        return math.log(number) if self.log else number

    def __call__(self, number):
        low, high = self.ends
        return round(LEFT + (RIGHT - LEFT) * (self.measure(number) - low) / (high - low))


def add(parent, tag, text=None, **attributes):
    element = tree.SubElement(parent, tag, {name.rstrip("_").replace("_", "-"): str(what)
                                            for name, what in attributes.items()})
    element.text = text and NOT_XML.sub("\ufffd", text)
    return element


def label(parent, x, y, text, anchor="start", **attributes):
    return add(parent, "text", text, x=x, y=y, text_anchor=anchor, **attributes)


def shortened(name):
    return name if len(name) <= NAME else f"{name[:NAME - 1]}\u2026"


def drawn(svg, rows, scale, verdict, y, height):
    """The rows of one verdict from y on, each so high: all intervals are one path, all dots another."""
    places = [y + (at + 0.5) * height for at in range(len(rows))]
    for kind, data in (("line", [f"M{scale(low)} {place:.4g}H{scale(high)}"
                                 for place, (_, low, _, high) in zip(places, rows)]),
                       ("dots", [f"M{scale(mid)} {place:.4g}h0" for place, (_, _, mid, _) in zip(places, rows)])):
        width = max(1, min(2, height / 4)) if kind == "line" else max(2.5, min(9, height / 2))
        add(svg, "path", d="".join(data), class_=f"{kind} {verdict}", stroke_width=f"{width:.3g}")
    return places


def strip(key, name, is_share, numbers):
    """<svg> of {verdict: [(machine, low, mid, high)]}; key begins its ids."""
    numbers = {verdict: sorted(numbers[verdict], key=lambda row: row[2]) for verdict in WORDS if numbers.get(verdict)}
    rows = [row for some in numbers.values() for row in some]
    scale = Scale([row[1] for row in rows], [row[3] for row in rows])
    height = ROW if len(rows) <= NAMED else HEIGHT / len(rows)
    bottom = TOP + (GAP + ROW) * len(numbers) + height * len(rows)
    svg = tree.Element("svg", {"class": "chart strip", "viewBox": f"0 0 {WIDTH} {bottom + AXIS:.0f}", "role": "img",
                               "aria-labelledby": f"{key}.title"})
    title = [f"{name}:"]
    for tick in scale.ticks:
        add(svg, "path", d=f"M{scale(tick)} {TOP}V{bottom:.0f}", class_="tick")
        label(svg, scale(tick), round(bottom + 20), share(tick) if is_share else value(name, tick), "middle")
    y = TOP
    for verdict, some in numbers.items():
        least, mid, most = (share(at[2]) if is_share else value(name, at[2])
                            for at in (some[0], some[len(some) // 2], some[-1]))
        said = say("{verdict}, {count} machines: {least} to {most}, median {mid}", verdict=shown_verdict(verdict),
                   count=f"{len(some):,}", least=least, most=most, mid=mid)
        title.append(said)
        label(svg, 0, y + ROW - 4, said, class_=f"said {verdict}")
        y += ROW
        for place, (machine, *_) in zip(drawn(svg, some, scale, verdict, y, height), some):
            if height == ROW:
                label(svg, LEFT - 20, round(place + 5), shortened(machine), "end")
        y += height * len(some) + GAP
    svg.insert(0, tree.Element("title", {"id": f"{key}.title"}))
    svg[0].text = NOT_XML.sub("\ufffd", " ".join(title))
    return Markup(tree.tostring(svg, encoding="unicode"))
