# SPDX-License-Identifier: MIT
"""How many CPUs two threads keep at work, by interpreter, and whether the notes' x is 0."""
import numpy as np

from language import say, translated
from . import style


def cpus_of(samples):
    return style.column(samples, "cpu_ns") / style.column(samples, "elapsed_ns")


def title_of(result, shown):
    without = [name for name, samples in shown.items()
               if name != "c" and style.column(samples, "parallel").any()]
    if result.verdict("gil-implementations") == "holds":
        return say("Not each Python has a GIL: two threads had more than one CPU at work in {pythons}",
                   pythons=", ".join(without))
    return translated("How many CPUs two threads keep at work, by Python")


def draw(result):
    shown = style.of_variants(result.all_samples, *result.run["variants"])
    page = style.Page(result, title_of(result, shown), translated("Two threads that only count. With a GIL they have "
                      "one CPU at work together. At the right: trials of the notes' program in which x was not 0."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.24, right=0.88, above=0.05, below=0.09)[0])
    style.rows_of(axes, [translated("two threads in C") if name == "c" else name for name in shown])
    times = result.run["bounds"]["parallel_times"]["value"]
    axes.axvline(times, color=style.GREY, linestyle=":")
    for at, (name, samples) in enumerate(shown.items()):
        parallel = style.column(samples, "parallel").any()
        style.dots(axes, cpus_of(samples), at, *((style.RED, "o") if parallel else (style.BLUE, "s")))
        x = style.column(samples, "notes_x")
        style.beside(axes, at, say("{k} of {n}", k=np.count_nonzero(x), n=len(x)) if len(x) else "")
    axes.set_xlim(0, max(2.1, axes.get_xlim()[1]))
    axes.set_xlabel(say("CPU time of both over wall time (dotted: {times:g}, more than one CPU)", times=times))
    axes.text(1.01, 1.02, translated("x is not 0"), transform=axes.transAxes)
    return page.fig
