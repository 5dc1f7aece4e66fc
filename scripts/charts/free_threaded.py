# SPDX-License-Identifier: MIT
"""A CPython without its GIL and with it: what an update takes in one thread and in two."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

WAYS = {"free": MESSAGE("without the GIL"), "gil": MESSAGE("with the GIL")}
KINDS = {"one": MESSAGE("1 thread"), "own": MESSAGE("2 threads, an x each"), "shared": MESSAGE("2 threads, one x")}


def ns(samples, kind):
    return style.column(samples, f"{kind}_ns") / style.column(samples, f"{kind}_updates")


def title_of(result, shown):
    free = shown.get("free")
    if not free:
        return translated("CPython with its GIL switched on")
    own, shared = (style.times(np.median(ns(free, "one") / ns(free, kind))) for kind in ("own", "shared"))
    wrong = np.count_nonzero(style.column(free, "shared_x"))
    return say("Without the GIL two threads are {own} times as fast as one on an x each, {shared} times on one x, "
               "which was wrong in {k} of {n} trials", own=own, shared=shared, k=wrong, n=len(free))


def draw(result):
    shown = style.of_variants(result.samples, *WAYS)
    version = next((sample["python"] for sample in result.all_samples), "")
    page = style.Page(result, title_of(result, shown), say(
        "CPython {version}, and the same with its GIL switched on. A dot is a trial.", version=version))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.3, right=0.88, above=0.04, below=0.09)[0])
    rows = [(way, kind) for way in shown for kind in KINDS]
    style.rows_of(axes, [f"{translated(WAYS[way])}: {translated(KINDS[kind])}" for way, kind in rows])
    for at, (way, kind) in enumerate(rows):
        values = ns(shown[way], kind)
        style.dots(axes, values, at, *style.CYCLE[list(WAYS).index(way)])
        style.median_bar(axes, values, at)
        style.beside(axes, at, style.time_of(np.median(values)))
    axes.set_xlim(0, axes.get_xlim()[1])
    axes.set_xlabel(translated("time an update (ns)"))
    return page.fig
