# SPDX-License-Identifier: MIT
"""What fails when no descriptor is left, and a server to which a client comes then."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

SERVERS = {"level": MESSAGE("level-triggered"), "edge": MESSAGE("edge-triggered"),
           "spare": MESSAGE("level, with a\nspare descriptor")}
LOOK = {"level": (style.RED, "s"), "edge": (style.BLUE, "o"), "spare": (style.GREEN, "^")}


def title_of(servers):
    if "level" not in servers:
        return translated("What happens when no descriptor is left")
    ms = np.median(style.column(servers["level"], "elapsed_ns"))
    wakeups = np.median(style.column(servers["level"], "wakeups"))
    return say("Without a descriptor left a server wakes up {wakeups:,.0f} times in "
               "{time} for one client that it cannot accept", wakeups=wakeups, time=style.time_of(ms))


def draw_servers(axes, rows):
    style.rows_of(axes, [translated(SERVERS[name]) for name in rows])
    for at, (name, samples) in enumerate(rows.items()):
        wakeups = style.column(samples, "wakeups")
        cpu = style.column(samples, "cpu_ns").sum() / style.column(samples, "elapsed_ns").sum()
        style.dots(axes, np.maximum(wakeups, 0.5), at, *LOOK[name])
        style.median_bar(axes, np.maximum(wakeups, 0.5), at)
        style.beside(axes, at, say("{wakeups:,.0f}, {cpu:.0f} % CPU\nclient: {fate}",
                                   wakeups=np.median(wakeups), cpu=100 * cpu, fate=fate_of(samples)))
    axes.set_xscale("log")
    axes.set_xlim(0.5, None)
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel(translated("wake-ups while one client waits (log)"))


def fate_of(samples):
    """What became of the client, in a word or two."""
    if np.median(style.column(samples, "turned_away")) > 0:
        return translated("turned away")
    served = np.median(style.column(samples, "after_wakeups")) > 0
    return translated("served later") if served else translated("forgotten")


def draw_calls(axes, samples):
    calls = {}
    for sample in samples:
        calls.setdefault(sample["call"], {})[sample["when"]] = sample["result"]
    axes.set_xlim(0, 1)
    axes.set_ylim(len(calls) - 0.3, -1.2)
    axes.axis("off")
    for x, words in ((0, translated("call")), (0.45, translated("at the limit")), (0.74, translated("after a close"))):
        axes.text(x, -0.8, words, color=style.GREY)
    for at, (call, results) in enumerate(calls.items()):
        axes.text(0, at, call if call.isidentifier() else translated(call))  # a function's name stays
        for x, when in ((0.45, "at the limit"), (0.74, "after one close")):
            word = results[when]
            full = word == "EMFILE"
            axes.text(x, at, word, color=style.RED if full else style.GREEN,
                      weight="bold" if full else "normal")


def draw(result):
    variants = style.of_variants(result.samples, *SERVERS)
    servers = {name: variants[name] for name in SERVERS if name in variants}
    page = style.Page(
        result, title_of(servers),
        translated("Left: a full server's epoll loop, a dot a trial. Right: each call when no descriptor is "
                   "left, and again when one was closed."))
    grid = page.grid(1, 2, left=0.15, wspace=0.62, width_ratios=(1, 1.05))
    if servers:
        draw_servers(page.fig.add_subplot(grid[0]), servers)
    if "full" in variants:
        draw_calls(page.fig.add_subplot(grid[1]), variants["full"])
    return page.fig
