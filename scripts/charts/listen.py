# SPDX-License-Identifier: MIT
"""listen() against accept(): how long each took, and how often it was seen asleep."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import say, translated

from . import style

CALLS = {"listen": (style.BLUE, "o"), "accept": (style.RED, "s")}


def each_ns(samples, call):
    """How long one call took in each trial: of listen, which is called many times, their mean."""
    ns = style.column(samples, f"{call}_ns").astype(float)
    return ns / style.column(samples, "listen_calls") if call == "listen" else ns


def draw_times(axes, samples):
    style.rows_of(axes, [f"{call}()" for call in CALLS])
    axes.set_xscale("log")
    for at, (call, look) in enumerate(CALLS.items()):
        ns = each_ns(samples, call)
        style.dots(axes, ns, at, *look)
        style.median_bar(axes, ns, at)
        axes.annotate(say("returned after {time}", time=style.time_of(np.median(ns))), (np.median(ns), at - 0.33),
                      (0, 4), textcoords="offset points", color=look[0],
                      ha="left" if at == 0 else "right")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xlabel(translated("time of one call"))


def draw_looks(axes, samples):
    style.rows_of(axes, [f"{call}()" for call in CALLS])
    for at, call in enumerate(CALLS):
        looks = style.column(samples, f"{call}_looks").sum()
        asleep = style.column(samples, f"{call}_asleep_looks").sum()
        share = 100 * asleep / max(looks, 1)
        axes.barh(at, share, color=style.RED, height=0.5)
        axes.barh(at, 100 - share, left=share, color=style.BLUE, height=0.5)
        words = say("asleep in {asleep:,} of {looks:,} looks", asleep=asleep, looks=looks)
        axes.text(50, at, words, ha="center", va="center", color="white")
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("% of the looks at the thread's state in /proc: red asleep, blue running"))


def draw(result):
    samples = result.samples
    calls, slept, listen = (result.number("tcp-listen-blocks", name) for name in (
        "asleep.n", "asleep.k", "each_ns"))
    accept = np.median(each_ns(samples, "accept"))
    wait = style.time_of(result.run["params"]["wait_ms"] * 1e6)
    page = style.Page(
        result,
        say("listen() slept in {slept:,} of {calls:,} calls and took {listen}; it is accept() that waits: {accept}",
            slept=slept, calls=calls, listen=style.time_of(listen), accept=style.time_of(accept)) if calls else
        translated("listen() and accept(): how long a call takes"),
        say("A client connected {wait} after the server had called accept. A dot is a trial (of listen: the mean of "
            "its calls), a bar the median.", wait=wait))
    grid = page.grid(2, 1, left=0.1, right=0.96, above=0.05, hspace=0.5)
    draw_times(page.fig.add_subplot(grid[0]), samples)
    draw_looks(page.fig.add_subplot(grid[1]), samples)
    return page.fig
