# SPDX-License-Identifier: MIT
"""How long accept takes after poll has said that there is a connection."""
import errno

import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import style

VARIANTS = {"queued": (MESSAGE("nothing happened\nto it"), (style.BLUE, "o")),
            "reset": (MESSAGE("its client\nreset it"), (style.ORANGE, "D")),
            "taken": (MESSAGE("another process\ntook it (trap)"), (style.RED, "s")),
            "taken-nonblock": (MESSAGE("the same with\nO_NONBLOCK (cure)"), (style.GREEN, "^"))}


def gave(sample):
    """What the call gave, in words."""
    if sample["accept_errno"]:
        return sample["accept"]
    if sample["recv_result"] < 0:
        return say("a socket, recv:\n{error}",
                   error=errno.errorcode.get(-sample["recv_result"]) or translated("an error"))
    return translated("a socket")


def blocked(samples):
    """In how many trials."""
    return say("{k} of {n}", k=np.count_nonzero(style.column(samples, "blocked")), n=len(samples))


def title_of(shown):
    reset, taken = (blocked(shown.get(name, [])) for name in ("reset", "taken"))
    if "reset" in shown and "taken" in shown:
        return say("After poll said ready, a reset connection blocked accept in {reset}, "
                   "one that another process took in {taken}", reset=reset, taken=taken)
    if "reset" in shown:
        return say("After poll said ready, a reset connection blocked accept in {reset}", reset=reset)
    if "taken" in shown:
        return say("After poll said ready, a connection that another process took blocked accept in {taken}",
                   taken=taken)
    return translated("accept after poll")


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    late = style.time_of(result.run["params"]["late_ms"] * 1e6)
    page = style.Page(result, title_of(shown),
                      say("Left: what happened to the connection between poll and accept; right: what "
                          "accept gave. The next client came after {late}. A dot is a trial, a bar "
                          "the median.", late=late))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.17, right=0.83, above=0.03)[0])
    style.rows_of(axes, [translated(VARIANTS[name][0]) for name in shown])
    axes.set_xscale("log")
    axes.axvline(result.run["params"]["late_ms"] * 1e6, color=style.GREY, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        ns = style.column(samples, "accept_ns")
        style.dots(axes, ns, at, *VARIANTS[name][1])
        style.median_bar(axes, ns, at)
        axes.annotate(say("{time}, blocked in {trials}", time=style.time_of(np.median(ns)), trials=blocked(samples)),
                      (np.median(ns), at - 0.33), (0, 5), textcoords="offset points",
                      ha="right" if np.median(ns) > 1e6 else "left", color=VARIANTS[name][1][0])
        style.beside(axes, at, gave(samples[0]))
    axes.set_xlim(left=min(300, axes.get_xlim()[0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xlabel(translated("time in accept (dotted: the next client comes)"))
    return page.fig
