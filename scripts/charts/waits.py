# SPDX-License-Identifier: MIT
"""Who waits: how long a second client waits while the first one is connected and silent."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import say, translated

from . import servers, style


def title_of(result):
    if result.verdict("srv-iterative-waits") != "holds":
        return translated("A second client, while the first one is silent")
    if result.verdict("srv-concurrent-at-once") == "holds":
        return translated("The iterative server makes the second client wait until the first one leaves; "
                          "all others answer at once")
    return translated("The iterative server makes the second client wait until the first one leaves")


def draw(result):
    variants = servers.of_run(result, result.samples)
    hold_ns = result.run["params"]["hold_ms"] * 1e6
    page = style.Page(
        result, title_of(result),
        say("A dot is the time from the second client's request to its answer, a bar the median. "
            "The first client leaves after {hold} at the soonest, or when the second has its answer.",
            hold=style.time_of(hold_ns)))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.17, right=0.89, above=0.03)[0])
    style.rows_of(axes, list(variants))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    for at, samples in enumerate(variants.values()):
        ns = style.column(samples, "latency_ns")
        waited = any(s["waited"] for s in samples)
        style.dots(axes, ns, at, *((style.RED, "s") if waited else (style.BLUE, "o")))
        style.median_bar(axes, ns, at)
        style.beside(axes, at, style.time_of(np.median(ns)))
    for ns, words in ((hold_ns, "hold"), (hold_ns * result.bound("at_once_share"), translated("at once"))):
        axes.axvline(ns, color=style.BLACK, linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(words, (ns, 1), (-3, 4), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", ha="right")
    axes.set_xlabel(translated("from the second client's request to its answer (log)"))
    return page.fig
