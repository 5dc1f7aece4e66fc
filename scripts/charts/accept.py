# SPDX-License-Identifier: MIT
"""How long accept takes after poll has said that there is a connection."""
import errno

import numpy as np
from matplotlib.ticker import FuncFormatter

from . import style

VARIANTS = {"queued": ("nothing happened\nto it", (style.BLUE, "o")),
            "reset": ("its client\nreset it", (style.ORANGE, "D")),
            "taken": ("another process\ntook it (trap)", (style.RED, "s")),
            "taken-nonblock": ("the same with\nO_NONBLOCK (cure)", (style.GREEN, "^"))}


def gave(sample):
    """What the call gave, in words."""
    if sample["accept_errno"]:
        return sample["accept"]
    if sample["recv_result"] < 0:
        return f"a socket, recv:\n{errno.errorcode.get(-sample['recv_result'], 'an error')}"
    return "a socket"


def title_of(shown):
    told = []
    if "reset" in shown:
        blocked = np.count_nonzero(style.column(shown["reset"], "blocked"))
        told.append(f"a reset connection blocked accept in {blocked} of {len(shown['reset'])}")
    if "taken" in shown:
        samples = shown["taken"]
        blocked = np.count_nonzero(style.column(samples, "blocked"))
        told.append(f"one that another process took in {blocked} of {len(samples)}")
    return "After poll said ready, " + ", ".join(told) if told else "accept after poll"


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    late = style.time_of(result.run["params"]["late_ms"] * 1e6)
    page = style.Page(result, title_of(shown),
                      "Left: what happened to the connection between poll and accept; right: what "
                      f"accept gave. The next client came after {late}. A dot is a trial, a bar "
                      "the median.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.17, right=0.83, above=0.03)[0])
    style.rows_of(axes, [VARIANTS[name][0] for name in shown])
    axes.set_xscale("log")
    axes.axvline(result.run["params"]["late_ms"] * 1e6, color=style.GREY, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        ns = style.column(samples, "accept_ns")
        style.dots(axes, ns, at, *VARIANTS[name][1])
        style.median_bar(axes, ns, at)
        blocked = np.count_nonzero(style.column(samples, "blocked"))
        axes.annotate(f"{style.time_of(np.median(ns))}, blocked in {blocked} of {len(samples)}",
                      (np.median(ns), at - 0.33), (0, 5), textcoords="offset points",
                      ha="right" if np.median(ns) > 1e6 else "left", color=VARIANTS[name][1][0])
        style.beside(axes, at, gave(samples[0]))
    axes.set_xlim(left=min(300, axes.get_xlim()[0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xlabel("time in accept (dotted: the next client comes)")
    return page.fig
