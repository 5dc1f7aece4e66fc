# SPDX-License-Identifier: MIT
"""For how long sends to a peer that has vanished are accepted, by what died and by option."""
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from language import MESSAGE, say, translated

from . import style

DEATHS = {"process": MESSAGE("process killed"), "unread": MESSAGE("process killed, with unread data"),
          "host": MESSAGE("host gone")}
OPTIONS = {"none": MESSAGE("no option"), "user-timeout": "TCP_USER_TIMEOUT",
           "keepalive": MESSAGE("keepalive, sending"), "idle": MESSAGE("keepalive, idle")}
END = 1e13  # of the axis, ns


def ending(samples, time):
    """In words, and the colour."""
    if all(sample["failed"] for sample in samples):
        errors = ", ".join(sorted({sample["error"] for sample in samples}))
        return say("{errors} after {time}", errors=errors, time=time), style.GREEN
    if any(sample["failed"] for sample in samples):
        return say("not always in {time}", time=time), style.ORANGE
    return say("no error in {time}", time=time), style.RED


def draw_death(axes, samples, computed_ns):
    found = {name: [s for s in samples if s["option"] == name] for name in OPTIONS}
    found = {name: rows for name, rows in found.items() if rows}
    style.rows_of(axes, [translated(OPTIONS[name]) for name in found])
    for at, (name, rows) in enumerate(found.items()):
        after = float(np.median(style.column(rows, "elapsed_ns")))
        note, colour = ending(rows, style.time_of(after))
        axes.barh(at, after, 0.6, color=colour)
        if colour == style.RED and computed_ns:
            axes.barh(at, computed_ns - after, 0.6, left=after, color="white", edgecolor=colour, hatch="////",
                      linewidth=1)
            note += ",\n" + say("{time} computed", time=style.time_of(computed_ns))
        style.beside(axes, at, note)


def draw_deaths(page, result):
    shown = style.of_variants(result.samples, *DEATHS)
    computed_s = result.number("tcp-dead-peer", "computed_s")
    grid = page.grid(len(shown), 1, left=0.19, right=0.73, above=0.06, hspace=0.45)
    least = min(style.column(result.samples, "elapsed_ns")) / 3
    for i, (death, samples) in enumerate(shown.items()):
        axes = page.fig.add_subplot(grid[i])
        axes.set_title(translated(DEATHS[death]))
        axes.set_xscale("log")
        axes.set_xlim(least, END)
        draw_death(axes, samples, computed_s and computed_s * 1e9)
        axes.xaxis.set_major_locator(FixedLocator([n for n in (1e6, 1e7, 1e8, 1e9, 6e10, 1.2e12) if n > least]))
        axes.xaxis.set_major_formatter(FuncFormatter(
            lambda ns, _: style.time_of(ns) if ns < 6e10 else f"{ns / 6e10:.0f} min"))
        axes.xaxis.set_minor_locator(NullLocator())
        if i + 1 < len(shown):
            axes.tick_params(axis="x", labelbottom=False)
    axes.set_xlabel(translated("time since the peer vanished"))


def title_of(result):
    if result.verdict("tcp-dead-peer") is None or result.number("tcp-dead-peer", "sends") is None:
        return translated("When a send fails whose peer has vanished")
    gone, killed = (result.number("tcp-dead-peer", name) for name in ("sends", "ended_sends"))
    return say("{gone:,.0f} sends were accepted for a host that had gone, {killed:,.0f} for a process that was killed",
               gone=gone, killed=killed)


def draw(result):
    page = style.Page(result, title_of(result),
                      translated("Until a send failed, or (red) until it was given up; hatched: how long TCP would "
                                 "go on by its sysctls."))
    draw_deaths(page, result)
    return page.fig
