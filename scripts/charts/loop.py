# SPDX-License-Identifier: MIT
"""Whom a handler that waits holds up: an event loop's other clients, request by request."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

LOOPS = {"prompt": (MESSAGE("nothing to wait for"), style.BLUE, "o"),
         "blocks": (MESSAGE("the loop waits in\nrecv (trap)"), style.RED, "s"),
         "thread": (MESSAGE("a thread waits"), style.GREEN, "^"),
         "event": (MESSAGE("the loop waits\nby epoll"), style.ORANGE, "D")}


def draw_loops(axes, shown, rows, block_ms):
    for name in shown:
        words, colour, marker = LOOPS[name]
        mine = sorted((row["due_ns"], row["latency_ns"]) for row in rows if row["variant"] == name)
        if mine:
            at, latency = np.array(mine, dtype=float).T
            axes.plot(at / 1e6, latency, marker, color=colour, markersize=4.5, alpha=0.8,
                      markeredgewidth=0, linestyle="none", label=translated(words))
    asked = next(iter(shown.values()))[0]["slow_due_ns"] / 1e6
    axes.axvspan(asked, asked + block_ms, color=style.PALE, alpha=0.5, zorder=0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_title(translated("Two clients of an event loop; grey: a third one's request waits for something"))
    axes.set_xlabel(translated("when their request was due (ms)"))
    axes.set_ylabel(translated("until answered"))
    axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False,
                handletextpad=0.1, borderpad=0)


def title_of(result, loops):
    if "blocks" not in loops or result.verdict("poll-loop-blocked") != "holds":
        return translated("Whom does a handler that waits hold up?")
    worst = np.median(style.column(loops["blocks"], "worst_ns"))
    return say("In an event loop of one thread a blocking call makes everybody wait, up to {time}",
               time=style.time_of(worst))


def draw(result):
    samples = style.of_variants(result.samples, *LOOPS)
    loops = {name: samples[name] for name in LOOPS if name in samples}
    page = style.Page(result, title_of(result, loops), translated("The first trial; a dot is a request."))
    draw_loops(page.fig.add_subplot(page.grid(1, 1, left=0.1, right=0.785, above=0.07)[0]),
               loops, result.kinds.get("request", []), result.run["params"]["block_ms"])
    return page.fig
