# SPDX-License-Identifier: MIT
"""How many descriptors a process may open, as found and with other limits."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from . import style

COUNTS = {"found": "limit as found", "at-1024": "soft limit of 1,024",
          "raised": "soft limit raised\nto the hard one"}


def title_of(rows):
    if "found" not in rows:
        return "How many descriptors a process may open"
    return f"This process may open {many_of(rows['found']):,.0f} descriptors"


def many_of(samples):
    return np.median(style.column(samples, "open_fds"))


def draw(result):
    variants = style.of_variants(result.samples, *COUNTS)
    rows = {name: variants[name] for name in COUNTS if name in variants}
    page = style.Page(result, title_of(rows),
                      "Opened until one was refused. No limit changes how many select can watch.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, right=0.87, above=0.09)[0])
    style.rows_of(axes, [COUNTS[name] for name in rows])
    for at, samples in enumerate(rows.values()):
        axes.barh(at, many_of(samples), height=0.55, color=style.SKY)
        end = "and more" if samples[0]["errno"] == 0 else f"then {samples[0]['error']}"
        style.beside(axes, at, f"{many_of(samples):,.0f},\n{end}")
    axes.axvline(1024, color=style.BLACK, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.annotate("FD_SETSIZE\nof select: 1,024", (1024, -0.5), (-3, 3),
                  textcoords="offset points", size=style.CAPTION, ha="right", va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(64, None)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("descriptors open at once (log)")
    return page.fig
