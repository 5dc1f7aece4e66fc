# SPDX-License-Identifier: MIT
"""What compilers make of x += 1: the loop's kind, and what it loses on one CPU and on several."""
import numpy as np

from language import MESSAGE, say, translated
from . import style

COMPILERS = ("gcc", "clang", "other")
KINDS = ("plain", "volatile", "relaxed", "atomic")
ONE, SEVERAL = (style.BLUE, "o"), (style.RED, "s")
LOOPS = {"load-store": MESSAGE("load, {between} between, store"), "one": MESSAGE("one instruction"),
         "register": MESSAGE("in a register"), "folded": MESSAGE("one addition in all"),
         "locked": MESSAGE("one locked instruction")}


def loop_of(sample):
    """The label: what the loop is."""
    return say(LOOPS.get(sample["class"], MESSAGE("not classified")), between=sample["between_instructions"])


def lost(samples, field):
    """In percent of all updates of two threads."""
    counted = [s for s in samples if field in s]
    return style.column(counted, field) / (2 * style.column(counted, "iterations")) * 100


def title_of(samples):
    """What is found of those whose update is one instruction, else how many lost at all."""
    single = [s for s in samples if s["class"] == "one"]
    split = [s for s in samples if s["class"] == "load-store"]
    if single:
        alone = lost(single, "one_cpu_lost_updates")
        several = lost(single, "cpus_lost_updates")
        if not several.any():
            return say(MESSAGE("An update of one instruction lost up to {alone:.0f} % on one CPU") if alone.any() else
                       MESSAGE("An update of one instruction lost nothing on one CPU"), alone=alone.max())
        return say(MESSAGE("An update of one instruction lost up to {alone:.0f} % on one CPU, and a median "
                           "{several:.0f} % on several") if alone.any() else
                   MESSAGE("An update of one instruction lost nothing on one CPU, and a median "
                           "{several:.0f} % on several"),
                   alone=alone.max(), several=np.median(several))
    one = lost(split or samples, "one_cpu_lost_updates")
    return say("The compiled loops lost {lost:.0f} % of their updates on one CPU", lost=np.median(one))


def draw_kind(axes, result, kind, rows, samples):
    axes.set_title(next(result.help(s["variant"]) for s in samples if s["kind"] == kind))
    axes.set_xlim(-4, 104)
    axes.set_xticks((0, 25, 50, 75, 100))
    for at, row in enumerate(rows):
        here = [s for s in samples if (s["compiler"], s["level"]) == row and s["kind"] == kind]
        if not here:
            continue
        for field, (colour, marker), shift in (("one_cpu_lost_updates", ONE, -0.02),
                                               ("cpus_lost_updates", SEVERAL, 0.22)):
            values = lost(here, field)
            axes.plot(values, np.full(len(values), at + shift), marker, color=colour,
                      markersize=6, alpha=0.55, markeredgewidth=0, linestyle="none",
                      clip_on=False)
        axes.text(0, at - 0.2, loop_of(here[0]), va="bottom", size=style.CAPTION)


def draw(result):
    samples = result.all_samples
    rows = sorted({(s["compiler"], s["level"]) for s in samples},
                  key=lambda row: (COMPILERS.index(row[0]), row[1]))
    kinds = [kind for kind in KINDS[:3] if any(s["kind"] == kind for s in samples)]
    kinds = kinds or ["atomic"]
    control = [s for s in samples if s["kind"] == "atomic"]
    note = translated("The loop that each compiler makes of x += 1 (in words), and the updates that two threads "
                      "lose with it. A dot is a trial.")
    if control and kinds != ["atomic"]:
        worst = max(lost(control, "one_cpu_lost_updates").max(initial=0),
                    lost(control, "cpus_lost_updates").max(initial=0))
        note += " " + say("Control: an atomic addition lost {percent} %.", percent=style.figures(worst))
    page = style.Page(result, title_of([s for s in samples if s["kind"] != "atomic"] or samples),
                      note)
    grid = page.grid(1, len(kinds), left=0.095, right=0.975, above=0.1, wspace=0.09)
    for place, kind in enumerate(kinds):
        axes = page.fig.add_subplot(grid[place])
        style.rows_of(axes, [" ".join(row) if place == 0 else "" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.7)
        for edge in range(1, len(rows)):
            axes.axhline(edge - 0.52, color=style.PALE, linewidth=0.7)
        draw_kind(axes, result, kind, rows, samples)
        axes.set_xlabel(translated("lost updates (% of all)"))
        if place == len(kinds) - 1:
            for name, (colour, marker) in ((MESSAGE("on one CPU"), ONE), (MESSAGE("on several"), SEVERAL)):
                axes.plot([], [], marker, color=colour, markersize=6, label=translated(name))
            page.fig.legend(*axes.get_legend_handles_labels(), loc="upper right", ncol=2,
                            bbox_to_anchor=(style.RIGHT, page.top - 0.005), frameon=False)
    return page.fig
