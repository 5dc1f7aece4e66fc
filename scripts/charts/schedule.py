# SPDX-License-Identifier: MIT
"""Schedules that real threads executed, step by step, and how many switches each x takes."""
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from language import say, translated
from . import style

PROGRAMS = ("+/-", "++")
STEPS = {"+/-": (1, -1, 1), "++": (1, 1, 1)}
SHOWN_N = 5  # the longest schedule that is drawn


def executed(row):
    """Of each step: the thread, whether it stores, and the value."""
    x, loaded = 0, {}
    for who in row["schedule"]:
        if who in loaded:
            x = loaded.pop(who) + STEPS[row["variant"]][ord(who) - ord("A")]
            yield who, True, x
        else:
            loaded[who] = x
            yield who, False, x


def chosen(result, program):
    """The schedule to draw: to 2 if there is one, of N = 3 or about."""
    rows = [row for row in result.kinds.get("witness", []) if row["variant"] == program
            and row["trial"] == 0 and row["iterations"] <= SHOWN_N]
    return min(rows, key=lambda row: (abs(row["iterations"] - 3), row["x"] != 2), default=None)


def draw_schedule(axes, row):
    lanes = sorted(set(row["schedule"]))
    axes.set_title(say("{program}, N = {n}:  {switches} switches to x = {x}", program=row["variant"],
                       n=row["iterations"], switches=row["switches"], x=row["replayed_x"]))
    style.rows_of(axes, [f"{lane}: x {'+' if step > 0 else '−'}= 1"
                         for lane, step in zip(lanes, STEPS[row["variant"]])])
    for at, (who, stores, value) in enumerate(executed(row)):
        lane = lanes.index(who)
        colour = style.CYCLE[lane][0]
        axes.add_patch(Rectangle((at + 0.03, lane - 0.46), 0.94, 0.92, edgecolor=colour,
                                 facecolor=colour if stores else "white", linewidth=1.2))
        axes.text(at + 0.5, lane, (translated("store") if stores else translated("load")) + f"\n{value}", ha="center",
                  va="center", size=style.CAPTION, color="white" if stores else style.BLACK)
    axes.set_xlim(0, len(row["schedule"]))
    axes.set_xticks([])
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)


def draw_switches(axes, result, program, n):
    rows = [row for row in result.kinds.get("x", []) if row["variant"] == program
            and row["trial"] == 0 and row["iterations"] == n and row["switches"] >= 0]
    axes.set_title(f"{program}, N = {n}")
    axes.plot([row["x"] for row in rows], [row["switches"] for row in rows], "o",
              color=style.BLUE, markersize=5, clip_on=False)
    axes.set_ylim(0, max((row["switches"] for row in rows), default=1) + 0.8)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(translated("x at the end"))


def title_of(result):
    two = [row for row in result.kinds.get("witness", [])
           if (row["variant"], row["replayed_x"]) == ("++", 2) and row["iterations"] > 1]
    if not two or result.verdict("race-ends-at-two") != "holds":
        return translated("Which x can be reached, and with how many switches")
    most = max(two, key=lambda row: row["iterations"])
    return say("{threads} threads of x += 1, {n} times each, ended at 2 after {switches} switches",
               threads=len(set(most["schedule"])), n=most["iterations"], switches=most["switches"])


def draw(result):
    programs = list(style.of_variants(result.all_samples, *PROGRAMS))
    drawn = [row for row in (chosen(result, program) for program in programs) if row]
    page = style.Page(result, title_of(result),
                      translated("Real threads took these steps in this order: no schedule ends there with "
                                 "fewer switches. Hollow: x is loaded; filled: stored.") if drawn else "")
    grid = page.grid(len(drawn) + 1, len(programs), left=0.085, hspace=0.6, wspace=0.12,
                     height_ratios=[1] * len(drawn) + [1.3])
    for at, row in enumerate(drawn):
        draw_schedule(page.fig.add_subplot(grid[at, :]), row)
    for at, program in enumerate(programs):
        axes = page.fig.add_subplot(grid[len(drawn), at])
        sizes = {s["iterations"] for s in result.all_samples if s["variant"] == program}
        draw_switches(axes, result, program, max((n for n in sizes if n <= 12), default=max(sizes)))
        if at == 0:
            axes.set_ylabel(translated("fewest switches"))
    return page.fig
