# SPDX-License-Identifier: MIT
"""How each end of a connection looks to the one who receives: bytes, then 0 or an error."""
import errno

import numpy as np

from language import MESSAGE, say, translated

from . import style

ROWS = {  # who ends, and how
    "open": MESSAGE("nobody: it stays open"), "shutdown": "shutdown(SHUT_WR)", "close": "close",
    "killed": MESSAGE("the process is killed"), "unread": MESSAGE("close, bytes unread"),
    "linger0": "close, SO_LINGER 0", "crashed": MESSAGE("killed, bytes unread"),
    "udp-empty": MESSAGE("nobody: an empty\nUDP datagram"), "length-0": MESSAGE("nobody: recv of\nlength 0")}
FALSE = ("udp-empty", "length-0")
COLUMNS = (("end", MESSAGE("recv then\nreturns")), ("again", MESSAGE("once more")), ("again_2", MESSAGE("and again")),
           ("send", MESSAGE("send\nreturns")), ("send_2", MESSAGE("send\nagain")))


def word(value):
    return f"{value:,}" if value >= 0 else errno.errorcode.get(-value, f"errno {-value}")


def colour_of(name, field, value):
    if value < 0:
        return style.GREY if value == -errno.EAGAIN else style.RED
    if field.startswith("send") or value > 0:
        return style.GREEN
    return style.ORANGE if name in FALSE else style.BLUE


def draw_bytes(axes, names, variants):
    for at, name in enumerate(names):
        sent = float(np.median(style.column(variants[name], "accepted_bytes")))
        got = float(np.median(style.column(variants[name], "received_bytes")))
        axes.barh(at, 100 * got / sent, 0.62, color=style.SKY)
        if got < sent:
            axes.barh(at, 100 - 100 * got / sent, 0.62, left=100 * got / sent, color="white",
                      edgecolor=style.RED, hatch="////")
            axes.text(50 + 50 * got / sent, at, say("{bytes:,} lost", bytes=int(sent - got)), ha="center",
                      va="center", color=style.RED, weight="bold", size=8.5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        axes.text(50 * got / sent, at, f"{int(got):,}", ha="center", va="center", size=8.5)
    axes.set_xlim(0, 100)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(translated("bytes received,\nof those send took"), size=style.BODY, loc="center")


def draw_calls(axes, names, variants):
    for at, name in enumerate(names):
        for column, (field, _) in enumerate(COLUMNS):
            values = {s[field] for s in variants[name]}
            if name in FALSE and field.startswith("send"):
                continue
            value = values.pop()
            axes.barh(at, 0.94, 0.74, left=column + 0.03, color=colour_of(name, field, value))
            axes.text(column + 0.5, at, translated("varies") if values else word(value), ha="center",
                      va="center", color="white", weight="bold", size=8.5)
    axes.set_xlim(0, len(COLUMNS))
    axes.set_xticks(np.arange(len(COLUMNS)) + 0.5, [translated(label) for _, label in COLUMNS])
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", length=0)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)


def title_of(variants):
    told = []
    ends = [s for name in ("shutdown", "close", "killed") for s in variants.get(name, [])]
    if ends:
        zero = sum(s["end"] == 0 for s in ends)
        told.append(say("an orderly end gave 0 in {zero} of {trials} trials", zero=zero, trials=len(ends)))
    resets = [s for name in ("unread", "linger0", "crashed") for s in variants.get(name, [])]
    if resets:
        reset = sum(s["end"] == -errno.ECONNRESET for s in resets)
        told.append(say("a reset gave ECONNRESET in {reset} of {trials}", reset=reset, trials=len(resets)))
    false = [s for name in FALSE for s in variants.get(name, [])]
    if false:
        zero = sum(s["end"] == 0 for s in false)
        told.append(say("with nobody gone 0 came in {zero} of {trials}", zero=zero, trials=len(false)))
    return say("What recv returns at the end: {found}", found=", ".join(told) or translated("nothing was measured"))


def draw(result):
    variants = style.of_variants(result.samples, *ROWS)
    names = list(variants)
    page = style.Page(result, title_of(variants),
                      translated("Blue: 0, the peer has ended. Orange: 0, though nobody has. Green: bytes. "
                                 "Red: an error. Grey: nothing there yet."))
    grid = page.grid(1, 2, left=0.19, above=0.13, below=0.03, wspace=0.04, width_ratios=[2, 4])
    left = page.fig.add_subplot(grid[0])
    style.rows_of(left, [translated(ROWS.get(name, name)) for name in names])
    draw_bytes(left, names, variants)
    right = page.fig.add_subplot(grid[1])
    style.rows_of(right, [""] * len(names))
    draw_calls(right, names, variants)
    return page.fig
