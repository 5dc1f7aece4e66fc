# SPDX-License-Identifier: MIT
"""What a second thread, or a forked process, has in common with the first one."""
import numpy as np

from . import style

WHAT = {"shared_descriptor": "a pipe that the second one opened", "shared_directory": "the directory it went to",
        "shared_limit": "the limit that it lowered", "shared_account": "the sum of CPU time",
        "own_time": "CPU time of one's own", "own_cpus": "CPUs allowed to one alone",
        "own_state": "sleeps while the other runs"}
KINDS = {"thread": ("a second thread", style.BLUE), "process": ("a forked process", style.ORANGE)}


def draw(result):
    shown = style.of_variants(result.samples, *KINDS)
    title = ("Threads share what the process has, and are scheduled each by itself"
             if result.verdict("thr-unit") == "holds" else "What a second thread, or a forked process, has in common")
    page = style.Page(result, title, "In how many trials it was so. Above the line what was shared with the first one, "
                      "below what was each one's own.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.3, right=0.8)[0])
    style.rows_of(axes, list(WHAT.values()))
    for at, field in enumerate(WHAT):
        for place, (name, samples) in enumerate(shown.items()):
            values = [sample[field] for sample in samples if field in sample]
            if not values:
                continue
            axes.barh(at + 0.36 * place - 0.18, 100 * np.mean(values), height=0.32, color=KINDS[name][1],
                      label=KINDS[name][0] if at == 0 else None)
    axes.axhline(3.5, color=style.GREY, linewidth=1)
    axes.set_xlim(0, 104)
    axes.set_xlabel("% of the trials")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return page.fig
