# SPDX-License-Identifier: MIT
"""What it costs to take and drop a reference, by way to count and by threads, and what goes wrong."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated
from . import style

WAYS = {"plain": MESSAGE("plain\nload, add, store"), "lock": MESSAGE("one lock\nas the GIL"),
        "atomic": MESSAGE("atomic"), "biased": MESSAGE("biased\nto the owner")}
CELLS = {"1 thread": MESSAGE("1 thread"), "2, own": MESSAGE("2 threads, an object each"),
         "2, shared": MESSAGE("2 threads, one object"), "4, shared": MESSAGE("4 threads, one object")}
LOOK = ((style.GREY, "o"), (style.BLUE, "s"), (style.RED, "^"), (style.ORANGE, "D"))


def of_cell(samples, cell):
    return [sample for sample in samples if sample["object"] == cell and sample["pairs"]]


def title_of(shown):
    def harmed(names):
        values = [sample["harmed"] for name in names for sample in shown.get(name, ())
                  if sample["object"].endswith("shared")]
        return np.count_nonzero(values), len(values)
    plain, others = harmed(["plain"]), harmed([name for name in shown if name != "plain"])
    told = []
    if plain[1]:
        told.append(say("plain counts that threads share went wrong in {k} of {n} trials", k=plain[0], n=plain[1]))
    if others[1]:
        told.append(say("protected ones in {k} of {n}", k=others[0], n=others[1]))
    title = ", ".join(told) or translated("What a reference count costs")
    return title[0].upper() + title[1:]


def draw(result):
    shown = style.of_variants(result.all_samples, *WAYS)
    page = style.Page(result, title_of(shown), translated("Time to take a reference and drop it, all threads together; "
                      "medians. At the right: how often an object was freed while in use."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.16, right=0.84, above=0.1, below=0.09)[0])
    style.rows_of(axes, [translated(WAYS[name]) for name in shown])
    axes.set_xscale("log")
    for at, samples in enumerate(shown.values()):
        for (cell, label), (colour, marker) in zip(CELLS.items(), LOOK):
            here = of_cell(samples, cell)
            if here:
                axes.plot(np.median([sample["elapsed_ns"] / sample["pairs"] for sample in here]), at, marker,
                          color=colour, markersize=10, label=translated(label) if at == 0 else None)
        style.beside(axes, at, say("{count:,} times", count=sum(sample["freed_early"] for sample in samples)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.figures(ns)))
    axes.minorticks_off()
    axes.set_xlabel(translated("ns for a reference taken and dropped (log)"))
    axes.text(1.01, 1.02, translated("freed early"), transform=axes.transAxes)
    page.fig.legend(*axes.get_legend_handles_labels(), loc="upper left", ncol=len(CELLS), frameon=False,
                    bbox_to_anchor=(style.LEFT - 0.01, page.top + 0.005), handletextpad=0.2, columnspacing=1.5)
    return page.fig
