# SPDX-License-Identifier: MIT
"""Which line comes first, the thread's sum or main's: in C and in every CPython found."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

MAIN, SUM = (MESSAGE("main's line first"), style.BLUE), (MESSAGE("the sum first"), style.ORANGE)
SHORT = "-short"


def share_of(samples):
    """How many programs printed main first, of how many."""
    values = style.column(samples, "main_first")
    return np.count_nonzero(values), len(values)


def title_of(variants):
    told = []
    for who, names in (("C", [n for n in variants if n == "c"]),
                       ("CPython", [n for n in variants if n != "c" and not n.endswith(SHORT)])):
        yes, programs = np.sum([share_of(variants[name]) for name in names], axis=0) if names else (
            0, 0)
        if programs:
            told.append(say("{k} of {n} times in {language}", k=yes, n=programs, language=who))
    if not told:
        return translated("Which line comes first, the thread's sum or main's?")
    return say("Main's line came before the thread's sum {times}", times=", ".join(told))


def draw_bars(axes, title, parts):
    axes.set_title(title)
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("programs (%)"))
    for at, samples in enumerate(parts):
        yes, programs = share_of(samples)
        if not programs:
            axes.text(50, at, translated("no such setting"), ha="center", va="center", color=style.GREY)
            continue
        main = 100 * yes / programs
        axes.barh(at, main, 0.62, color=MAIN[1], label=translated(MAIN[0]))
        axes.barh(at, 100 - main, 0.62, left=main, color=SUM[1], label=translated(SUM[0]))
        style.beside(axes, at, say("{k} of {n}", k=yes, n=programs))


def order_of(name):
    """C, then the oldest interpreter first; two of one version by their names."""
    return name != "c", [int("".join(filter(str.isdigit, part)) or 0) for part in name.split(".")], name


def draw(result):
    variants = style.of_variants(result.all_samples)
    names = sorted({name[:-len(SHORT)] if name.endswith(SHORT) else name for name in variants},
                   key=order_of)
    interval = style.time_of(result.run["params"]["short_interval_us"] * 1e3)
    page = style.Page(result, title_of(variants), translated("A thread sums range(1, 100000) and prints the sum; main "
                      "starts it and prints a line. Beside a bar: how often main was first."))
    both = any(name.endswith(SHORT) for name in variants)
    grid = page.grid(1, 2 if both else 1, left=0.14, right=0.91, wspace=0.28, below=0.14)
    labels = ["C, pthread" if name == "c" else f"CPython {name}" for name in names]
    plain = page.fig.add_subplot(grid[0])
    style.rows_of(plain, labels)
    draw_bars(plain, translated("As it is (CPython 3: turns of up to 5 ms)"),
              [variants.get(name, []) for name in names])
    if both:
        short = page.fig.add_subplot(grid[1])
        style.rows_of(short, [""] * len(labels))
        draw_bars(short, say("CPython 3 with turns of up to {interval}", interval=interval),
                  [variants.get(name + SHORT, []) for name in names])
    seen = dict(zip(*reversed(plain.get_legend_handles_labels())))
    page.fig.legend(seen.values(), seen.keys(), loc="lower center", ncol=2, frameon=False,
                    bbox_to_anchor=(0.5, page.bottom))
    return page.fig
