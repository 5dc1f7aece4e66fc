# SPDX-License-Identifier: MIT
"""How long a thread of high priority waits for a mutex that one of low priority holds."""
import numpy as np

from . import style

ROWS = {"plain": ("a plain mutex", style.RED),
        "inherit": ("the holder inherits\nhigh's priority", style.GREEN),
        "protect": ("the mutex has\nhigh's priority", style.GREEN)}


def title_of(shown):
    plain = shown.get("plain")
    if not plain:
        return "How long high waits for a mutex that low holds"
    first = style.column(plain, "medium_first")
    waited = style.time_of(np.median(style.column(plain, "waited_ns")))
    if first.all():
        return f"High waits {waited} for a mutex that low holds: for all of medium's work, too"
    return f"High waits {waited} for a mutex that low holds; for medium's work in {first.sum()} of {len(first)} trials"


def draw(result):
    shown = style.of_variants(result.all_samples, *ROWS)
    medium = np.median(style.column(result.all_samples, "medium_ns"))
    held = np.median(style.column(result.all_samples, "held_ns"))
    page = style.Page(result, title_of(shown), "Three threads of SCHED_FIFO on one CPU. A dot is a trial. Medium, which "
                      f"needs no mutex, works for {style.time_of(medium)}, low, with it, for {style.time_of(held)}.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.8)[0])
    style.rows_of(axes, [ROWS[name][0] for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        waited = style.column(samples, "waited_ns") / 1e6
        style.dots(axes, waited, at, ROWS[name][1], "o")
        style.median_bar(axes, waited, at)
        first = style.column(samples, "medium_first")
        style.beside(axes, at, f"medium was first\nin {first.sum()} of {len(first)} trials")
    axes.set_xlim(left=0)
    axes.set_xlabel("ms that high waits for the mutex")
    return page.fig
