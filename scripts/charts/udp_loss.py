# SPDX-License-Identifier: MIT
"""Where UDP's datagrams are lost, or wait, and what the sender is told."""
import numpy as np

from . import style

PLACES = {  # as the rows name them, in the chart's order
    "receiver": "receiver does not read",
    "queue": "slow link, full queue",
    "queue-told": "the same, IP_RECVERR",
    "no-listener": "nobody bound to the port",
    "slow-link": "slow link, small send buffer",
}
TOLD = (("enobufs_calls", "ENOBUFS"), ("econnrefused_calls", "ECONNREFUSED"))


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
    waits = any(s["variant"] == "slow-link" and s["blocked_calls"] for s in result.samples)
    page = style.Page(result, "UDP loses what a receiver or a queue cannot take"
                      + ("; before a slow link send() can wait" if waits else ""),
                      "One burst of datagrams to each place: what becomes of them, and of send().")
    draw_places(page.fig.add_subplot(page.grid(1, 1, left=0.23, right=0.73, above=0.03,
                                               below=0.02)[0]), result.samples)
    return page.fig
