# SPDX-License-Identifier: MIT
"""How long a non-blocking call takes in every state of a socket, and whether it slept."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import style

CONTROL = "blocking"


def row_of(samples):
    """What stands left of a row: the call, and the state it finds."""
    return f"{samples[0]['call']}: {translated(samples[0]['state'])}"


def slept_of(samples):
    return int(style.column(samples, "slept_calls").sum()), int(style.column(samples, "calls").sum())


def title_of(variants):
    found = [slept_of(samples) for name, samples in variants.items() if name != CONTROL]
    slept, calls = (sum(counts) for counts in zip(*found)) if found else (0, 0)
    if not calls:
        return translated("A call that waits")
    return say(MESSAGE("{slept} of {calls:,} non-blocking calls slept") if slept else
               MESSAGE("None of {calls:,} non-blocking calls slept"), slept=slept, calls=calls)


def draw(result):
    shown = style.of_variants(result.samples, *result.run["variants"])
    page = style.Page(result, title_of(shown),
                      translated("Dot: the longest call of a trial; bar: the median call. Right: what the last "
                                 "one said, and how many slept."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.25, right=0.73, above=0.03)[0])
    style.rows_of(axes, [row_of(samples) for samples in shown.values()])
    axes.set_xscale("log")
    for at, (name, samples) in enumerate(shown.items()):
        slept, calls = slept_of(samples)
        look = (style.RED, "s") if name == CONTROL else (style.BLUE, "o")
        style.dots(axes, np.maximum(style.column(samples, "longest_ns"), 1), at, *look)
        style.median_bar(axes, np.maximum(style.column(samples, "call_ns"), 1), at)
        style.beside(axes, at, say("{result}, {slept:,} of {calls:,} slept", result=samples[-1]["result"],
                                   slept=slept, calls=calls))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xlabel(translated("time in the call (log)"))
    return page.fig
