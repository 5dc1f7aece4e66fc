# SPDX-License-Identifier: MIT
"""What a switch costs: between coroutines, threads and processes, on one CPU and on two."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated
from . import style

KINDS = {  # by how a variant's name begins: who takes turns, and the look
    "coroutine": (MESSAGE("coroutines"), style.GREEN, "^"),
    "thread": (MESSAGE("threads"), style.BLUE, "o"),
    "process": (MESSAGE("processes"), style.RED, "s"),
}
ONE_CPU = ("coroutine-own", "coroutine-ucontext", "thread-futex", "process-futex", "thread-pipe",
           "process-pipe")
TWO_CPUS = "-2cpus"  # how the names of the others end


def cost(samples):
    """ns a switch, of each trial."""
    return style.column(samples, "elapsed_ns") / style.column(samples, "switches")


def title_of(ns):
    told = [f"{translated(KINDS[name.split('-')[0]][0])} {style.time_of(np.median(values))}"
            for name, values in ns.items() if name in ("coroutine-own", "thread-futex",
                                                        "process-futex")]
    return (say("A switch on one CPU takes: {times}", times=", ".join(told)) if told else
            translated("What a switch takes"))


def draw_rows(axes, ns, everything):
    style.rows_of(axes, [name.replace(TWO_CPUS, "") for name in ns])
    axes.set_xscale("log")
    axes.set_xlim(everything.min() / 1.3, everything.max() * 1.3)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.time_of(value)))
    axes.minorticks_off()
    for at, (name, values) in enumerate(ns.items()):
        style.dots(axes, values, at, *KINDS[name.split("-")[0]][1:])
        style.median_bar(axes, values, at)
        style.beside(axes, at, style.time_of(np.median(values)))


def draw(result):
    variants = style.of_variants(result.samples, *ONE_CPU,
                                 *(name + TWO_CPUS for name in ONE_CPU))
    ns = {name: cost(samples) for name, samples in variants.items()}
    panels = [(translated("Both on one CPU: each is switched out for the other"),
               {name: values for name, values in ns.items() if not name.endswith(TWO_CPUS)}),
              (translated("A CPU each: nothing is switched out, one CPU wakes the other"),
               {name: values for name, values in ns.items() if name.endswith(TWO_CPUS)})]
    panels = [(title, part) for title, part in panels if part]
    coroutines = "; ".join(f"{name}: {result.help(name)}" for name in ns if name in ONE_CPU[:2])
    page = style.Page(result, title_of(ns), translated("Two of a kind hand a turn to and fro, threads and processes "
                      "through the kernel. A dot is a trial, a bar the median.") + " " + coroutines)
    grid = page.grid(len(panels), 1, left=0.19, right=0.9, hspace=0.42, below=0.1,
                     height_ratios=[len(part) for _, part in panels])
    for at, (title, part) in enumerate(panels):
        axes = page.fig.add_subplot(grid[at])
        axes.set_title(title)
        draw_rows(axes, part, np.concatenate(list(ns.values())))
    axes.set_xlabel(translated("time of a switch (each line stands for ten times the one before)"))
    return page.fig
