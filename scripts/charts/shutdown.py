# SPDX-License-Identifier: MIT
"""How long a server's loop goes on after it was told to stop: one dot for each loop."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated

from . import style

IS = {
    "interval-500": MESSAGE("flag every 500 ms"),
    "interval-100": MESSAGE("flag every 100 ms"),
    "interval-10": MESSAGE("flag every 10 ms"),
    "slow-request": MESSAGE("flag every 100 ms,\nbut serving a slow request"),
    "self-pipe": MESSAGE("pipe in the wait set"),
    "eventfd": MESSAGE("eventfd in the wait set"),
    "signalfd": MESSAGE("signalfd in the wait set"),
    "shutdown": MESSAGE("accept, ended by\nshutdown of the listener"),
    "cond": MESSAGE("condition variable"),
}


def look_of(name):
    if name == "slow-request":
        return style.RED, "s"
    return (style.BLUE, "o") if name.startswith("interval") else (style.GREEN, "^")


def title_of(stop):
    flags = [np.median(ns) / rows_ns for name, (ns, rows_ns) in stop.items()
             if name.startswith("interval")]
    told = [np.median(ns) for name, (ns, rows_ns) in stop.items() if not rows_ns]
    after = low = high = ""
    if flags:
        after = (translated("half an interval") if 0.35 < np.median(flags) < 0.65 else
                 say("{count:.2f} intervals", count=np.median(flags)))
    if told:
        low, high = style.time_of(min(told)), style.time_of(max(told))
    return say(MESSAGE("A loop that looks at a flag stops after {after}, one that is woken up stops after "
                       "{low} to {high}") if flags and told else
               MESSAGE("A loop that looks at a flag stops after {after}") if flags else
               MESSAGE("One that is woken up stops after {low} to {high}") if told else
               MESSAGE("How long a loop goes on after it was told to stop"), after=after, low=low, high=high)


def idle_wakeups(samples):
    alive = style.column(samples, "alive_ns").sum()
    each = style.column(samples, "idle_wakeups").sum() * 1e9 / alive if alive else 0
    return f"{each:,.0f}" if each >= 1 or not each else f"{each:.1f}"


def draw(result):
    variants = style.of_variants(result.samples, *IS)
    stop = {name: (np.maximum(style.column(rows, "stop_ns"), 1), rows[0]["interval_ns"])
            for name, rows in variants.items()}
    page = style.Page(
        result, title_of(stop),
        translated("Each dot: one loop, told to stop at a random moment; bar: the median. Thin lines: "
                   "the interval at which the loop looks at its flag; hollow: later than that."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.21, right=0.80, above=0.085)[0])
    style.rows_of(axes, [translated(IS.get(name, name)) for name in variants])
    for at, (name, (ns, interval)) in enumerate(stop.items()):
        colour, marker = look_of(name)
        late = style.column(variants[name], "late") > 0
        place = at + style.jitter(len(ns), 0.5)
        axes.plot(ns[~late] / 1e6, place[~late], marker, color=colour, markersize=5, alpha=0.5,
                  markeredgewidth=0, linestyle="none")
        axes.plot(ns[late] / 1e6, place[late], marker, markerfacecolor="none",
                  markeredgecolor=colour, markersize=5, linestyle="none")
        if interval:
            axes.plot([interval / 1e6] * 2, [at - 0.42, at + 0.42], color=style.BLACK,
                      linewidth=1.2, linestyle=(0, (3, 2)))
        axes.plot([np.median(ns) / 1e6] * 2, [at - 0.36, at + 0.36], color=style.BLACK,
                  linewidth=2.5, solid_capstyle="butt", zorder=3)
        axes.text(1.02, at, style.time_of(np.median(ns)), va="center",
                  transform=axes.get_yaxis_transform())
        axes.text(1.24, at, idle_wakeups(variants[name]) if name != "slow-request" else "–",
                  va="center", ha="right", transform=axes.get_yaxis_transform())
    for x, words, side in ((1.02, translated("median"), "left"), (1.24, translated("idle wake-\nups/s"), "right")):
        axes.text(x, 1.015, words, ha=side, va="bottom", color=style.GREY,
                  transform=axes.transAxes)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: style.time_of(ms * 1e6)))
    axes.minorticks_off()
    axes.set_xlabel(translated("from being told until the loop has ended (log)"))
    return page.fig
