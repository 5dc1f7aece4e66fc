# SPDX-License-Identifier: MIT
"""Whether the child of a program with threads can take a lock."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

ROWS = {"held": (MESSAGE("another thread\nheld it at the fork"), style.RED),
        "handlers": (MESSAGE("the same, with\npthread_atfork"), style.GREEN),
        "free": (MESSAGE("nobody held it"), style.GREEN)}


def draw(result):
    shown = style.of_variants(result.samples, *ROWS)
    stuck = {name: style.column(samples, "stuck") for name, samples in shown.items()}
    held = stuck.get("held")
    title = translated(
        MESSAGE("A child can never take a lock that another thread held at the fork") if held is not None and held.any()
        else MESSAGE("Whether a child can take a lock that a thread held at the fork"))
    page = style.Page(result, title, translated("In how many trials the child found the lock taken, and itself alone: "
                                                "the thread that would give it back was not copied."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.18, right=0.8)[0])
    style.rows_of(axes, [translated(ROWS[name][0]) for name in shown])
    for at, name in enumerate(shown):
        axes.barh(at, 100 * np.mean(stuck[name]), color=ROWS[name][1], height=0.6)
        style.beside(axes, at, say("{k:,} of {n:,} trials", k=stuck[name].sum(), n=len(stuck[name])))
    axes.set_xlim(0, 104)
    axes.set_xlabel(translated("% of the trials in which it waits for ever"))
    return page.fig
