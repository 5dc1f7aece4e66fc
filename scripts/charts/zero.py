# SPDX-License-Identifier: MIT
"""How often a racy program ends at 0, as if it were safe, against its number of updates."""

import numpy as np
from matplotlib.ticker import FuncFormatter

from language import MESSAGE, say, translated
from . import style

RACY = {"started": (style.BLUE, "s"), "barrier": (style.RED, "o"),
        "started-1cpu": (style.PINK, "D"), "barrier-1cpu": (style.ORANGE, "^")}


def counts(samples):
    """N, the runs that ended at 0 and all runs, by N."""
    ns = sorted({s["iterations"] for s in samples})
    return [(n, sum(s["zero_runs"] for s in samples if s["iterations"] == n),
             sum(s["runs"] for s in samples if s["iterations"] == n)) for n in ns]


def draw_curve(axes, result, name, samples, shift):
    colour, marker = RACY[name]
    points = counts(samples)
    ns = np.array([n for n, _, _ in points]) * shift
    shares = np.array([k / runs for _, k, runs in points]) * 100
    limits = np.array([style.wilson(k, runs) for _, k, runs in points]).T * 100
    axes.errorbar(ns, shares, yerr=np.abs(limits - shares), color=colour, marker=marker,
                  markersize=7, linewidth=2, elinewidth=1.2, capsize=3, zorder=3,
                  label=f"{name}: {result.help(name)}")


def share_at(samples, at):
    """How many of how many runs ended at 0, at the smallest (0) or the largest (-1) N."""
    n = sorted({s["iterations"] for s in samples})[at]
    k, runs = (sum(s[field] for s in samples if s["iterations"] == n)
               for field in ("zero_runs", "runs"))
    return n, k, runs


def title_of(racy):
    """Counts alone, so that it fits every verdict."""
    low, k, runs = share_at(racy, 0)
    high, high_k, high_runs = share_at(racy, -1)
    return say(
        MESSAGE("“It printed 0, so it is safe”: the same race printed 0 in {k:,} of {runs:,} runs with N = {low:,}, "
                "in {high_k:,} of {high_runs:,} with N = {high:,}") if high > low else
        MESSAGE("“It printed 0, so it is safe”: the same race printed 0 in {k:,} of {runs:,} runs with N = {low:,}"),
        k=k, runs=runs, low=low, high_k=high_k, high_runs=high_runs, high=high)


def note_of(control):
    note = translated("One thread does x += 1, the other x -= 1, N times each, without a lock: wrong at "
                      "every N. Bars are 95 % intervals.")
    if control:
        runs = sum(s["runs"] for s in control)
        zero = sum(s["zero_runs"] for s in control)
        note += " " + say(MESSAGE("With an atomic update all {runs:,} runs ended at 0.") if zero == runs else
                          MESSAGE("With an atomic update {zero:,} of {runs:,} runs ended at 0."), zero=zero, runs=runs)
    return note


def draw(result):
    variants = style.of_variants(result.all_samples, *RACY)
    racy = {name: samples for name, samples in variants.items() if name in RACY}
    if not racy:
        raise ValueError("no racy program was run")
    page = style.Page(result, title_of([s for samples in racy.values() for s in samples]),
                      note_of(variants.get("atomic", [])))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.075, right=0.95, above=0.03, below=0.155)[0])
    axes.set_xscale("log")
    for at, (name, samples) in enumerate(racy.items()):
        draw_curve(axes, result, name, samples, 10 ** ((at - (len(racy) - 1) / 2) * 0.035))
    ns = [s["iterations"] for samples in racy.values() for s in samples]
    axes.set_xlim(min(ns) / 1.6, max(ns) * 1.6)
    axes.set_ylim(-3, 103)
    axes.set_xticks(sorted(set(ns)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel(translated("N, updates of each thread"))
    axes.set_ylabel(translated("runs that ended at 0 (%)"))
    page.fig.legend(*axes.get_legend_handles_labels(), loc="lower center", ncol=2, frameon=False,
                    bbox_to_anchor=(0.5, page.bottom - 0.005), fontsize=style.CAPTION + 1)
    return page.fig
