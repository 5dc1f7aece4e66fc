# SPDX-License-Identifier: MIT
"""What lies behind an fd_set after FD_SET and select with a descriptor that does not fit."""
import signal

import numpy as np

from . import style

VARIANTS = {"fits": "select, descriptor {}\n(it fits)",
            "beyond": "select, descriptor {}\n(trap)",
            "guard": "FD_SET({}), set at\nthe end of the memory",
            "fortify": "FD_SET({}) with\n_FORTIFY_SOURCE",
            "poll": "poll, descriptor {}\n(cure)"}
BEHIND = 8  # bytes that are watched


def end_of(samples):
    """How the child ended, in words."""
    number = samples[0]["signal"]
    if samples[0]["refused_errno"]:
        return "could not be tried"
    if number:
        return f"killed: {signal.Signals(number).name}"
    return "says ready,\nwhich is right" if samples[0]["ready"] else "does not say ready"


def bar(axes, at, count, colour, words):
    axes.barh(at, count, color=colour, height=0.3)
    axes.text(count + 0.1, at, words, va="center", color=colour if count else style.GREY)


def draw(result):
    shown = style.of_variants(result.samples, *VARIANTS)
    title = "What select does with a descriptor that does not fit into its set"
    if "beyond" in shown and not shown["beyond"][0]["refused_errno"]:
        samples = shown["beyond"]
        title = (f"With descriptor {samples[0]['descriptor']}, FD_SET overwrote "
                 f"{np.median(style.column(samples, 'fd_set_bytes')):.0f} and select "
                 f"{np.median(style.column(samples, 'select_bytes')):.0f} of the {BEHIND} bytes "
                 "behind the set")
        if "poll" in shown:
            most = style.column(shown["poll"], "select_bytes").max()
            title += f"; poll {most if most else 'none'}"
    page = style.Page(result, title,
                      "An fd_set has 1,024 bits. Each variant ran in a forked child; medians of "
                      f"{len(next(iter(shown.values())))} trials, right: how it ended.")
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.22, right=0.83, above=0.03)[0])
    style.rows_of(axes, [VARIANTS.get(name, name).format(samples[0]["descriptor"])
                         for name, samples in shown.items()])
    for at, (name, samples) in enumerate(shown.items()):
        by_set, by_call = (np.median(style.column(samples, field))
                           for field in ("fd_set_bytes", "select_bytes"))
        call = "poll" if name == "poll" else "select"
        style.beside(axes, at, end_of(samples))
        if samples[0]["signal"] or samples[0]["refused_errno"]:
            axes.text(0.1, at, "stopped before anything could be counted", va="center",
                      color=style.GREY)
        elif name == "poll":
            bar(axes, at, by_call, style.RED, f"{by_call:.0f} by poll")
        else:
            bar(axes, at - 0.18, by_set, style.ORANGE, f"{by_set:.0f} by FD_SET")
            bar(axes, at + 0.18, by_call, style.RED, f"{by_call:.0f} by {call}")
    axes.set_xlim(0, BEHIND + 1.5)
    axes.set_xticks(range(BEHIND + 1))
    axes.set_xlabel("bytes overwritten behind the set (poll: behind its array)")
    return page.fig
