# SPDX-License-Identifier: MIT
"""A figure as an SVG within a page: its colours follow light and dark, its text is text, a script can read its axes.

Colours of charts/style.py become variables of palette(); what is drawn over a map keeps its own.
"""
import io
import json
import math
import re
import xml.etree.ElementTree as tree

import matplotlib
from markupsafe import Markup

from charts import style
from plot import picture

PAGES = {"light": ("#ffffff", "#000000"), "dark": ("#15181c", "#eeeeee")}  # page and ink
COLOURS = {"orange": style.ORANGE, "sky": style.SKY, "green": style.GREEN, "yellow": style.YELLOW, "blue": style.BLUE,
           "red": style.RED, "pink": style.PINK, "grey": style.GREY}
NAMES = {**{colour.lower(): name for name, colour in COLOURS.items()},
         style.BLACK: "ink", style.PALE.lower(): "line", "#ffffff": "page"}
TEXT, MARK = 5, 3  # contrasts at least; WCAG asks for 4.5 and 3
WRITTEN_ON = ("green", "blue", "red", "grey")  # bars of these have white text on them
WIDTH, HEIGHT = (72 * inches for inches in style.INCHES)  # of an SVG, in its own units
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
POINTS = {"M": 1, "L": 1, "Q": 2, "C": 3, "z": 0}  # of each command of a path
LONG = 100  # words of a path
TICK = re.compile("([-\u2212]?[0-9,]*[.]?[0-9]+) ?(.*)")


# --- colours --------------------------------------------------------------------------------------

def parts(colour):
    return [int(colour[at:at + 2], 16) for at in (1, 3, 5)]


def contrast(one, other):
    def light(colour):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                  for part in (part / 255 for part in parts(colour))]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def readable(colour, against, towards, ratio):
    """The colour with as much of another one in it as gives this contrast."""
    for percent in range(101):
        mixed = "#" + "".join(f"{round(a + (b - a) * percent / 100):02x}"
                              for a, b in zip(parts(colour), parts(towards)))
        if contrast(mixed, against) >= ratio:
            return mixed
    raise ValueError(f"no {ratio} of {colour} to {against}")


def palette(mode, others):
    """The CSS variables of light or dark: each colour for marks, and for text; others, as a chart has them."""
    page, ink = PAGES[mode]
    found = {"page": page, "ink": ink, "line": readable(page, page, ink, contrast(style.PALE, "#ffffff"))}
    for name, colour in COLOURS.items():
        found[name] = readable(colour, page, ink, TEXT if name in WRITTEN_ON else MARK)
        found[f"{name}-text"] = readable(colour, page, ink, TEXT)
    for other in others:
        colour = f"#{other}"
        if mode == "dark":  # what is pale has text on it
            pale = contrast(colour, "#ffffff") < MARK
            colour = readable(colour, ink, page, TEXT) if pale else readable(colour, page, ink, MARK)
        found[f"c{other}"] = colour
    return " ".join(f"--{name}: {colour};" for name, colour in found.items())


# --- axes -----------------------------------------------------------------------------------------

def numbers_of(ticks):
    """[[place, number, unit]] of ticks whose labels are numbers in proportion to their places, or None."""
    found, factors = [], {}
    for at, text in ticks:
        match = TICK.fullmatch(text)
        if not match:
            return None
        number = float(match[1].replace(",", "").replace("\u2212", "-"))
        if (at == 0) != (number == 0):
            return None
        if at:
            factor = number / at
            if not math.isclose(factors.setdefault(match[2], factor), factor, rel_tol=0.03):
                return None
            found.append([float(at), number, match[2]])
    return found


def scale_of(axes, name):
    """What a script must know of the x or y axis to say the value at a place, or None."""
    axis, scale, limits = ((axes.xaxis, axes.get_xscale(), axes.get_xlim()) if name == "x" else
                           (axes.yaxis, axes.get_yscale(), axes.get_ylim()))
    if scale not in ("linear", "log") or not all(map(math.isfinite, limits)) or limits[0] == limits[1]:
        return None
    places = axis.get_majorticklocs()
    labels = axis.get_major_formatter().format_ticks(places)
    ticks = [(at, " ".join(text.split())) for at, text in zip(places, labels)
             if text.strip() and min(limits) <= at <= max(limits)]
    if not ticks:
        return None
    numbers = numbers_of(ticks)
    return {"label": label_of(axes, name), "limits": [float(limit) for limit in limits],
            "log": scale == "log",
            **({"numbers": numbers} if numbers else {"names": [[float(at), text] for at, text in ticks]})}


def label_of(axes, name):
    """Of the x or y axis, or of one that it shares."""
    shared = getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)
    others = [other for other in axes.figure.axes if other in shared]
    labels = (getattr(other, f"get_{name}label")() for other in [axes, *others])
    return " ".join(next(filter(None, labels), name).split())


def panels_of(figure):
    """An invisible box for each of the axes, with its scales."""
    for axes in figure.axes:
        box = axes.get_position()
        scales = {f"data-{name}": scale_of(axes, name) for name in ("x", "y")}
        yield tree.Element("rect", {
            "class": "panel", "x": f"{box.x0 * WIDTH:.1f}", "y": f"{(1 - box.y1) * HEIGHT:.1f}",
            "width": f"{box.width * WIDTH:.1f}", "height": f"{box.height * HEIGHT:.1f}",
            **{name: json.dumps(scale) for name, scale in scales.items() if scale}})


def crop_of(figure):
    """The first panel with all that belongs to it (left, top, width, height), for a small picture."""
    box = figure.axes[0].get_tightbbox(figure.canvas.get_renderer())
    scale = 72 / figure.dpi
    x0, x1 = max(0, box.x0 * scale - 4), min(WIDTH, box.x1 * scale + 4)
    y0, y1 = max(0, HEIGHT - box.y1 * scale - 4), min(HEIGHT, HEIGHT - box.y0 * scale + 4)
    return [round(side) for side in (x0, y0, x1 - x0, y1 - y0)]


def described(figure):
    """Title and description, for who does not see it."""
    title = next((text.get_text() for text in figure.texts if text.get_fontsize() == style.TITLE), "")
    said = [text.get_text() for text in figure.texts if text.get_fontsize() == style.BODY]
    for axes in figure.axes:
        said += [axes.get_title(loc="left"), *(f"{name}: {label}" for name, label in
                                               (("x", axes.get_xlabel()), ("y", axes.get_ylabel())) if label)]
    return [" ".join(text.split()) for text in (title, ". ".join(filter(None, said)))]


# --- the drawing ----------------------------------------------------------------------------------

def shortened(text):
    """Numbers to a hundredth of a point, which no screen shows."""
    return re.sub(r"-?[0-9]+\.[0-9]+(e-?[0-9]+)?", lambda match: number(round(float(match[0]) * 100), 2), text)


def number(units, digits):
    """An integer of units of so many decimal digits."""
    text = f"{units / 10 ** digits:.{digits}f}".rstrip("0").rstrip(".")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else "0" if text == "-0" else text


def path_of(text):
    """A path's data in relative coordinates: half as long.  A long one to a tenth of a point, others to a hundredth."""
    words = re.findall(r"[A-Za-z]|-?[0-9.]+(?:e-?[0-9]+)?", text)
    digits = 1 if len(words) > LONG else 2
    said, at, begin, last, place = [], (0, 0), (0, 0), "", 0
    while place < len(words):
        command = words[place]
        count = 2 * POINTS[command]
        values = [round(float(word) * 10 ** digits) for word in words[place + 1:place + 1 + count]]
        place += 1 + count
        if command == "z":
            at, last = begin, "z"
            said.append("z")
            continue
        points = list(zip(values[::2], values[1::2]))
        if command == "L" and points[0] == at and last == "l":
            continue  # nothing to be seen
        if command.lower() != last:
            said.append(command.lower())
        for step in (value - at[place % 2] for place, value in enumerate(values)):
            word = number(step, digits)
            said.append(word if word.startswith("-") or said[-1].isalpha() else f" {word}")
        at, last = points[-1], command.lower()
        if command == "M":
            begin = at
    return "".join(said)


def restyled(text, is_text):
    """A style with variables for colours, and the page's font."""
    def variable(match):
        name = NAMES.get(match[0], f"c{match[0][1:]}")
        return f"var(--{name}-text)" if is_text and name in COLOURS else f"var(--{name})"
    text = re.sub("#[0-9a-f]{6}", variable, text)
    return re.sub(r"font: (?:(bold|[0-9]{3}) )?([0-9.]+px) [^;]*",
                  lambda match: f"font-size: {match[2]}" + (f"; font-weight: {match[1]}" if match[1] else ""), text)


def attribute(name, text, is_text):
    """What becomes of an attribute; "" if nothing."""
    if name == "style":
        return restyled(text, is_text).replace(": ", ":").replace("; ", ";")
    if name == "d":
        return path_of(text)
    if name == "transform" and text.startswith(("rotate(-0 ", "rotate(0 ")):
        return ""
    return shortened(text) if name in ("x", "y", "width", "height", "transform") else text


def clean(element, ids, fixed=False):
    """The element without what a page does not need; those that are referred to have the ids of this chart.

    What is fixed keeps its colours.
    """
    tag = element.tag.rpartition("}")[2]
    fixed = fixed or element.get("id") == "fixed"
    found = tree.Element(tag, {"class": "fixed"} if fixed and tag == "text" else {})
    for name, text in element.items():
        name = name.rpartition("}")[2]
        if name == "id":
            text = ids.get(text)
        elif not fixed or name != "style":
            text = attribute(name, text, tag == "text")
        if name in ("href", "clip-path", "style"):
            text = re.sub(r"(^|\()#([^)]+)", lambda match: f"{match[1]}#{ids.get(match[2], match[2])}", text)
        if text:
            found.set(name, text)
    if tag == "text":
        found.text = element.text
    for child in element:
        child = clean(child, ids, fixed)
        if child.tag == "g" and not child.attrib:
            found.extend(child)
        elif child.tag not in ("metadata", "style") and (child.tag, child.get("style")) != ("path", "fill:none"):
            found.append(child)
    styles = {child.get("style") for child in found}
    if tag == "g" and len(styles) == 1 and len(found) > 1 and {child.tag for child in found} == {"use"}:
        found.set("style", styles.pop() or "")  # of all the dots
        for child in found:
            child.attrib.pop("style", None)
    return found


class Chart:
    """A figure as <svg>, whose ids begin with the key, and what part of it a small picture shows."""

    def __init__(self, figure, key):
        self.key = key
        self.svg = Markup(svg_of(figure, key))
        self.crop = crop_of(figure)
        self.others = set(re.findall("--c([0-9a-f]{6})", self.svg))  # colours that are not charts/style.py's


def svg_of(figure, key):
    """The <svg> of a figure, whose ids begin with the key, as text."""
    for axes in figure.axes:
        if axes.images:
            for text in axes.texts:
                text.set_gid("fixed")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        drawn = NOT_XML.sub("\ufffd", picture(figure, "svg", transparent=True).decode("utf-8", "replace"))
    drawn = re.sub('(<rect[^>]*) fill="(#[0-9a-f]{6})"', r'\1 style="fill: \2"', drawn)  # what is hatched
    root = tree.parse(io.StringIO(drawn)).getroot()
    ids = {name: f"{key}.{place}" for place, name in enumerate(dict.fromkeys(
        re.findall(r'(?:href="|url\()#([^")]+)', drawn)))}
    drawing = tree.Element("g", {"id": f"{key}.drawing", "class": "drawing"})
    drawing.extend(clean(root, ids))
    drawing.extend(panels_of(figure))
    title, description = described(figure)
    svg = tree.Element("svg", {"class": "chart", "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}", "role": "img",
                               "aria-labelledby": f"{key}.title", "aria-describedby": f"{key}.desc"})
    for name, text in (("title", title), ("desc", description)):
        tree.SubElement(svg, name, {"id": f"{key}.{name}"}).text = NOT_XML.sub("\ufffd", text)
    svg.append(drawing)
    return tree.tostring(svg, encoding="unicode")
