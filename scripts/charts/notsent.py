# SPDX-License-Identifier: MIT
"""What a write finds before it when poll says POLLOUT, and how late it arrives, with and without TCP_NOTSENT_LOWAT."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

NAMES = {"large": "128 KiB", "large-lowat": "128 KiB,\nNOTSENT_LOWAT", "small": "32 KiB",
         "small-lowat": "32 KiB,\nNOTSENT_LOWAT", "default": MESSAGE("default"),
         "default-lowat": MESSAGE("default,\nNOTSENT_LOWAT")}


def median(samples, field):
    return float(np.median(style.column(samples, field)))


def draw_panel(axes, shown, field, words, labels=True):
    style.rows_of(axes, [translated(NAMES.get(name, name)) if labels else "" for name in shown])
    most = max(median(samples, field) for samples in shown.values())
    for at, (name, samples) in enumerate(shown.items()):
        value = median(samples, field)
        axes.barh(at, value, 0.6, color=style.GREEN if name.endswith("lowat") else style.RED)
        style.beside(axes, at, words(value))
    axes.set_xlim(0, most or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def title_of(result):
    late = result.number("buf-notsent-lowat", "late_ns")
    soon = result.number("buf-notsent-lowat", "soon_ns")
    if late is None or soon is None:
        return translated("What is written when poll says POLLOUT, and when it arrives")
    return say("Written at POLLOUT, it arrives after {late}; with TCP_NOTSENT_LOWAT, {soon}",
               late=style.time_of(late), soon=style.time_of(soon))


def draw(result):
    shown = style.of_variants(result.samples, *NAMES)
    params = result.run["params"]
    page = style.Page(result, title_of(result),
                      say("By the send buffer asked for, over a link of {rate} a second; medians. "
                          "TCP_NOTSENT_LOWAT is {lowat}.", rate=style.bytes_of(params["rate_bytes_per_s"]),
                          lowat=style.bytes_of(params["lowat_bytes"])))
    grid = page.grid(1, 2, left=0.16, right=0.9, above=0.07, below=0.02, wspace=0.4)
    left = page.fig.add_subplot(grid[0])
    left.set_title(translated("Before it in the send buffer"))
    draw_panel(left, shown, "ahead_bytes", style.bytes_of)
    right = page.fig.add_subplot(grid[1])
    right.set_title(translated("It arrives after"))
    draw_panel(right, shown, "late_ns", style.time_of, labels=False)
    return page.fig
