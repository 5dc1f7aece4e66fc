# SPDX-License-Identifier: MIT
"""CPU-bound threads: how much faster they are than one, and how many CPUs work at once."""
import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from language import MESSAGE, say, translated
from . import style

WAYS = {  # by how a variant's name begins: who they are, and the look
    "free": (MESSAGE("no lock, all CPUs"), style.GREEN, "^"),
    "free-1cpu": (MESSAGE("no lock, one CPU"), style.ORANGE, "D"),
    "lock": (MESSAGE("one big lock in C, all CPUs"), style.BLUE, "o"),
    "python": (MESSAGE("CPython {version}, all CPUs"), style.RED, "s"),
}


def way_of(name):
    way, _, rest = name.partition("-")
    return f"{way}-1cpu" if rest.endswith("1cpu") else way


def by_way(result):
    """The samples of each way by the number of threads, in the order of trials."""
    found = {way: {} for way in WAYS}
    for sample in result.samples:
        found[way_of(sample["variant"])].setdefault(sample["threads"], []).append(sample)
    return {way: dict(sorted(counts.items())) for way, counts in found.items() if counts}


def speedups(counts):
    """Against one thread of the same round."""
    one = {sample["trial"]: sample["elapsed_ns"] for sample in counts.get(1, [])}
    return {threads: np.array([one[s["trial"]] / s["elapsed_ns"] for s in samples
                               if s["trial"] in one])
            for threads, samples in counts.items()}


def at_once(counts):
    return {threads: style.column(samples, "cpu_ns") / style.column(samples, "elapsed_ns")
            for threads, samples in counts.items()}


def label_of(way, counts):
    return say(WAYS[way][0], version=next(iter(counts.values()))[0].get("python", ""))


def title_of(ways):
    told = []
    for way, who in (("free", MESSAGE("without a lock")), ("lock", MESSAGE("with one big lock")),
                     ("python", MESSAGE("in CPython"))):
        values = speedups(ways.get(way, {})).get(2, [])
        if len(values):
            told.append(say(MESSAGE("{times} times {who}") if told else
                            MESSAGE("Two CPU-bound threads are {times} times as fast as one {who}"),
                            times=style.times(np.median(values)), who=translated(who)))
    return ", ".join(told) or translated("CPU-bound threads")


def draw_panel(axes, title, label, figures_of, ways):
    axes.set_title(title)
    axes.set_xscale("log", base=2)
    axes.set_xlabel(translated("threads"))
    axes.set_ylabel(label)
    threads = sorted({count for counts in ways.values() for count in counts})
    axes.xaxis.set_major_locator(FixedLocator(threads))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(count) for count in threads])
    axes.set_xlim(0.8, 5)
    axes.axhline(1, color=style.GREY, linewidth=1, zorder=1)
    for at, (way, counts) in enumerate(ways.items()):
        _, colour, marker = WAYS[way]
        found = {n: values for n, values in figures_of(counts).items() if len(values)}
        shift = 1 + 0.035 * (at - 1.5)  # beside each other, not on top
        for count, values in found.items():
            axes.plot([count * shift] * len(values), values, marker, color=colour, alpha=0.35,
                      markersize=6, markeredgewidth=0)
        axes.plot([count * shift for count in found],
                  [np.median(values) for values in found.values()], color=colour, linewidth=2,
                  marker=marker, markersize=8, label=label_of(way, counts))
    axes.set_ylim(0, None)


def draw(result):
    ways = by_way(result)
    cpus = max(sample["cpus"] for sample in result.samples)
    page = style.Page(result, title_of(ways), say(
        MESSAGE("The same sum by 1, 2 and 4 threads, each its part, on {cpus} CPU. A pale mark is a trial, a line "
                "joins the medians.") if cpus == 1 else
        MESSAGE("The same sum by 1, 2 and 4 threads, each its part, on {cpus} CPUs. A pale mark is a trial, a line "
                "joins the medians."), cpus=cpus))
    grid = page.grid(1, 2, left=0.07, right=0.98, wspace=0.2, below=0.17)
    left, right = (page.fig.add_subplot(grid[at]) for at in range(2))
    draw_panel(left, translated("How many times as fast as one thread?"), translated("wall time of one / of all"),
               speedups, ways)
    draw_panel(right, translated("How many CPUs work at once, on average?"), translated("CPU time / wall time"),
               at_once, ways)
    handles, labels = left.get_legend_handles_labels()
    page.fig.legend(handles, labels, loc="lower center", ncol=4, frameon=False,
                    bbox_to_anchor=(0.5, page.bottom))
    return page.fig
