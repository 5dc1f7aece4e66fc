# SPDX-License-Identifier: MIT
"""The outcomes of two litmus tests by memory order, on two CPUs and on one."""
from language import MESSAGE, say, translated
from . import style

TESTS = {"sb": (MESSAGE("Store buffering"), MESSAGE("x = 1;  a = y;     beside     y = 1;  b = x;")),
         "mp": (MESSAGE("Message passing"), MESSAGE("x = 1;  y = 1;     beside     a = y;  b = x;"))}
ORDERS = {"relaxed": "relaxed", "acq-rel": "release,\nacquire", "volatile": "volatile",
          "seq-cst": "seq_cst"}
OUTCOMES = {"both_0_rounds": (style.SKY, "0 0"), "first_0_rounds": (style.PALE, "0 1"),
            "second_0_rounds": (style.YELLOW, "1 0"), "both_1_rounds": (style.GREEN, "1 1")}
REORDERED = {"sb": "both_0_rounds", "mp": "second_0_rounds"}


def total(samples, field):
    return int(style.column(samples, field).sum())


def title_of(result):
    claim = "race-ordering"
    sb, mp = result.number(claim, "sb"), result.number(claim, "mp")
    if sb is None:
        return translated("How often two threads see each other's stores and loads in another order")
    share = 100 * sb["k"] / max(sb["n"], 1)
    return say(MESSAGE("Both threads missed the other's store in {share} % of the rounds, and data was older than its "
                       "flag in {older:,} rounds") if mp["k"] else
               MESSAGE("Both threads missed the other's store in {share} % of the rounds; stores were seen in order"),
               share=style.figures(share, 2), older=mp["k"])


def draw_test(axes, result, test, cpus, labels):
    shown = {order: [s for s in result.all_samples
                     if s["variant"] == f"{test}-{order}" and s["cpus"] == cpus] for order in ORDERS}
    style.rows_of(axes, list(ORDERS.values()) if labels else [""] * len(ORDERS))
    axes.set_xlim(0, 100)
    for at, samples in enumerate(shown.values()):
        rounds = total(samples, "rounds")
        if not rounds:
            continue
        left = 0
        for outcome, (colour, _) in OUTCOMES.items():
            share = 100 * total(samples, outcome) / rounds
            seen = outcome == REORDERED[test]
            axes.barh(at, share, left=left, color=style.RED if seen else colour, height=0.5)
            left += share
        reordered = total(samples, REORDERED[test])
        axes.text(0, at - 0.3, say("{k:,} of {n:,} reordered", k=reordered, n=rounds), va="bottom",
                  size=style.CAPTION, color=style.RED if reordered else style.BLACK)
    axes.set_xlabel(translated("% of the rounds"))


def draw(result):
    cpus = max(sample["cpus"] for sample in result.all_samples)
    page = style.Page(result, title_of(result), translated(
        MESSAGE("Two threads on one CPU: what they read, as a b. Red: what no order of the four lines gives.")
        if cpus == 1 else
        MESSAGE("Two threads on two CPUs: what they read, as a b. Red: what no order of the four lines gives.")))
    grid = page.grid(1, 2, left=0.085, right=0.975, above=0.16, wspace=0.1)
    for place, (test, (name, lines)) in enumerate(TESTS.items()):
        axes = page.fig.add_subplot(grid[place])
        axes.set_title(f"{translated(name)}\n{translated(lines)}")
        draw_test(axes, result, test, cpus, place == 0)
    for colour, name in [(style.RED, translated("reordered (left 0 0, right 1 0)")), *OUTCOMES.values()]:
        page.fig.axes[0].bar([0], [0], color=colour, label=name)
    page.fig.legend(*page.fig.axes[0].get_legend_handles_labels(), loc="upper left", ncol=5,
                    frameon=False, bbox_to_anchor=(style.LEFT - 0.01, page.top + 0.005))
    return page.fig
