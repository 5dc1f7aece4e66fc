# SPDX-License-Identifier: MIT
"""What a switch costs: between coroutines, threads and processes, on one CPU and on two."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from . import style

KINDS = {  # by how a variant's name begins: who takes turns, and the look
    "coroutine": ("coroutines", style.GREEN, "^"),
    "thread": ("threads", style.BLUE, "o"),
    "process": ("processes", style.RED, "s"),
}
ROWS = {
    "coroutine-own": "coroutines: own",
    "coroutine-ucontext": "coroutines: ucontext",
    "thread-futex": "threads: futex",
    "process-futex": "processes: futex",
    "thread-pipe": "threads: pipe",
    "process-pipe": "processes: pipe",
    "thread-futex-2cpus": "threads: futex",
    "process-futex-2cpus": "processes: futex",
    "thread-pipe-2cpus": "threads: pipe",
    "process-pipe-2cpus": "processes: pipe",
}


def cost(samples):
    """ns a switch, of each trial."""
    return style.column(samples, "elapsed_ns") / style.column(samples, "switches")


def title_of(ns):
    told = [f"{KINDS[name.split('-')[0]][0]} {style.time_of(np.median(values))}"
            for name, values in ns.items() if name in ("coroutine-own", "thread-futex",
                                                        "process-futex")]
    return "A switch on one CPU takes: " + ", ".join(told) if told else "What a switch takes"


def draw_rows(axes, ns, everything):
    style.rows_of(axes, [ROWS.get(name, name) for name in ns])
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
    variants = style.of_variants(result.samples, *ROWS)
    ns = {name: cost(samples) for name, samples in variants.items()}
    panels = [("Both on one CPU: each is switched out for the other",
               {name: values for name, values in ns.items() if not name.endswith("2cpus")}),
              ("A CPU each: nothing is switched out, one CPU wakes the other",
               {name: values for name, values in ns.items() if name.endswith("2cpus")})]
    panels = [(title, part) for title, part in panels if part]
    page = style.Page(result, title_of(ns), "Two of a kind hand a turn to and fro. own: a few "
                      "instructions; ucontext: the C library, with a system call; futex and "
                      "pipe: through the kernel. A dot is a trial, a bar the median.")
    grid = page.grid(len(panels), 1, left=0.19, right=0.9, hspace=0.42, below=0.1,
                     height_ratios=[len(part) for _, part in panels])
    for at, (title, part) in enumerate(panels):
        axes = page.fig.add_subplot(grid[at])
        axes.set_title(title)
        draw_rows(axes, part, np.concatenate(list(ns.values())))
    axes.set_xlabel("time of a switch (each line stands for ten times the one before)")
    return page.fig
