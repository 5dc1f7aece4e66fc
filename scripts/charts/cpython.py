# SPDX-License-Identifier: MIT
"""The notes' program by CPython version: where x ends, which programs lose, where the GIL goes."""
from collections import Counter

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter

from language import MESSAGE, say, translated
from . import style

CODE = {"plain": "x += 1", "call": "x += f()", "call_first": "x = f() + x",
        "split": "t = x; x = t + 1", "attribute": "o.x += 1", "item": "l[0] += 1",
        "locked": MESSAGE("with a lock")}
RULES = ("2.7", "3.2 to 3.9", "since 3.10", "no GIL")

# What a thread had done last when it gave up the GIL; of the red ones x was loaded, not stored.
PLACES = (("FOR_ITER", MESSAGE("next i"), style.PALE), ("LOAD_GLOBAL", MESSAGE("load x"), style.RED),
          ("ADD", MESSAGE("add"), style.ORANGE), ("STORE_GLOBAL", MESSAGE("store x"), style.SKY),
          ("JUMP", MESSAGE("jump back"), style.BLUE), ("other", MESSAGE("other"), style.BLACK))


def is_model(name):
    return name.startswith("model")


def ordered(samples):
    """The samples by interpreter, each group followed by the model that has its rules."""
    groups = style.of_variants(samples)

    def key(name):
        version = [int("".join(filter(str.isdigit, part)) or 0) for part in name.split(".")]
        return RULES.index(groups[name][0]["rules"]), is_model(name), version
    return {name: groups[name] for name in sorted(groups, key=key)}


def lost(samples, program):
    return np.count_nonzero(style.column(samples, f"{program}_x"))


def title_of(variants):
    with_gil = {name: samples for name, samples in variants.items()
                if not is_model(name) and samples[0]["rules"] != "no GIL"}
    old = [lost(s, "plain") for s in with_gil.values() if s[0]["rules"] != "since 3.10"]
    new = [lost(s, "plain") for s in with_gil.values() if s[0]["rules"] == "since 3.10"]
    if any(lost(samples, "locked") for samples in variants.values()):
        return translated("Even with a lock x was not 0: this run shows nothing")
    told = []
    if old:
        told.append(say("in {k} of {n} CPythons up to 3.9", k=np.count_nonzero(old), n=len(old)))
    if new:
        told.append(say(MESSAGE("in {k} of {n} since 3.10") if any(new) else MESSAGE("in none of {n} since 3.10"),
                        k=np.count_nonzero(new), n=len(new)))
    return (say("x += 1 loses updates under the GIL {where}", where=", ".join(told)) if told else
            translated("x += 1 and x -= 1 in two threads"))


def draw_x(axes, variants):
    axes.set_title(translated("x += 1: x at the end"))
    axes.set_xscale("symlog", linthresh=100, linscale=0.5)
    ends = np.abs(style.column([s for v in variants.values() for s in v], "plain_x"))
    reach = max(10 ** np.ceil(np.log10(max(ends.max(), 1000))), 1e5) * 2
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_locator(FixedLocator([-1e6, -1e3, 0, 1e3, 1e6]))
    axes.xaxis.set_major_formatter(FuncFormatter(
        lambda value, _: "0" if value == 0 else f"{value / 1e6:+g} M" if abs(value) >= 1e6
        else f"{value / 1e3:+g} k"))
    axes.minorticks_off()
    for at, samples in enumerate(variants.values()):
        ends = style.column(samples, "plain_x")
        style.dots(axes, ends, at, *((style.RED, "o") if ends.any() else (style.GREEN, "s")))


def draw_programs(axes, variants):
    axes.set_title(translated("Trials that lost, by program"))
    axes.set_xlim(-0.5, len(CODE) - 0.5)
    axes.set_xticks(range(len(CODE)), map(translated, CODE.values()), rotation=35, ha="right",
                    rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.grid(False)
    for at, samples in enumerate(variants.values()):
        for column, program in enumerate(CODE):
            wrong = lost(samples, program)
            axes.plot(column, at, "o" if wrong else "s", markersize=15, markeredgewidth=0,
                      color=style.RED if wrong else style.GREEN, alpha=0.85 if wrong else 0.3)
            axes.text(column, at, f"{wrong}", ha="center", va="center", size=style.CAPTION,
                      color="white" if wrong else style.BLACK)


def place_of(opcode):
    for known, _, _ in PLACES:
        if opcode.startswith(known):
            return known
    return "ADD" if opcode.startswith(("INPLACE_", "BINARY_OP")) else "other"


def draw_places(axes, variants, rows):
    axes.set_title(translated("x += 1: GIL dropped after ..."))
    axes.set_xlim(0, 100)
    axes.set_xlabel(translated("% of the drops"))
    axes.grid(False)
    drops = {name: Counter() for name in variants}
    for row in rows:
        drops[row["variant"]][place_of(row["opcode"])] += row["drops"]
    for at, counts in enumerate(drops.values()):
        begin, total = 0, sum(counts.values())
        for known, _, colour in PLACES:
            width = counts[known] / total * 100 if total else 0
            axes.barh(at, width, left=begin, height=0.72, color=colour, edgecolor="white",
                      linewidth=0.7)
            begin += width
        inside = counts["LOAD_GLOBAL"] + counts["ADD"]
        style.beside(axes, at, f"{inside / total * 100:.0f} %" if total else translated("no GIL"))
    axes.text(1.015, 1.02, translated("inside"), transform=axes.transAxes)
    seen = [place for place in PLACES
            if any(counts[place[0]] > 0.005 * sum(counts.values()) for counts in drops.values())]
    axes.legend([axes.barh(0, 0, color=colour) for _, _, colour in seen],
                [translated(words) for _, words, _ in seen], loc="upper center", bbox_to_anchor=(0.5, -0.1),
                ncol=3, frameon=False, fontsize=style.CAPTION, handlelength=1, columnspacing=1)


def draw(result):
    variants = ordered(result.all_samples)
    each = next(iter(variants.values()))
    note = say("Two threads, {iterations:,} times each; a safe program ends at 0. A dot is one of {trials} trials. Red "
               "and orange drops lie inside, after the load of x and before its store: only those lose updates.",
               iterations=each[0]["iterations"], trials=len(each))
    page = style.Page(result, title_of(variants), note)
    grid = page.grid(1, 3, left=0.125, right=0.935, below=0.15, wspace=0.12,
                     width_ratios=(1, 1.25, 1.2))
    labels = list(variants)
    panels = [page.fig.add_subplot(cell) for cell in grid]
    for axes, names in zip(panels, (labels, [""] * len(labels), [""] * len(labels))):
        style.rows_of(axes, names)
    for name, tick in zip(variants, panels[0].get_yticklabels()):
        tick.set_style("italic" if is_model(name) else "normal")
    draw_x(panels[0], variants)
    draw_programs(panels[1], variants)
    draw_places(panels[2], variants, result.kinds.get("place", []))
    return page.fig
