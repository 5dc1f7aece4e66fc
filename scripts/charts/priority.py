# SPDX-License-Identifier: MIT
"""How long a thread of high priority waits for a mutex that one of low priority holds."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

ROWS = {"plain": (MESSAGE("a plain mutex"), style.RED),
        "inherit": (MESSAGE("the holder inherits\nhigh's priority"), style.GREEN),
        "protect": (MESSAGE("the mutex has\nhigh's priority"), style.GREEN)}


def title_of(shown):
    plain = shown.get("plain")
    if not plain:
        return translated("How long high waits for a mutex that low holds")
    first = style.column(plain, "medium_first")
    waited = style.time_of(np.median(style.column(plain, "waited_ns")))
    return say(
        MESSAGE("High waits {waited} for a mutex that low holds: for all of medium's work, too") if first.all() else
        MESSAGE("High waits {waited} for a mutex that low holds; for medium's work in {first} of {trials} trials"),
        waited=waited, first=first.sum(), trials=len(first))


def draw(result):
    shown = style.of_variants(result.all_samples, *ROWS)
    medium = np.median(style.column(result.all_samples, "medium_ns"))
    held = np.median(style.column(result.all_samples, "held_ns"))
    page = style.Page(result, title_of(shown), say(
        "Three threads of SCHED_FIFO on one CPU. A dot is a trial. Medium, which needs no mutex, works for {medium}, "
        "low, with it, for {held}.", medium=style.time_of(medium), held=style.time_of(held)))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.8)[0])
    style.rows_of(axes, [translated(ROWS[name][0]) for name in shown])
    for at, (name, samples) in enumerate(shown.items()):
        waited = style.column(samples, "waited_ns") / 1e6
        style.dots(axes, waited, at, ROWS[name][1], "o")
        style.median_bar(axes, waited, at)
        first = style.column(samples, "medium_first")
        style.beside(axes, at, say("medium was first\nin {first} of {trials} trials", first=first.sum(),
                                   trials=len(first)))
    axes.set_xlim(left=0)
    axes.set_xlabel(translated("ms that high waits for the mutex"))
    return page.fig
