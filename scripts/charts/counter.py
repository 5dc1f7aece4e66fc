# SPDX-License-Identifier: MIT
"""Lost updates: what share of ++ is lost, and where the notes' +/- ends."""
import textwrap

import numpy as np
from matplotlib.ticker import MaxNLocator

from language import MESSAGE, say, translated
from . import style

ORDER = ("split", "volatile", "plain", "mutex", "atomic")
RACY = ("split", "volatile")  # as for the verdicts; plain is too, but little of it may be left
CONTROLS = ("mutex", "atomic")
PROTECTED = {("mutex", "atomic"): MESSAGE("with a mutex or an atomic"), ("mutex",): MESSAGE("with a mutex"),
             ("atomic",): MESSAGE("with an atomic")}
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
        return translated("Even the controls lost updates: this run shows nothing")
    protected = translated(PROTECTED.get(tuple(name for name in CONTROLS if name in variants)))
    if not racy:
        return (say("No update is lost {protected}", protected=protected) if safe else
                translated("What the compiler left of the race"))
    lost = lost_percent(racy)
    if not len(lost) or result.verdict("race-nonzero") == "not-seen":
        k, n = wrong(racy)
        return say("Without a lock {k} of {n} trials ended wrong", k=k, n=n)
    return say(MESSAGE("{threads} threads without a lock lost {share} of their updates; {protected}, none") if safe else
               MESSAGE("{threads} threads without a lock lost {share} of their updates"),
               threads=racy[0]["threads"], share=share(np.median(lost)), protected=protected)


def note_of(samples, variants):
    threads, each = samples[0]["threads"], {s["iterations"] for s in samples}
    note = say(MESSAGE("{threads} threads update one counter x, {each:,} times each (under the mutex fewer). A dot is "
                       "a trial, a bar the median.") if len(each) > 1 else
               MESSAGE("{threads} threads update one counter x, {each:,} times each. A dot is a trial, a bar the "
                       "median."), threads=threads, each=max(each))
    if "plain" in variants and not lost_percent(variants["plain"]).any():
        note += " " + translated("plain is a race too: its 0 proves nothing.")
    return note


def label(result, name, samples):
    cost = np.median(style.column(samples, "elapsed_ns") / updates(samples))
    return (f"{name}\n{textwrap.fill(result.help(name), 24)}\n"
            + say("{cost} ns an update", cost=style.figures(cost, 2)))


def draw_lost(axes, variants):
    axes.set_title(translated("All threads add 1: updates lost"))
    axes.set_xlim(-3, 103)
    axes.set_xlabel(translated("lost updates (% of all)"))
    for at, (name, samples) in enumerate(variants.items()):
        lost = lost_percent(samples)
        style.dots(axes, lost, at, *look(name))
        style.median_bar(axes, lost, at)
        style.beside(axes, at, say("median\n{share}", share=share(np.median(lost))) if lost.any() else
                     say("exactly 0\nin all {trials}", trials=len(lost)) if len(lost) else translated("not run"))


def draw_final(axes, variants):
    samples = [s for samples in variants.values() for s in samples if "final_x" in s]
    exact = {s["final_x"] + s["error_updates"] for s in samples}
    axes.set_title(translated("Threads add 1 or subtract 1: x at the end"))
    axes.set_xlabel(translated(MESSAGE("x, in thousands (0 is correct)") if exact == {0} else
                               MESSAGE("x minus the exact value, in thousands (0 is correct)")))
    axes.axvline(0, color=style.GREY, linewidth=1, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    reach = max(abs(s["error_updates"]) for s in samples) / 1000
    axes.set_xlim(-max(reach, 1) * 1.08, max(reach, 1) * 1.08)
    for at, (name, samples) in enumerate(variants.items()):
        style.dots(axes, -style.column(samples, "error_updates") / 1000, at, *look(name))
        k, n = wrong(samples)
        style.beside(axes, at, say("{k} of {n}\nwrong", k=k, n=n))


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
