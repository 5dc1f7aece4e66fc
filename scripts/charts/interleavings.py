# SPDX-License-Identifier: MIT
"""All interleavings: the exact share of schedules for each x at the end."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

PROGRAMS = ("+/-", "++")
DIGITS = 6  # longer counts are shown as powers of ten


def at_most(names, count):
    """The first, and the greatest, so many in all."""
    return names if len(names) <= count else names[:1] + names[-(count - 1):]


def distribution(result, program, n):
    """Every x and its share, from exact counts."""
    rows = {row["x"]: int(row["schedules"]) for row in result.kinds.get("x", [])
            if row["variant"] == program and row["iterations"] == n}
    total = sum(rows.values())
    xs = sorted(rows)
    return np.array(xs), np.array([rows[x] / total for x in xs])


def power(exponent):
    """Of ten, for people."""
    return "10" + f"{exponent:.0f}".translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def percent(share):
    if 0 < share < 1e-6:
        return say("1 in {power}", power=power(-np.log10(share)))
    return f"{style.figures(share * 100, 2)} %"


def sizes_of(samples):
    return sorted({sample["iterations"] for sample in samples})


def draw_program(axes, result, program, samples):
    sample = samples[0]
    axes.set_title(f"{program}:  {result.help(program)}" if sample["threads"] == 2 else program)
    sizes = [n for n in sizes_of(samples) if n > 1] or sizes_of(samples)
    sizes = at_most(sizes, 5)
    for at, n in enumerate(sizes):
        exact = next(s["exact_x"] for s in samples if s["iterations"] == n)
        xs, shares = distribution(result, program, n)
        colour, marker = style.CYCLE[at]
        seen = shares > 0
        axes.plot(xs[seen] / n, shares[seen] / shares.max(), color=colour, linewidth=1.4,
                  marker=marker if n <= 12 else "", markersize=5, zorder=3,
                  label=f"N = {n}: {percent(share_of(result, program, n, samples))}")
        axes.plot([exact / n], [(shares / shares.max())[xs == exact][0]], marker="o", markersize=9,
                  markerfacecolor="none", markeredgecolor=style.BLACK, linestyle="none", zorder=4,
                  clip_on=False)
    axes.set_ylim(0, 1.04)
    axes.axvline(exact / n, color=style.GREY, linewidth=1, linestyle="--", zorder=1)
    axes.set_xlabel(translated("x at the end, divided by N"))
    axes.legend(title=translated("Share of schedules\nthat end right"), loc="upper left",
                bbox_to_anchor=(1.0, 1.08), fontsize=style.CAPTION + 1,
                title_fontsize=style.CAPTION + 1, frameon=False)


def share_of(result, program, n, samples):
    exact = next(s["exact_x"] for s in samples if s["iterations"] == n)
    xs, shares = distribution(result, program, n)
    return shares[xs == exact][0]


def title_of(result, programs):
    found = {"holds": MESSAGE("Every x between the extremes can come out"),
             "refuted": MESSAGE("Not every x between the extremes can come out")}.get(
                 result.verdict("race-interleavings"), MESSAGE("What x comes out as"))
    program = next(iter(programs))
    n = sizes_of(programs[program])[-1]
    share = percent(share_of(result, program, n, programs[program]))
    return say("{found}; {share} of schedules end right ({program}, N = {n})", found=translated(found), share=share,
               program=program, n=n)


def draw(result):
    programs = style.of_variants(result.all_samples, *PROGRAMS)
    sample = result.all_samples[0]
    last = max(sizes_of(result.all_samples))
    counted = next(s["schedules"] for s in result.all_samples if s["iterations"] == last)
    many = power(len(counted) - 1) if len(counted) > DIGITS else f"{int(counted):,}"
    page = style.Page(result, title_of(result, programs),
                      say("{threads} threads update x, N times each, without a lock. Exact: each of the {many} "
                          "schedules of N = {last} counts the same. A circle is at the right x.",
                          threads=sample["threads"], many=many, last=last))
    grid = page.grid(len(programs), 1, left=0.075, right=0.8, hspace=0.62)
    for at, (program, samples) in enumerate(programs.items()):
        axes = page.fig.add_subplot(grid[at])
        draw_program(axes, result, program, samples)
        axes.set_ylabel(translated("share (highest = 1)"))
    return page.fig
