# SPDX-License-Identifier: MIT
"""Latency against CPU time for each way to wait."""
import textwrap

import numpy as np
from matplotlib.ticker import FuncFormatter

from language import say, translated

from . import style

TOLD = ("recv", "poll", "select", "epoll", "io_uring", "busy-poll")
LEAST = 1e-3  # % of a CPU: the axis's end
FROM_NS = 1e6  # intervals from here on are shown with their halves
# Where the labels of short intervals stand, which lie close together.
FINE = {1000: ((2, 13), "right"), 10000: ((-2, 13), "left"), 100000: ((8, 7), "left")}
COARSE = {1000: ((-9, 4), "right"), 10000: ((-9, -7), "right"), 100000: ((9, 2), "left")}


def latency(samples):
    return np.median(style.column(samples, "p50_ns"))


def cpu(samples):
    """% of a CPU, of all trials."""
    share = style.column(samples, "cpu_ns").sum() / style.column(samples, "elapsed_ns").sum()
    return max(100 * share, LEAST)


def kinds_of(variants):
    """The ways as they are drawn: told by the kernel, spinning, intervals, those without slack."""
    waits = {name: samples for name, samples in variants.items()
             if name in TOLD or name == "spin" or name.startswith("sleep-")}
    kinds = {"told": {}, "spin": {}, "interval": {}, "fine": {}}
    for name, samples in sorted(waits.items(), key=lambda pair: pair[1][0]["interval_ns"]):
        kind = ("spin" if name == "spin" else "told" if not name.startswith("sleep") else
                "fine" if name.endswith("-fine") else "interval")
        kinds[kind][name] = samples
    return kinds


def draw_way(axes, samples, colour, marker):
    axes.plot(style.column(samples, "p50_ns"),
              np.maximum(100 * style.column(samples, "cpu_ns")
                         / style.column(samples, "elapsed_ns"), LEAST),
              marker, color=colour, markersize=4, alpha=0.45, markeredgewidth=0)
    axes.plot(latency(samples), cpu(samples), marker, color=colour, markersize=9, zorder=3)


def label(axes, samples, words, colour, offset, **how):
    axes.annotate(words, (latency(samples), cpu(samples)), offset, textcoords="offset points",
                  color=colour, **how)


def draw_intervals(axes, ways, colour, marker, fine):
    places = FINE if fine else COARSE
    for samples in ways.values():
        interval = samples[0]["interval_ns"]
        offset, side = places.get(interval, ((9, 5), "left"))
        draw_way(axes, samples, colour, marker)
        label(axes, samples, style.time_of(interval), colour, offset, ha=side, va="center",
              size=style.CAPTION)
        if interval >= FROM_NS:
            axes.plot([interval / 2] * 2, [cpu(samples) / 1.7, cpu(samples) * 1.7],
                      color=style.BLACK, linewidth=1.5, zorder=4)
    axes.plot([latency(s) for s in ways.values()], [cpu(s) for s in ways.values()],
              ":" if fine else "-", color=colour, linewidth=1.2, alpha=0.6, zorder=1)


def draw_frontier(axes, kinds):
    axes.set_xscale("log")
    axes.set_yscale("log")
    draw_intervals(axes, kinds["fine"], style.ORANGE, "D", True)
    draw_intervals(axes, kinds["interval"], style.GREEN, "^", False)
    for samples in kinds["spin"].values():
        draw_way(axes, samples, style.RED, "s")
        label(axes, samples, "spin", style.RED, (0, -18), ha="center", weight="bold")
    for samples in kinds["told"].values():
        draw_way(axes, samples, style.BLUE, "o")
    if kinds["told"]:
        lowest = min(kinds["told"].values(), key=cpu)
        label(axes, lowest, translated("asleep until the\nmessage comes:") + "\n"
              + textwrap.fill(", ".join(kinds["told"]), 20, break_on_hyphens=False), style.BLUE,
              (-14, -12), ha="center", va="top")
    low, high = axes.get_xlim()
    room = min([latency(samples) for samples in kinds["told"].values()], default=high) / 12
    axes.set_xlim(min(low / 1.3, room), high * 2)  # for the words around it
    lowest = min([cpu(samples) for samples in kinds["told"].values()], default=400)
    axes.set_ylim(min(max(axes.get_ylim()[0], LEAST) / 1.5, lowest / 20), 400)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{style.figures(share)} %"))
    axes.minorticks_off()
    axes.set_xlabel(translated("from send until the receiver has the message, p50 (log)"))
    axes.set_ylabel(translated("CPU time of the receiver (log)"))
    for words, colour, marker in (
            (translated("looks once an interval"), style.GREEN, "^"),
            (translated("the same without the timer's slack"), style.ORANGE, "D")):
        axes.plot([], [], marker, color=colour, markersize=8, label=words)
    axes.plot([], [], "|", color=style.BLACK, markersize=10, markeredgewidth=1.5,
              label=translated("half of the interval"))
    axes.legend(frameon=False, loc="upper right", fontsize=style.CAPTION, handletextpad=0.3,
                borderaxespad=0)


def title_of(result, kinds):
    told = []
    for samples in kinds["spin"].values():
        told.append(say("spinning has a message after {time} and takes {cpu:.0f} % of a CPU",
                        time=style.time_of(latency(samples)), cpu=cpu(samples)))
    if kinds["told"]:
        most = max(cpu(samples) for samples in kinds["told"].values())
        low, high = (style.time_of(pick(latency(samples) for samples in kinds["told"].values()))
                     for pick in (min, max))
        told.append(say("sleeping until it comes, {low} to {high} and {cpu} %", low=low, high=high,
                        cpu=style.figures(most, 2)))
    if kinds["interval"] and result.verdict("poll-interval") == "holds":
        longest = max(kinds["interval"].values(), key=lambda rows: rows[0]["interval_ns"])
        told.append(say("looking once in {interval}, {time}", time=style.time_of(latency(longest)),
                        interval=style.time_of(longest[0]["interval_ns"])))
    title = "; ".join(told) or translated("Waiting for messages")
    return title[0].upper() + title[1:]


def draw(result):
    kinds = kinds_of(style.of_variants(result.samples, *TOLD, "spin"))
    mean = style.time_of(result.run["params"]["mean_us"] * 1e3)
    page = style.Page(
        result, title_of(result, kinds),
        say("16-byte messages over TCP on loopback at random times, one each {mean} on average. "
            "Large: the median of the trials; small: a trial.", mean=mean))
    if any(kinds.values()):
        draw_frontier(page.fig.add_subplot(page.grid(1, 1, left=0.1, right=0.97, above=0.03)[0]),
                      kinds)
    return page.fig
