# SPDX-License-Identifier: MIT
"""For how long sends to a peer that has vanished are accepted, by what died and by option."""
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from . import style

DEATHS = {"process": "process killed", "unread": "process killed, with unread data", "host": "host gone"}
OPTIONS = {"none": "no option", "user-timeout": "TCP_USER_TIMEOUT", "keepalive": "keepalive, sending",
           "idle": "keepalive, idle"}
END = 1e13  # of the axis, ns


def ending(samples):
    """In words, and the colour."""
    if all(sample["failed"] for sample in samples):
        return ", ".join(sorted({sample["error"] for sample in samples})), style.GREEN
    if any(sample["failed"] for sample in samples):
        return "not always", style.ORANGE
    return "no error", style.RED


def draw_death(axes, samples, computed_ns):
    found = {name: [s for s in samples if s["option"] == name] for name in OPTIONS}
    found = {name: rows for name, rows in found.items() if rows}
    style.rows_of(axes, [OPTIONS[name] for name in found])
    for at, (name, rows) in enumerate(found.items()):
        word, colour = ending(rows)
        after = float(np.median(style.column(rows, "elapsed_ns")))
        axes.barh(at, after, 0.6, color=colour)
        note = f"{word} after {style.time_of(after)}" if colour == style.GREEN else f"{word} in {style.time_of(after)}"
        if colour == style.RED and computed_ns:
            axes.barh(at, computed_ns - after, 0.6, left=after, color="white", edgecolor=colour, hatch="////",
                      linewidth=1)
            note += f",\n{style.time_of(computed_ns)} computed"
        style.beside(axes, at, note)


def draw_deaths(page, result):
    shown = style.of_variants(result.samples, *DEATHS)
    computed_s = result.number("tcp-dead-peer", "computed_s")
    grid = page.grid(len(shown), 1, left=0.19, right=0.73, above=0.06, hspace=0.45)
    least = min(style.column(result.samples, "elapsed_ns")) / 3
    for i, (death, samples) in enumerate(shown.items()):
        axes = page.fig.add_subplot(grid[i])
        axes.set_title(DEATHS[death])
        axes.set_xscale("log")
        axes.set_xlim(least, END)
        draw_death(axes, samples, computed_s and computed_s * 1e9)
        axes.xaxis.set_major_locator(FixedLocator([n for n in (1e6, 1e7, 1e8, 1e9, 6e10, 1.2e12) if n > least]))
        axes.xaxis.set_major_formatter(FuncFormatter(
            lambda ns, _: style.time_of(ns) if ns < 6e10 else f"{ns / 6e10:.0f} min"))
        axes.xaxis.set_minor_locator(NullLocator())
        if i + 1 < len(shown):
            axes.tick_params(axis="x", labelbottom=False)
    axes.set_xlabel("time since the peer vanished")


def title_of(result):
    if result.verdict("tcp-dead-peer") is None or result.number("tcp-dead-peer", "sends") is None:
        return "When a send fails whose peer has vanished"
    gone, killed = (result.number("tcp-dead-peer", name) for name in ("sends", "ended_sends"))
    return f"{gone:,.0f} sends were accepted for a host that had gone, {killed:,.0f} for a process that was killed"


def draw(result):
    page = style.Page(result, title_of(result),
                      "Until a send failed, or (red) until it was given up; hatched: how long TCP would go on by its "
                      "sysctls.")
    draw_deaths(page, result)
    return page.fig
