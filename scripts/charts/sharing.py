# SPDX-License-Identifier: MIT
"""Shared memory: at which places a write is seen by a thread, and by a process."""
import numpy as np
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated
from . import style

PLACES = ("code", "global", "heap", "stack", "lent", "tls", "mapping")
DATA = ("global", "heap")
WHO = {"thread": MESSAGE("A second THREAD of the program"), "process": MESSAGE("A second PROCESS (fork)")}
ASKED = {"same_address": MESSAGE("is it at the\nsame address?"), "seen": MESSAGE("is its write\nseen by the first?")}
TITLES = {("thread", "process"): MESSAGE("Data and heap: another thread's writes are {thread} seen, another process's "
                                         "{process}"),
          ("thread",): MESSAGE("Data and heap: another thread's writes are {thread} seen"),
          ("process",): MESSAGE("Data and heap: another process's writes are {process} seen")}
YES, NO, BOTH = "#9FD9C7", "#F3C3A2", "#F8EFA8"  # green, red and yellow that text can stand on


def counts(result, second, place, field):
    values = style.column([s for s in result.all_samples
                           if s["variant"] == f"{second}-{place}"], field)
    return np.count_nonzero(values), len(values)


def seen(result, second, places=DATA):
    return np.sum([counts(result, second, place, "seen") for place in places], axis=0)


def title_of(result):
    how_often = {}
    for second in WHO:
        yes, trials = seen(result, second)
        if trials:
            how_often[second] = translated(MESSAGE("never") if yes == 0 else MESSAGE("always") if yes == trials else
                                           MESSAGE("at times"))
    return say(TITLES.get(tuple(how_often), ""), **how_often)


def cell(axes, x, y, yes, trials):
    if not trials:
        axes.text(x, y, translated("nobody\nwrites code"), ha="center", va="center", color=style.GREY)
        return
    colour = YES if yes == trials else BOTH if yes else NO
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, color=colour, linewidth=0))
    word = translated(MESSAGE("yes") if yes == trials else MESSAGE("partly") if yes else MESSAGE("no"))
    axes.text(x, y, word + "\n" + say("{k} of {n}", k=yes, n=trials), ha="center", va="center")


def draw(result):
    page = style.Page(result, title_of(result), translated("A second one, a thread or a forked process, "
                      "writes to a place; the first one looks at its own. Of how many trials?"))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.29, right=0.97, above=0.15, below=0.02)[0])
    style.rows_of(axes, [result.help(f"thread-{place}") for place in PLACES])
    axes.set_xlim(-0.5, 4.0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for at, (second, who) in enumerate(WHO.items()):
        left = at * 2.5
        axes.text(left + 0.5, -1.25, translated(who), ha="center", va="bottom", size=style.PANEL)
        for column, (field, question) in enumerate(ASKED.items()):
            axes.text(left + column, -0.6, translated(question), ha="center", va="bottom", color=style.GREY)
            for y, place in enumerate(PLACES):
                if field == "seen" and place == "code":
                    cell(axes, left + column, y, 0, 0)
                else:
                    cell(axes, left + column, y, *counts(result, second, place, field))
    return page.fig
