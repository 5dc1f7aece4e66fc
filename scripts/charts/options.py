# SPDX-License-Identifier: MIT
"""Buffer sizes: asked for against granted."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

KINDS = (("tcp", "sndbuf", "TCP, SO_SNDBUF", style.BLUE, "^"),
         ("tcp", "rcvbuf", "TCP, SO_RCVBUF", style.GREEN, "v"),
         ("tcp-accepted", "sndbuf", MESSAGE("accepted TCP, SO_SNDBUF"), style.PINK, "o"),
         ("tcp-accepted", "rcvbuf", MESSAGE("accepted TCP, SO_RCVBUF"), style.BLACK, "s"),
         ("udp", "sndbuf", "UDP, SO_SNDBUF", style.SKY, "."),
         ("pipe", "sndbuf", MESSAGE("pipe, F_SETPIPE_SZ"), style.ORANGE, "s"))
DEFAULTS = {"tcp": "TCP", "tcp-accepted": MESSAGE("accepted TCP"), "udp": "UDP",
            "unix-stream": MESSAGE("AF_UNIX\nstream"), "unix-dgram": MESSAGE("AF_UNIX\ndatagrams"),
            "pipe": MESSAGE("pipe")}
TAUGHT = 65536


def draw_granted(axes, samples):
    """The sizes that were granted, of each kind; those that were not leave no mark."""
    tops = []
    for kind, side, label, colour, marker in KINDS:
        here = [s for s in samples if s["variant"] == kind and s["asked_bytes"]
                and s[f"granted_{side}_bytes"]]
        pairs = sorted({(s["asked_bytes"], s[f"granted_{side}_bytes"]) for s in here})
        if pairs:
            hollow = {"linestyle": "none", "fillstyle": "none", "markersize": 13} if "accepted" in kind else {}
            axes.plot(*zip(*pairs), label=translated(label), **{
                "color": colour, "marker": marker, "markersize": 7, "linewidth": 1.5, "alpha": 0.8, **hollow})
            tops.append(pairs[-1][1])
    asked = np.array([1, 2 ** 31])
    axes.plot(asked, asked, color=style.GREY, linewidth=1, linestyle="--", label=translated("as asked for"))
    forced = max((s.get("forced_sndbuf_bytes", 0) for s in samples), default=0)
    if forced:
        axes.plot([2 ** 31], [forced], "*", color=style.RED, markersize=13, linestyle="none",
                  label=translated("SO_SNDBUFFORCE, by root"))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(0.6, 2 ** 32)
    axes.set_ylim(2 ** 9, 2 ** 32)
    style.octaves(axes.xaxis, 1, 2 ** 31, 6)
    style.octaves(axes.yaxis, 2 ** 9, 2 ** 32, 4)
    axes.set_xlabel(translated("asked for"))
    axes.set_ylabel(translated("granted"))
    axes.set_title(translated("Granted, by what was asked for"))
    axes.legend(loc="upper left", frameon=False, fontsize=style.CAPTION)


def draw_defaults(axes, samples):
    """What each kind has that was asked for nothing."""
    shown = {name: here for name, here in style.of_variants(
        [s for s in samples if not s["asked_bytes"]], *DEFAULTS).items() if name in DEFAULTS}
    style.rows_of(axes, [translated(DEFAULTS[name]) for name in shown])
    axes.set_title(translated("Asked for nothing"))
    axes.set_xscale("log", base=2)
    axes.set_xlim(2 ** 10, 2 ** 25)
    style.octaves(axes.xaxis, 2 ** 12, 2 ** 24, 6)
    for at, here in enumerate(shown.values()):
        for side, colour, marker, above in (("sndbuf", style.BLUE, "^", -0.2), ("rcvbuf", style.GREEN, "v", 0.2)):
            sizes = {s[f"granted_{side}_bytes"] for s in here} - {0}
            for size in sizes:
                axes.plot(size, at + above, marker, color=colour, markersize=8, markeredgewidth=0)
                left = size < TAUGHT
                axes.annotate(f"{size:,}", (size, at + above), (-7 if left else 7, 0), textcoords="offset points",
                              va="center", ha="right" if left else "left", size=style.CAPTION, color=colour)
    axes.axvline(TAUGHT, color=style.GREY, linestyle="--", linewidth=1)
    axes.annotate(translated("as taught: 65,536 "), (TAUGHT, 0), (0, 3), xycoords=axes.get_xaxis_transform(),
                  textcoords="offset points", size=style.CAPTION, color=style.GREY, ha="right")
    axes.set_xlabel(translated("to send (up), to receive (down)"))


def draw(result):
    most = max((s["granted_sndbuf_bytes"] for s in result.samples
                if s["variant"] == "tcp" and s["asked_bytes"] > 2 ** 30), default=0)
    page = style.Page(result, say("However much is asked for, {most} at most is granted", most=style.bytes_of(most))
                      if most else translated("Buffer sizes: asked for, and granted"),
                      translated("A fresh socket or pipe for each size, or what a listener that was asked for it "
                                 "accepts; no mark: refused."))
    grid = page.grid(1, 2, left=0.09, right=0.97, above=0.07, wspace=0.34, width_ratios=(1.5, 1))
    draw_granted(page.fig.add_subplot(grid[0]), result.samples)
    draw_defaults(page.fig.add_subplot(grid[1]), result.samples)
    return page.fig
