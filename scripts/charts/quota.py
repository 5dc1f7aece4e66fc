# SPDX-License-Identifier: MIT
"""What a CPU quota leaves of the CPUs that a program sees, and for how long it stands still."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

ROWS = {"short": (MESSAGE("2 ms in each 10 ms"), style.RED), "long": (MESSAGE("20 ms in each 100 ms"), style.RED),
        "unlimited": (MESSAGE("no quota"), style.GREEN)}


def used(samples):
    return style.column(samples, "cpu_ns") / style.column(samples, "elapsed_ns")


def stalls(samples):
    return style.column(samples, "stall_ns") / 1e6


def title_of(shown, seen):
    limited = {name: samples for name, samples in shown.items() if name != "unlimited"}
    if not limited:
        return say("What programs use of the {seen} CPUs that they see", seen=seen)
    share = np.median(np.concatenate([used(samples) for samples in limited.values()]))
    longest = max(np.median(style.column(samples, "stall_ns")) for samples in limited.values())
    return say("With a CPU quota programs see {seen} CPUs, use {used}, and stand still for {stall}", seen=seen,
               used=style.figures(share, 2), stall=style.time_of(longest))


def draw_panel(axes, shown, values_of, title, label):
    style.rows_of(axes, [""] * len(shown))
    axes.set_title(title)
    most = max(values_of(samples).max() for samples in shown.values())
    axes.set_xlim(0, 1.22 * most)
    for at, (name, samples) in enumerate(shown.items()):
        values = values_of(samples)
        axes.barh(at, np.median(values), color=style.PALE, height=0.6)
        style.dots(axes, values, at, ROWS[name][1], "o")
        axes.text(values.max() + 0.03 * most, at, style.figures(np.median(values), 2), va="center")
    axes.set_xlabel(label)


def draw(result):
    shown = style.of_variants(result.all_samples, *ROWS)
    seen = max(sample["seen_cpus"] for sample in result.all_samples)
    page = style.Page(result, title_of(shown, seen), translated("As many busy processes as CPUs, in a cgroup. A dot is "
                                                           "a trial, the bar and the number its median."))
    grid = page.grid(1, 2, left=0.185, above=0.1, wspace=0.1)
    left, right = (page.fig.add_subplot(grid[i]) for i in range(2))
    draw_panel(left, shown, used, say("CPUs used, of {seen} seen", seen=seen), translated("CPU time by wall time"))
    draw_panel(right, shown, stalls, translated("Longest stand still"),
               translated("ms between two looks at the clock"))
    left.set_yticks(range(len(shown)), [translated(ROWS[name][0]) for name in shown])
    return page.fig
