# SPDX-License-Identifier: MIT
"""One server and many peers: the sockets that it needs, and whether each got its own answer."""
import numpy as np
from matplotlib.ticker import MaxNLocator

from language import say, translated

from . import style

NAMES = {"udp": "UDP", "tcp": "TCP"}


def sockets_of(samples):
    return float(np.median(style.column(samples, "server_sockets")))


def title_of(turns):
    if "udp" not in turns:
        return say("TCP takes {sockets:.0f} sockets", sockets=sockets_of(turns["tcp"]))
    peers = turns["udp"][0]["peers"]
    if "tcp" not in turns:
        return say("One UDP socket answers {peers:,} peers", peers=peers)
    return say("One UDP socket answers {peers:,} peers, where TCP takes {sockets:.0f} sockets",
               peers=peers, sockets=sockets_of(turns["tcp"]))


def draw_sockets(axes, turns):
    axes.set_title(translated("Sockets that the server needs"))
    style.rows_of(axes, [NAMES[name] for name in turns])
    for at, samples in enumerate(turns.values()):
        wrong = sum(style.column(samples, "wrong_answers"))
        right = sum(style.column(samples, "answers")) - wrong
        axes.barh(at, sockets_of(samples), height=0.5, color=style.CYCLE[at][0])
        axes.text(sockets_of(samples), at, f"  {sockets_of(samples):.0f}", va="center",
                  weight="bold")
        style.beside(axes, at, say("{right:,} answers to\nthe right peer,\n{wrong:,} wrong", right=right, wrong=wrong))
    axes.set_xlim(0, max(map(sockets_of, turns.values())) * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_times(axes, turns):
    ns = [style.column(samples, "elapsed_ns") / style.column(samples, "answers")
          for samples in turns.values()]
    size, unit = style.time_unit(max(map(np.median, ns)))
    axes.set_title(say("Time a question ({unit}), a dot a trial", unit=unit))
    style.rows_of(axes, [NAMES[name] for name in turns])
    for at, times in enumerate(ns):
        style.dots(axes, times / size, at, *style.CYCLE[at])
        style.median_bar(axes, times / size, at)
        style.beside(axes, at, style.time_of(np.median(times)))
    axes.set_xlim(0, None)


def draw(result):
    turns = style.of_variants(result.samples, *NAMES)
    turns = {name: samples for name, samples in turns.items() if name in NAMES}
    page = style.Page(result, title_of(turns))
    grid = page.grid(2, 1, left=0.06, right=0.81, hspace=0.4)
    draw_sockets(page.fig.add_subplot(grid[0]), turns)
    draw_times(page.fig.add_subplot(grid[1]), turns)
    return page.fig
