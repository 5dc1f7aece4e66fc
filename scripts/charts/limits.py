# SPDX-License-Identifier: MIT
"""How many descriptors a process may open, as found and with other limits."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated

from . import style

COUNTS = {"found": MESSAGE("limit as found"), "at-1024": MESSAGE("soft limit of 1,024"),
          "raised": MESSAGE("soft limit raised\nto the hard one")}


def title_of(rows):
    if "found" not in rows:
        return translated("How many descriptors a process may open")
    return say("This process may open {many:,.0f} descriptors", many=many_of(rows["found"]))


def many_of(samples):
    return np.median(style.column(samples, "open_fds"))


def draw(result):
    variants = style.of_variants(result.samples, *COUNTS)
    rows = {name: variants[name] for name in COUNTS if name in variants}
    page = style.Page(result, title_of(rows),
                      translated("Opened until one was refused. No limit changes how many select can watch."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, right=0.87, above=0.09)[0])
    style.rows_of(axes, [translated(COUNTS[name]) for name in rows])
    for at, samples in enumerate(rows.values()):
        axes.barh(at, many_of(samples), height=0.55, color=style.SKY)
        end = (MESSAGE("{many:,.0f},\nand more") if samples[0]["errno"] == 0 else
               MESSAGE("{many:,.0f},\nthen {error}"))
        style.beside(axes, at, say(end, many=many_of(samples), error=samples[0].get("error")))
    axes.axvline(1024, color=style.BLACK, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.annotate(translated("FD_SETSIZE\nof select: 1,024"), (1024, -0.5), (-3, 3),
                  textcoords="offset points", size=style.CAPTION, ha="right", va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(64, None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel(translated("descriptors open at once (log)"))
    return page.fig
