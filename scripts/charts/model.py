# SPDX-License-Identifier: MIT
"""A model of CPython's GIL: where x ends, after which opcode the lock is dropped, who held it."""
import textwrap

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from language import MESSAGE, say, translated
from . import style

ORDER = ("ticker-2.7", "up-to-3.9", "from-3.10", "from-3.10-call", "none", "mutex")
SAFE = ("from-3.10", "mutex")
RACY = ("ticker-2.7", "up-to-3.9", "from-3.10-call")  # under a GIL
LOCK = "#AAAAAA"  # calls of the program's own lock
# The opcodes of the loop in their order: field, name, colour.  Red: x is loaded and not yet stored.
OPCODES = (("drops_for_iter", "FOR_ITER", style.SKY),
           ("drops_acquire", None, LOCK),
           ("drops_load_global", "LOAD_GLOBAL", "#F4B183"),
           ("drops_call", "CALL", "#E8894A"),
           ("drops_inplace_add", "INPLACE_ADD", style.RED),
           ("drops_store_global", "STORE_GLOBAL", style.BLUE),
           ("drops_release", "acquire, release", LOCK),
           ("drops_jump", "JUMP", "#9BC4E0"))
INSIDE = ("drops_load_global", "drops_call", "drops_inplace_add")
LINES = ("ticker-2.7", "up-to-3.9", "from-3.10", "none")
LANES = (("#444444", MESSAGE("the thread that adds 1")), (style.PINK, MESSAGE("the one that subtracts 1")))


def look(name):
    return (style.GREEN, "s") if name in SAFE else (style.RED, "o")


def wrong(samples):
    """How many trials ended elsewhere than at 0, of how many."""
    xs = style.column(samples, "final_x")
    return np.count_nonzero(xs), len(xs)


def title_of(result, variants):
    if wrong(variants.get("mutex", []))[0]:
        return translated("Even the control lost updates: this run shows nothing")
    if {result.verdict(claim) for claim in ("gil-checks", "gil-not-your-data")} == {"holds"}:
        return translated("The GIL does not protect x += 1: CPython from 3.10 on just never stops inside it")
    racy = [s for name in RACY for s in variants.get(name, [])]
    if racy:
        k, n = wrong(racy)
        return say("Under the GIL {k} of {n} trials lost updates", k=k, n=n)
    return translated("Where x += 1 and x -= 1 end under a model of the GIL")


def note_of(samples):
    return say("A model of CPython's lock. One thread adds 1 to x, the other subtracts 1, {each:,} times each; 0 is "
               "right.", each=max(s["iterations"] for s in samples))


def draw_final(axes, variants):
    ends = [abs(s["final_x"]) for samples in variants.values() for s in samples]
    reach = max(ends + [1000]) / 1000
    axes.set_title(translated("x at the end (a dot is a trial)"))
    axes.set_xlabel(translated("x, in thousands"))
    axes.axvline(0, color=style.GREY, linewidth=1, zorder=1)
    axes.set_xlim(-reach * 1.08, reach * 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for at, (name, samples) in enumerate(variants.items()):
        style.dots(axes, style.column(samples, "final_x") / 1000, at, *look(name))
        count, trials = wrong(samples)
        style.beside(axes, at, say(MESSAGE("{count} of {trials}\nnot 0") if count else MESSAGE("0 in\nall {trials}"),
                                   count=count, trials=trials))


def draw_drops(axes, variants):
    axes.set_title(translated("Lock dropped after (hatched: inside x += 1)"))
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("share of the drops (%)"))
    axes.grid(False)
    for at, samples in enumerate(variants.values()):
        drops = np.array([style.column(samples, field).sum() for field, _, _ in OPCODES])
        if not drops.sum():
            axes.text(1, at, translated("there is nothing to drop"), va="center", color=style.GREY)
            continue
        left = 0
        for (field, name, colour), share in zip(OPCODES, drops / drops.sum() * 100):
            axes.barh(at, share, left=left, height=0.62, color=colour, edgecolor="white",
                      hatch="///" if field in INSIDE else None, linewidth=0.6)
            left += share
        inside = style.column(samples, "drops_inside").sum() / drops.sum() * 100
        style.beside(axes, at, say(MESSAGE("{percent:.0f} %\ninside") if inside else MESSAGE("none\ninside"),
                                   percent=inside))


def draw_line(axes, lines, window):
    rows = [name for name in LINES if name in lines]
    axes.set_title(translated("Who held the lock in the first trial"))
    style.rows_of(axes, rows)
    for at, name in enumerate(rows):
        for thread, (colour, *_) in enumerate(LANES):
            held = [(hold["begin_ns"] / 1e6, min(hold["end_ns"] / 1e6, window) - hold["begin_ns"] / 1e6)
                    for hold in lines[name] if hold["thread"] == thread]
            axes.broken_barh(held, (at + (0.19 if thread else -0.19) - 0.18, 0.36), color=colour, linewidth=0)
        last = max(hold["end_ns"] for hold in lines[name]) / 1e6
        if last < window * 0.97 and len(lines[name]) >= 900:
            axes.text(last + window / 100, at, translated("(not logged further)"), va="center",
                      color=style.GREY, size=style.CAPTION)
    axes.set_xlim(0, window)
    axes.set_xlabel(translated("time (ms)"), labelpad=1)
    axes.grid(False)


def legend(axes, handles, columns, **where):
    axes.legend(handles=handles, ncols=columns, frameon=False, fontsize=style.CAPTION,
                handlelength=1.2, columnspacing=1, borderpad=0, **where)


def shown(variants):
    """The opcodes after which the lock was dropped at all."""
    colours = {colour for field, _, colour in OPCODES
               if any(style.column(samples, field).sum() for samples in variants.values())}
    return [opcode for opcode in OPCODES if opcode[1] and opcode[2] in colours]


def draw(result):
    variants = style.of_variants(result.all_samples, *ORDER)
    holds = result.kinds.get("hold", [])
    lines = {name: rows for name, rows in style.of_variants(holds).items() if name in LINES}
    page = style.Page(result, title_of(result, variants), note_of(result.all_samples))
    grid = page.grid(2 if lines else 1, 1, left=0.24, right=0.925, hspace=0.66,
                     above=0.055, below=0.09 if lines else 0.15,
                     **({"height_ratios": (2.9, 1)} if lines else {}))
    panels = grid[0].subgridspec(1, 2, wspace=0.3)
    final, drops = page.fig.add_subplot(panels[0]), page.fig.add_subplot(panels[1])
    style.rows_of(final, [textwrap.fill(f"{name}: {result.help(name)}", 36) for name in variants])
    final.tick_params(axis="y", labelsize=style.CAPTION)
    style.rows_of(drops, [""] * len(variants))
    draw_final(final, variants)
    draw_drops(drops, variants)
    legend(drops, [Patch(facecolor=colour, edgecolor="white", label=name,
                         hatch="///" if field in INSIDE else None)
                   for field, name, colour in shown(variants)], 4,
           loc="upper center", bbox_to_anchor=(0.52, -0.165))
    if lines:
        strip = page.fig.add_subplot(grid[1])
        draw_line(strip, lines, result.run["params"]["interval_us"] * 12 / 1000)
        legend(strip, [Patch(color=colour, label=translated(label)) for colour, label in LANES], 2,
               loc="lower right", bbox_to_anchor=(1, 1.02))
    return page.fig
