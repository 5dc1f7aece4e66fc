# SPDX-License-Identifier: MIT
"""Which children a parent that waits before it reads waits for in vain."""
import numpy as np

from . import style

NAMES = {"wait-first": "waits, then reads", "read-first": "reads, then waits"}


def title_of(result):
    beyond = result.number("buf-pipe-deadlock", "beyond")
    if beyond is None:
        return "A parent, its child, and what the child prints into a pipe"
    return (f"Waited for first, {beyond['k']} of {beyond['n']} children that print more than a "
            "pipe holds get stuck")


def draw(result):
    cells = [(NAMES[name], amount, [s for s in samples if s["printed_bytes"] == amount])
             for name, samples in style.of_variants(result.samples, *NAMES).items()
             for amount in sorted({s["printed_bytes"] for s in samples})]
    page = style.Page(result, title_of(result), "Stuck: the child is asleep in write, the parent in "
                      "waitpid, and the pipe is full.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.15, right=0.85)[0])
    style.rows_of(axes, [name for name, _, _ in cells])
    for at, (_, amount, samples) in enumerate(cells):
        stuck = np.count_nonzero(style.column(samples, "stuck"))
        axes.barh(at, amount, color=style.RED if stuck else style.GREEN, height=0.6)
        style.beside(axes, at, f"{amount:,} bytes\nstuck {stuck} of {len(samples)}")
    axes.axvline(np.median(style.column(result.samples, "pipe_bytes")), color=style.GREY,
                 linewidth=1, linestyle="--")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("bytes that the child prints (dashed: what the pipe holds)")
    return page.fig
