# SPDX-License-Identifier: MIT
"""What is shared with a second thread, and with a forked process, and what is each its own."""
import numpy as np
from matplotlib.patches import Rectangle

from language import MESSAGE, say, translated
from . import style

PROCESS = {"shared_descriptor": MESSAGE("a descriptor"), "shared_directory": MESSAGE("the directory"),
           "shared_limit": MESSAGE("a limit"), "shared_account": MESSAGE("the sum of CPU time")}
THREAD = {"own_time": MESSAGE("the own CPU time"), "own_cpus": MESSAGE("the CPUs allowed"),
          "own_state": MESSAGE("the state")}
WHO = {"thread": MESSAGE("A second THREAD"), "process": MESSAGE("A second PROCESS (fork)")}
YES, NO, BOTH = "#9FD9C7", "#F3C3A2", "#F8EFA8"  # green, red and yellow that text can stand on


def of_first(samples, field):
    """In how many trials the two shared it, of how many; what is each its own is not shared."""
    values = style.column([s for s in samples if field in s], field)
    ones = np.count_nonzero(values)
    return (ones if field in PROCESS else len(values) - ones), len(values)


def title_of(result):
    if result.verdict("thr-unit") == "holds":
        return translated("Threads share their process's descriptors, directory and limits; "
                          "CPU time, CPUs and state are each thread's own")
    return translated("What two threads share, and two processes")


def draw_cell(axes, x, y, shared, trials):
    if not trials:
        axes.text(x, y, translated("not looked at"), ha="center", va="center", color=style.GREY)
        return
    colour = YES if shared == trials else BOTH if shared else NO
    word = translated(MESSAGE("shared") if shared == trials else MESSAGE("partly") if shared else
                      MESSAGE("each its own"))
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, color=colour, linewidth=0))
    axes.text(x, y, word + "\n" + say("{k} of {n}", k=shared or trials, n=trials), ha="center", va="center")


def draw(result):
    page = style.Page(result, title_of(result), translated("A second one, a thread or a forked process, changes what "
                      "it can; the first one looks at what it has itself. In how many trials?"))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.22, right=0.97, above=0.1, below=0.02)[0])
    fields = {**PROCESS, **THREAD}
    style.rows_of(axes, list(map(translated, fields.values())))
    axes.set_xlim(-0.5, 1.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for x, (second, who) in enumerate(WHO.items()):
        samples = [s for s in result.all_samples if s["variant"] == second]
        axes.text(x, -0.6, translated(who), ha="center", va="bottom", size=style.PANEL)
        for y, field in enumerate(fields):
            draw_cell(axes, x, y, *of_first(samples, field))
    return page.fig
