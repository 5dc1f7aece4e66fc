# SPDX-License-Identifier: MIT
"""What each way to protect a counter costs, alone and with others, and who gets a turn."""
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from language import MESSAGE, say, translated
from . import style

ORDER = ("split", "relaxed", "seq-cst", "cas", "mutex", "adaptive", "futex", "sem", "spin", "ttas",
         "ticket", "mcs", "own-lines", "one-line")
HANDFUL = 10  # fewer updates than that, and a thread's mark is hollow
LOOK = ((style.GREY, "o"), (style.BLUE, "s"), (style.RED, "^"), (style.ORANGE, "D"))


def cells_of(samples):
    """What the chart compares, as (threads, CPUs): alone, two, the most; the most on one CPU."""
    most = max(s["threads"] for s in samples)
    cpus = max(s["cpus"] for s in samples)
    there = {(s["threads"], s["cpus"]) for s in samples}
    wanted = [(1, cpus), (2, cpus), (most, cpus), (most, 1)]
    return [cell for cell in dict.fromkeys(wanted) if cell in there]


def of_cell(samples, cell):
    return [s for s in samples if (s["threads"], s["cpus"]) == cell and s["updates"] > 0]


def median(samples, field, over):
    return np.median([s[field] / max(s[over], 1) for s in samples]) if samples else np.nan


def starved(samples):
    return bool(samples) and np.median([s["fewest_updates"] for s in samples]) < HANDFUL


def named(cell):
    threads, cpus = cell
    return say(MESSAGE("{threads} thread") if threads == 1 else MESSAGE("{threads} threads on {cpus} CPU") if cpus == 1
               else MESSAGE("{threads} threads on {cpus} CPUs"), threads=threads, cpus=cpus)


def draw_costs(axes, variants, cells):
    axes.set_xscale("log")
    axes.set_title(translated("Cost of an update"))
    axes.set_xlabel(translated("ns an update, all threads together (log)"))
    for at, samples in enumerate(variants.values()):
        costs = [median(of_cell(samples, cell), "elapsed_ns", "updates") for cell in cells]
        axes.plot([np.nanmin(costs), np.nanmax(costs)], [at, at], color=style.PALE, linewidth=5,
                  solid_capstyle="round", zorder=1)
        for cost, cell, (colour, marker) in zip(costs, cells, LOOK):
            hollow = starved(of_cell(samples, cell))
            axes.plot(cost, at, marker, color=colour, markersize=11 if cell[0] == 1 else 8.5,
                      zorder=3, markerfacecolor="white" if hollow else colour,
                      markeredgewidth=1.6)
    low, high = axes.get_xlim()
    if high < low * 300:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.figures(ns)))
    axes.minorticks_off()


def draw_turns(axes, variants, cells):
    axes.set_title(translated("Fairness"))
    axes.set_xlim(-0.05, 1.05)
    axes.set_xlabel(translated("fewest / most updates\nof a thread (1 = fair)"))
    for at, samples in enumerate(variants.values()):
        for cell, (colour, marker) in zip(cells, LOOK):
            if cell[0] > 1 and of_cell(samples, cell):
                axes.plot(median(of_cell(samples, cell), "fewest_updates", "most_updates"), at,
                          marker, color=colour, markersize=7.5, alpha=0.85, clip_on=False)


def lost_percent(samples):
    updates = sum(s["updates"] for s in samples)
    return sum(s["lost_updates"] for s in samples) / max(updates, 1) * 100


def title_of(result, variants, cells):
    safe = {name: samples for name, samples in variants.items() if name != "split"}
    if any(s["lost_updates"] for samples in safe.values() for s in samples):
        return translated("A protected counter is wrong: this run shows nothing")
    if not safe:
        return say("Without a lock {lost:.0f} % of the updates were lost", lost=lost_percent(variants["split"]))
    pair = next((cell for cell in cells if cell[0] == 2), cells[-1])
    costs = {name: median(of_cell(samples, pair), "elapsed_ns", "updates")
             for name, samples in safe.items() if name not in ("own-lines", "one-line")}
    exact = result.verdict("race-mutex-fixes") == "holds"
    if "split" in variants:
        title = say(MESSAGE("Every lock is exact (without one {lost:.0f} % are lost)") if exact else
                    MESSAGE("No protected counter lost an update (without one {lost:.0f} % are lost)"),
                    lost=lost_percent(variants["split"]))
    else:
        title = translated(MESSAGE("Every lock is exact") if exact else MESSAGE("No protected counter lost an update"))
    low, high = min(costs, key=costs.get, default=""), max(costs, key=costs.get, default="")
    if costs and costs[high] > costs[low] * 1.05:
        title += "; " + say("with {threads} an update costs {least} ns ({low}) to {most} ns ({high})",
                            threads=named(pair), least=style.figures(costs[low], 2), low=low,
                            most=style.figures(costs[high], 2), high=high)
    return title


def draw(result):
    variants = style.of_variants(result.all_samples, *ORDER)
    cells = cells_of(result.all_samples)
    page = style.Page(result, title_of(result, variants, cells),
                      say("Threads add 1 to one counter until a deadline; medians of the trials. Hollow: some thread "
                          "got fewer than {handful} turns. With more threads than CPUs a spinning lock waits for a "
                          "thread that is not running.", handful=HANDFUL))
    grid = page.grid(1, 2, left=0.345, right=0.97, above=0.095, below=0.1, wspace=0.12,
                     width_ratios=(2.6, 1))
    costs, turns = (page.fig.add_subplot(grid[at]) for at in (0, 1))
    style.rows_of(costs, [f"{result.help(name)}  ({name})" for name in variants])
    style.rows_of(turns, [""] * len(variants))
    costs.tick_params(axis="y", labelsize=style.CAPTION)
    draw_costs(costs, variants, cells)
    draw_turns(turns, variants, cells)
    for cell, (colour, marker) in zip(cells, LOOK):
        costs.plot([], [], marker, color=colour, markersize=8.5, label=named(cell))
    page.fig.legend(*costs.get_legend_handles_labels(), loc="upper left", ncol=len(cells),
                    frameon=False, bbox_to_anchor=(style.LEFT - 0.01, page.top + 0.005),
                    handletextpad=0.2, columnspacing=1.5)
    return page.fig
