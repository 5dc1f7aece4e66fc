# SPDX-License-Identifier: MIT
"""Shared memory: at which places a write is seen by a thread, and by a process."""
import numpy as np
from matplotlib.patches import Rectangle

from . import style

PLACES = ("code", "global", "heap", "stack", "lent", "tls", "mapping")
DATA = ("global", "heap")
WHO = {"thread": "A second THREAD of the program", "process": "A second PROCESS (fork)"}
ASKED = {"same_address": "is it at the\nsame address?", "seen": "is its write\nseen by the first?"}
YES, NO, BOTH = "#9FD9C7", "#F3C3A2", "#F8EFA8"  # green, red and yellow that text can stand on


def counts(result, second, place, field):
    values = style.column([s for s in result.all_samples
                           if s["variant"] == f"{second}-{place}"], field)
    return np.count_nonzero(values), len(values)


def seen(result, second, places=DATA):
    return np.sum([counts(result, second, place, "seen") for place in places], axis=0)


def title_of(result):
    told = []
    for second in WHO:
        yes, trials = seen(result, second)
        if trials:
            how_often = "never" if yes == 0 else "always" if yes == trials else "at times"
            told.append(f"another {second}'s writes are {how_often} seen")
    return "Data and heap: " + ", ".join(told).replace(
        "writes are never seen", "never" if len(told) > 1 else "writes are never seen")


def cell(axes, x, y, yes, trials):
    if not trials:
        axes.text(x, y, "nobody\nwrites code", ha="center", va="center", color=style.GREY)
        return
    colour = YES if yes == trials else BOTH if yes else NO
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, color=colour, linewidth=0))
    word = "yes" if yes == trials else "partly" if yes else "no"
    axes.text(x, y, f"{word}\n{yes} of {trials}", ha="center", va="center")


def draw(result):
    page = style.Page(result, title_of(result), "A second one, a thread or a forked process, "
                      "writes to a place; the first one looks at its own. Of how many trials?")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.29, right=0.97, above=0.15, below=0.02)[0])
    style.rows_of(axes, [result.help(f"thread-{place}") for place in PLACES])
    axes.set_xlim(-0.5, 4.0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for at, (second, who) in enumerate(WHO.items()):
        left = at * 2.5
        axes.text(left + 0.5, -1.25, who, ha="center", va="bottom", size=style.PANEL)
        for column, (field, question) in enumerate(ASKED.items()):
            axes.text(left + column, -0.6, question, ha="center", va="bottom", color=style.GREY)
            for y, place in enumerate(PLACES):
                if field == "seen" and place == "code":
                    cell(axes, left + column, y, 0, 0)
                else:
                    cell(axes, left + column, y, *counts(result, second, place, field))
    return page.fig
