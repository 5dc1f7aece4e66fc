# SPDX-License-Identifier: MIT
"""What UDP loses under a load, against what is offered, and the model."""
import numpy as np

from language import MESSAGE, say, translated
from . import style


def lost_share(sample):
    return sample["dropped_datagrams"] / sample["sent_datagrams"]


def draw_loads(axes, loads):
    rate = loads[0]["rate_per_s"]
    offered = np.array([s["sent_datagrams"] / s["elapsed_ns"] * 1e9 for s in loads])
    axes.set_xscale("log")
    along = np.geomspace(rate / 2.4, max(offered.max(), rate) * 1.3, 300)
    axes.plot(along, 100 * np.maximum(0, 1 - rate / along), color=style.GREY, linewidth=1.5)
    axes.plot(offered, [100 * lost_share(s) for s in loads], "o", color=style.RED, markersize=7,
              alpha=0.6, markeredgewidth=0)
    ticks = [tick * rate for tick in (0.5, 1, 2, 5, 10)]
    axes.set_xticks(ticks, [style.figures(tick / 1000) + "k" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(-3, 103)
    axes.set_xlabel(translated("datagrams offered a second (log)"))
    axes.set_ylabel(translated("lost, in %"))
    axes.text(0.03, 0.95, translated("dot: measured\nline: 1 − rate read / rate offered"), va="top",
              transform=axes.transAxes, color=style.GREY)


TITLES = {
    "holds": MESSAGE("UDP loses what its receiver does not read: 1 − read / offered"),
    "refuted": MESSAGE("UDP does not lose as much as its receiver does not read"),
    "not-seen": MESSAGE("No datagram was lost, not even in an overload"),
}


def draw(result):
    rate = result.run["params"]["rate"]
    title = TITLES.get(result.verdict("buf-udp-rate"),
                       MESSAGE("What UDP loses if the receiver is slower than the sender"))
    page = style.Page(result, translated(title),
                      say("The receiver reads {rate:,} datagrams a second by schedule.", rate=rate))
    loads = [s for s in result.samples if s["sent_datagrams"]]
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.09)[0])
    if loads:
        draw_loads(axes, loads)
    return page.fig
