# SPDX-License-Identifier: MIT
"""Coordinated omission: latencies of a server that pauses, by a closed and by an open loop."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from language import say, translated

from . import servers, style

PERCENTILES = (("p50_ns", "50"), ("p90_ns", "90"), ("p99_ns", "99"), ("p999_ns", "99.9"),
               ("max_ns", "100"))


def title_of(result, variants):
    p99 = {name: np.median(style.column(samples, "p99_ns")) for name, samples in variants.items()}
    if result.verdict("srv-closed-loop-latency") != "refuted" or not {"closed", "open"} <= set(p99):
        return translated("Latencies of a server that pauses, by a closed and an open loop")
    return say("A closed loop shows a p99 of {closed}, where clients wait {open}",
               closed=style.time_of(p99["closed"]), open=style.time_of(p99["open"]))


def draw(result):
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    pause = style.column(result.samples, "pause_ns")
    page = style.Page(
        result, title_of(result, variants),
        translated("The same server is stopped for a tenth of the time. A closed loop sends nothing meanwhile; "
                   "an open loop counts from when a request was due. A line is a trial."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.1, above=0.03)[0])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.minorticks_off()
    axes.set_xticks(range(len(PERCENTILES)), [words for _, words in PERCENTILES])
    axes.set_xlabel(translated("percentile of the requests"))
    axes.set_ylabel(translated("latency (log)"))
    for (name, samples), (colour, marker) in zip(variants.items(), style.CYCLE[1::-1]):
        for at, sample in enumerate(samples):
            axes.plot([sample[field] for field, _ in PERCENTILES], f"{marker}-", color=colour,
                      alpha=0.6, label=f"{name}: {translated(result.help(name))}" if at == 0 else None)
    if len(pause):
        axes.axhline(np.median(pause), color=style.BLACK, linestyle="--", linewidth=1.2)
        axes.annotate(translated("the pause"), (0, np.median(pause)), (0, 4), textcoords="offset points")
    if variants:
        axes.set_ylim(bottom=axes.get_ylim()[0] / 3)  # for the legend
        axes.legend(frameon=False, loc="lower right")
    return page.fig
