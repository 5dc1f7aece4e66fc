# SPDX-License-Identifier: MIT
"""Which children a parent that waits before it reads waits for in vain."""
import numpy as np

from language import MESSAGE, say, translated
from sentence import value
from . import style

NAMES = {"wait-first": MESSAGE("waits, then reads"), "read-first": MESSAGE("reads, then waits")}


def title_of(result):
    beyond = result.number("buf-pipe-deadlock", "beyond")
    if beyond is None:
        return translated("A parent, its child, and what the child prints into a pipe")
    return say("Waited for first, {stuck} of {children} children that print more than a pipe holds get stuck",
               stuck=beyond["k"], children=beyond["n"])


def draw(result):
    cells = [(translated(NAMES[name]), amount, [s for s in samples if s["printed_bytes"] == amount])
             for name, samples in style.of_variants(result.samples, *NAMES).items()
             for amount in sorted({s["printed_bytes"] for s in samples})]
    page = style.Page(result, title_of(result), translated(
        "Stuck: the child is asleep in write, the parent in waitpid, and the pipe is full."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, right=0.85)[0])
    style.rows_of(axes, [name for name, _, _ in cells])
    for at, (_, amount, samples) in enumerate(cells):
        stuck = np.count_nonzero(style.column(samples, "stuck"))
        axes.barh(at, amount, color=style.RED if stuck else style.GREEN, height=0.6)
        style.beside(axes, at, say("{amount}\nstuck {stuck} of {trials}", stuck=stuck, trials=len(samples),
                                     amount=value("printed_bytes", amount, translated)))
    axes.axvline(np.median(style.column(result.samples, "pipe_bytes")), color=style.GREY,
                 linewidth=1, linestyle="--")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(translated("bytes that the child prints (dashed: what the pipe holds)"))
    return page.fig
