# SPDX-License-Identifier: MIT
"""Servers of one thread: when a second client has its answer, and whether the first one had to leave before."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import translated

from . import servers, style


def title_of(result):
    event, run = result.verdict("srv-iterative-event"), result.verdict("srv-run-is-start")
    if event == run == "refuted":
        return translated("Of servers with one thread only the iterative ones make a second client wait; "
                          "run() is no start()")
    if event == "refuted":
        return translated("An iterative server makes a second client wait until the first one leaves, "
                          "an event loop does not")
    return translated("A second client, while the first one is connected and silent")


def draw(result):
    variants = servers.of_run(result, result.all_samples)
    helps = result.run["variants"]
    page = style.Page(
        result, title_of(result),
        translated("A dot is one second client. Red squares: it had no answer before the first one left; "
                   "blue dots: it had. A bar is the median."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.36, right=0.9, above=0.03)[0])
    style.rows_of(axes, [f"{name}\n{translated(helps[name])}" for name in variants])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    for at, samples in enumerate(variants.values()):
        for waited, look in ((True, (style.RED, "s")), (False, (style.BLUE, "o"))):
            some = [s for s in samples if bool(s["waited"]) == waited]
            if some:
                style.dots(axes, style.column(some, "latency_ns"), at, *look)
        ns = style.column(samples, "latency_ns")
        style.median_bar(axes, ns, at)
        style.beside(axes, at, style.time_of(np.median(ns)))
    axes.set_xlabel(translated("from the second client's request to its answer (log)"))
    return page.fig
