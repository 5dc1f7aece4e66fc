# SPDX-License-Identifier: MIT
"""What a receiver that does not read holds, by when and how large its buffer was asked for."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

WHEN = {"early": MESSAGE("before connect"), "late": MESSAGE("after accept"),
        "raised": MESSAGE("4 KiB before connect, more after accept")}


def title_of(samples, size):
    """What the smallest size did before connect, and after accept."""
    held = {name: np.median(style.column(found, "held_bytes")) for name, found in
            style.of_variants([s for s in samples if s["asked_bytes"] == size]).items()}
    if not {"early", "late"} <= set(held):
        return translated("What a receiver holds that does not read")
    return say("With an SO_RCVBUF of {size} TCP held {early} if it was set before connect, {late} if after accept",
               size=style.bytes_of(size), early=style.bytes_of(held["early"]), late=style.bytes_of(held["late"]))


def draw(result):
    samples = result.samples
    sizes = sorted({s["asked_bytes"] for s in samples})
    page = style.Page(result, title_of(samples, sizes[0]),
                      translated("What the receiver, who does not read, had been sent when nothing more came."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.1)[0])
    for at, (name, found) in enumerate(style.of_variants(samples, *WHEN).items()):
        colour, marker = style.CYCLE[at]
        held = [style.column([s for s in found if s["asked_bytes"] == size], "held_bytes")
                for size in sizes]
        places = np.arange(len(sizes)) + (at - 1) * 0.22
        for place, values in zip(places, held):
            axes.plot(np.full(len(values), place), values, marker, color=colour, markersize=8,
                      alpha=0.6, markeredgewidth=0)
            axes.annotate(style.bytes_of(np.median(values)), (place, np.median(values)), (0, 9),
                          textcoords="offset points", ha="center", color=colour,
                          size=style.CAPTION)
        axes.plot([], [], marker, color=colour, label=translated(WHEN.get(name, name)))
    granted = [np.median(style.column([s for s in samples if s["asked_bytes"] == size],
                                      "granted_rcvbuf_bytes")) for size in sizes]
    axes.hlines(granted, np.arange(len(sizes)) - 0.36, np.arange(len(sizes)) + 0.36,
                color=style.GREY, linestyle="--", label=translated("as granted"))
    axes.set_xticks(range(len(sizes)), [style.bytes_of(size) for size in sizes])
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    axes.set_xlabel(translated("SO_RCVBUF asked for"))
    axes.set_yscale("log", base=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 2)
    style.octaves(axes.yaxis, low, high * 2, 2)
    axes.set_ylabel(translated("held"))
    axes.legend(loc="upper left", frameon=False)
    return page.fig
