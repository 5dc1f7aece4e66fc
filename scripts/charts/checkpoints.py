# SPDX-License-Identifier: MIT
"""Where x can end when threads switch at check points only: each program, each version's rules."""
from language import say, translated
from . import style

RULES = ("threads", "upto39", "from310")
LOSES, SAFE = (style.RED, "o"), (style.GREEN, "s")
# The fields of a program's range, and what is right, in updates of each thread.
SIGNS = (("", -0.17, 0), ("increments_", 0.17, 2))


def draw_rules(axes, samples):
    for at, sample in enumerate(samples):
        for prefix, shift, right in SIGNS:
            low, high = sample[f"{prefix}lowest_x"], sample[f"{prefix}highest_x"]
            colour, marker = SAFE if low == high else LOSES
            axes.plot([low, high], [at + shift] * 2, color=colour, linewidth=3, marker=marker,
                      markersize=6, clip_on=False)
            axes.plot([right * sample["iterations"]], [at + shift], "o", markersize=10,
                      markerfacecolor="none", markeredgecolor=style.BLACK, clip_on=False)
    axes.set_xlabel(translated("x at the end"))


def title_of(result, samples):
    losing = [s["program"] for s in samples
              if s["variant"] == "from310" and s["lowest_x"] < s["highest_x"]]
    if not losing or result.verdict("gil-check-between") != "holds":
        return translated("Where x can end, by the interpreter's check points")
    return say("By the rules of CPython since 3.10 only {programs} can lose updates", programs=", ".join(losing))


def draw(result):
    samples = [s for s in result.all_samples if s["trial"] == 0]
    variants = style.of_variants(samples, *RULES)
    n = samples[0]["iterations"]
    page = style.Page(result, title_of(result, samples),
                      say("All schedules of two threads, {n} updates each. Upper line: +/-, lower line: ++. Every x on "
                          "a line can come out; a circle is at the right one.", n=n))
    grid = page.grid(1, len(variants), left=0.165, wspace=0.1)
    for at, (name, rows) in enumerate(variants.items()):
        axes = page.fig.add_subplot(grid[at])
        axes.set_title(result.help(name))
        style.rows_of(axes, [row["program"] if at == 0 else "" for row in rows])
        draw_rules(axes, rows)
        axes.set_xlim(-n - 0.3, 2 * n + 0.3)
    return page.fig
