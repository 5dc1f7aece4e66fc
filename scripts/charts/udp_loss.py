# SPDX-License-Identifier: MIT
"""UDP's losses: survivors of a burst, loss under load, and where datagrams are lost or wait."""
import numpy as np
from matplotlib.ticker import FuncFormatter

from . import style

SHOWN = (1, 512, 1472, 4096, 16384, 65507)  # of the sizes of a datagram: others lie between
PLACES = {  # as the rows name them, in the chart's order
    "receiver": "receiver does not read",
    "queue": "slow link, full queue",
    "queue-told": "the same, IP_RECVERR",
    "no-listener": "nobody bound to the port",
    "slow-link": "slow link, small send buffer",
}
TOLD = (("enobufs_calls", "ENOBUFS"), ("econnrefused_calls", "ECONNREFUSED"))


def part(result, name):
    return [s for s in result.samples if s["part"] == name]


def lost_share(sample):
    return sample["receiver_drops"] / sample["sent_datagrams"]


def title_of(bursts, places):
    """What was seen, in one sentence."""
    exact = sum(s["survivors_datagrams"] == s["predicted_datagrams"] for s in bursts)
    lost = "UDP loses what its receiver cannot take"
    if bursts:
        lost += (f", as one datagram predicts ({exact} of {len(bursts)} bursts to the datagram)")
    waits = any(s["variant"] == "slow-link" and s["blocked_calls"] for s in places)
    return lost + (". Before a slow link send() can wait instead" if waits else "")


def draw_bursts(axes, bursts):
    """A line as predicted and a dot as measured, for each size of a datagram."""
    axes.set_title("Survivors of a burst that nobody reads")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted({s["datagram_bytes"] for s in bursts})
    shown = [size for size in sizes if size in SHOWN] or sizes
    right = max(s["granted_bytes"] for s in bursts)
    for place, size in enumerate(shown):
        colour, marker = style.CYCLE[place % len(style.CYCLE)]
        samples = sorted((s for s in bursts if s["datagram_bytes"] == size),
                         key=lambda s: s["granted_bytes"])
        granted = style.column(samples, "granted_bytes")
        axes.plot(granted, style.column(samples, "predicted_datagrams"), color=colour,
                  linewidth=1.2, alpha=0.6)
        survivors = style.column(samples, "survivors_datagrams")
        axes.plot(granted, survivors, marker, color=colour, markersize=6, alpha=0.7,
                  markeredgewidth=0, linestyle="none")
        axes.annotate(f"{size:,} B", (right, survivors[-1]), (9, 0), va="center", color=colour,
                      textcoords="offset points", annotation_clip=False)
    grants = sorted({s["granted_bytes"] for s in bursts})
    axes.set_xticks(grants[::2], [style.bytes_of(n) for n in grants[::2]])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("receive buffer, as granted")
    axes.set_ylabel("datagrams that survive")
    axes.text(0.03, 0.95, "dot: measured\nline: buffer / charge of one", va="top",
              transform=axes.transAxes, color=style.GREY)


def draw_loads(axes, loads):
    rate = loads[0]["rate_per_s"]
    axes.set_title(f"A receiver that reads {rate:,} a second")
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
    axes.set_xlabel("datagrams offered a second (log)")
    axes.set_ylabel("lost, in %")
    axes.text(0.03, 0.95, "dot: measured\nline: 1 − rate read / rate offered", va="top",
              transform=axes.transAxes, color=style.GREY)


def told(samples):
    """What became of the calls."""
    calls = max(1, np.median([s["sent_datagrams"] + s["enobufs_calls"] + s["econnrefused_calls"]
                              for s in samples]))
    for field, name in TOLD:
        count = np.median(style.column(samples, field))
        if count:
            return f"{name}, {count / calls * 100:.0f} % of the calls"
    blocked = np.median(style.column(samples, "blocked_ns"))
    if blocked:
        return f"waits, {style.time_of(blocked)} in all"
    return "every call succeeds"


def draw_places(axes, places):
    axes.set_title("Where datagrams are lost, and what send() says")
    found = style.of_variants(places, *PLACES)
    style.rows_of(axes, [PLACES.get(name, name) for name in found])
    for at, samples in enumerate(found.values()):
        lost = np.median([100 * s["lost_datagrams"]
                          / max(1, s["lost_datagrams"] + s["arrived_datagrams"])
                          for s in samples])
        for left, width, colour, word in ((0, 100 - lost, style.GREEN, "arrived"),
                                          (100 - lost, lost, style.RED, "lost")):
            axes.barh(at, width, left=left, height=0.62, color=colour)
            if width > 8:
                axes.text(left + width / 2, at, f"{word if width > 25 else ''} {width:.0f} %",
                          ha="center", va="center", color="white", weight="bold")
        style.beside(axes, at, told(samples))
    axes.set_xlim(0, 100)
    axes.grid(False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def draw(result):
    bursts, loads, places = (part(result, name) for name in ("burst", "load", "place"))
    page = style.Page(result, title_of(bursts, places))
    above = [(draw_bursts, bursts), (draw_loads, loads)]
    above = [(draw_panel, samples) for draw_panel, samples in above if samples]
    heights = ([1.7] if above else []) + ([1] if places else [])
    grid = page.grid(len(heights), 1, height_ratios=heights, hspace=0.42,
                     below=0.02 if places else 0.09)
    if above:
        row = grid[0].subgridspec(1, len(above), wspace=0.42)
        for place, (draw_panel, samples) in enumerate(above):
            draw_panel(page.fig.add_subplot(row[place]), samples)
    if places:
        row = grid[len(heights) - 1].subgridspec(1, 3, width_ratios=(0.16, 0.52, 0.32), wspace=0)
        draw_places(page.fig.add_subplot(row[1]), places)
    return page.fig
