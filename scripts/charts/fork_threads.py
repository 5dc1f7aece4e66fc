# SPDX-License-Identifier: MIT
"""Whether the child of a program with threads can take a lock."""
import numpy as np

from . import style

ROWS = {"held": ("another thread\nheld it at the fork", style.RED),
        "handlers": ("the same, with\npthread_atfork", style.GREEN), "free": ("nobody held it", style.GREEN)}


def draw(result):
    shown = style.of_variants(result.samples, *ROWS)
    stuck = {name: style.column(samples, "stuck") for name, samples in shown.items()}
    held = stuck.get("held")
    title = ("A child can never take a lock that another thread held at the fork" if held is not None and held.any()
             else "Whether a child can take a lock that a thread held at the fork")
    page = style.Page(result, title, "In how many trials the child found the lock taken, and itself alone: "
                      "the thread that would give it back was not copied.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.8)[0])
    style.rows_of(axes, [ROWS[name][0] for name in shown])
    for at, name in enumerate(shown):
        axes.barh(at, 100 * np.mean(stuck[name]), color=ROWS[name][1], height=0.6)
        style.beside(axes, at, f"{stuck[name].sum():,} of {len(stuck[name]):,} trials")
    axes.set_xlim(0, 104)
    axes.set_xlabel("% of the trials in which it waits for ever")
    return page.fig
