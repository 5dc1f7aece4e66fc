# SPDX-License-Identifier: MIT
"""Where UDP's datagrams are lost, or wait, and what the sender is told."""
import textwrap

import numpy as np

from language import MESSAGE, say, translated
from . import style

ORDER = ("receiver", "queue", "queue-told", "no-listener", "slow-link")
TOLD = (("enobufs_calls", "ENOBUFS"), ("econnrefused_calls", "ECONNREFUSED"))


def told(samples):
    """What became of the calls."""
    calls = max(1, np.median([s["sent_datagrams"] + s["enobufs_calls"] + s["econnrefused_calls"]
                              for s in samples]))
    for field, name in TOLD:
        count = np.median(style.column(samples, field))
        if count:
            return say("{error}, {share} of the calls", error=name, share=f"{count / calls * 100:.0f} %")
    blocked = np.median(style.column(samples, "blocked_ns"))
    if blocked:
        return say("waits, {time} in all", time=style.time_of(blocked))
    return translated("every call succeeds")


def draw_places(axes, result):
    found = style.of_variants(result.samples, *ORDER)
    style.rows_of(axes, [f"{name}\n{textwrap.fill(translated(result.help(name)), 30)}" for name in found])
    for at, samples in enumerate(found.values()):
        lost = np.median([100 * s["lost_datagrams"]
                          / max(1, s["lost_datagrams"] + s["arrived_datagrams"])
                          for s in samples])
        for left, width, colour, word in ((0, 100 - lost, style.GREEN, MESSAGE("arrived")),
                                          (100 - lost, lost, style.RED, MESSAGE("lost"))):
            axes.barh(at, width, left=left, height=0.62, color=colour)
            if width > 8:
                axes.text(left + width / 2, at, f"{translated(word) if width > 25 else ''} {width:.0f} %",
                          ha="center", va="center", color="white", weight="bold")
        style.beside(axes, at, told(samples))
    axes.set_xlim(0, 100)
    axes.grid(False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


TITLES = {
    "depends": MESSAGE("UDP loses what a full receiver cannot take; before a slow link send() waits"),
    "holds": MESSAGE("UDP loses datagrams, and send() does not wait"),
    "refuted": MESSAGE("send() waited, and UDP lost nothing that it took"),
}


def draw(result):
    title = TITLES.get(result.verdict("buf-udp-loses"), MESSAGE("Where UDP loses datagrams, or makes send() wait"))
    page = style.Page(result, translated(title),
                      translated("One burst of datagrams to each place: what becomes of them, and of send()."))
    draw_places(page.fig.add_subplot(page.grid(1, 1, left=0.25, right=0.73, above=0.03,
                                               below=0.02)[0]), result)
    return page.fig
