# SPDX-License-Identifier: MIT
"""Lost updates: what share of ++ is lost, and where the notes' +/- ends."""
import textwrap

import numpy as np
from matplotlib.ticker import MaxNLocator

from . import style

ORDER = ("split", "volatile", "plain", "mutex", "atomic")
RACY = ("split", "volatile")  # as for the verdicts; plain is too, but little of it may be left
CONTROLS = ("mutex", "atomic")
A = {"mutex": "a mutex", "atomic": "an atomic"}
LOOK = {"mutex": (style.GREEN, "s"), "atomic": (style.GREEN, "s"), "plain": (style.BLUE, "^")}


def look(name):
    return LOOK.get(name, (style.RED, "o"))


def updates(samples):
    return style.column(samples, "threads") * style.column(samples, "iterations")


def lost_percent(samples):
    """Of each trial of ++."""
    counted = [s for s in samples if "lost_updates" in s]
    return style.column(counted, "lost_updates") / updates(counted) * 100


def wrong(samples):
    """How many trials of +/- ended wrong, of how many."""
    errors = style.column(samples, "error_updates")
    return np.count_nonzero(errors), len(errors)


def share(percent):
    if percent == 0:
        return "0 %"
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.2g} %"


def title_of(result, variants):
    racy = [s for name in RACY for s in variants.get(name, [])]
    safe = [s for name in CONTROLS for s in variants.get(name, [])]
    if lost_percent(safe).any() or wrong(safe)[0]:
        return "Even the controls lost updates: this run shows nothing"
    none = f"with {' or '.join(A[name] for name in CONTROLS if name in variants)}"
    if not racy:
        return f"No update is lost {none}" if safe else "What the compiler left of the race"
    lost = lost_percent(racy)
    if not len(lost) or result.verdict("race-nonzero") == "not-seen":
        return "Without a lock {} of {} trials ended wrong".format(*wrong(racy))
    return (f"{racy[0]['threads']} threads without a lock lost {share(np.median(lost))} of "
            "their updates" + (f"; {none}, none" if safe else ""))


def note_of(samples, variants):
    threads, each = samples[0]["threads"], {s["iterations"] for s in samples}
    fewer = " (under the mutex fewer)" if len(each) > 1 else ""
    note = (f"{threads} threads update one counter x, {max(each):,} times each{fewer}. A dot is a "
            "trial, a bar the median.")
    if "plain" in variants and not lost_percent(variants["plain"]).any():
        note += " plain is a race too: its 0 proves nothing."
    return note


def label(result, name, samples):
    cost = np.median(style.column(samples, "elapsed_ns") / updates(samples))
    return (f"{name}\n{textwrap.fill(result.help(name), 24)}\n"
            f"{style.figures(cost, 2)} ns an update")


def draw_lost(axes, variants):
    axes.set_title("All threads add 1: updates lost")
    axes.set_xlim(-3, 103)
    axes.set_xlabel("lost updates (% of all)")
    for at, (name, samples) in enumerate(variants.items()):
        lost = lost_percent(samples)
        style.dots(axes, lost, at, *look(name))
        style.median_bar(axes, lost, at)
        style.beside(axes, at, f"median\n{share(np.median(lost))}" if lost.any() else
                     f"exactly 0\nin all {len(lost)}" if len(lost) else "not run")


def draw_final(axes, variants):
    samples = [s for samples in variants.values() for s in samples if "final_x" in s]
    exact = {s["final_x"] + s["error_updates"] for s in samples}
    axes.set_title("Threads add 1 or subtract 1: x at the end")
    axes.set_xlabel(("x" if exact == {0} else "x minus the exact value") +
                    ", in thousands (0 is correct)")
    axes.axvline(0, color=style.GREY, linewidth=1, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    reach = max(abs(s["error_updates"]) for s in samples) / 1000
    axes.set_xlim(-max(reach, 1) * 1.08, max(reach, 1) * 1.08)
    for at, (name, samples) in enumerate(variants.items()):
        style.dots(axes, -style.column(samples, "error_updates") / 1000, at, *look(name))
        style.beside(axes, at, "{} of {}\nwrong".format(*wrong(samples)))


def draw(result):
    variants = style.of_variants(result.all_samples, *ORDER)
    both = any("final_x" in s for s in result.all_samples)  # else --same-sign
    page = style.Page(result, title_of(result, variants), note_of(result.all_samples, variants))
    grid = page.grid(1, 2 if both else 1, left=0.2, right=0.915, wspace=0.33)
    labels = [label(result, name, samples) for name, samples in variants.items()]
    lost = page.fig.add_subplot(grid[0])
    style.rows_of(lost, labels)
    draw_lost(lost, variants)
    if both:
        final = page.fig.add_subplot(grid[1])
        style.rows_of(final, [""] * len(labels))
        draw_final(final, variants)
    return page.fig
