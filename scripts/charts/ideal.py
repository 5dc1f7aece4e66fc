# SPDX-License-Identifier: MIT
"""The ideal server: ranks on the four criteria, latencies at a common rate, CPU and memory."""
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter

from language import MESSAGE, say, translated

from . import servers, style

# In the order of a model's ranks: heading, what of a sample, words.
CRITERIA = (
    (MESSAGE("blocks\nsleeps a request"), lambda s: servers.each(s, "fewest_sleeps", "fewest_sleeps_requests"),
     "{:,.2f}".format),
    (MESSAGE("overlaps\nother work done"), lambda s: 100 * servers.each(s, "work_ns", "work_elapsed_ns"),
     "{:,.0f} %".format),
    (MESSAGE("threads"), lambda s: style.column(s, "threads"), "{:,.0f}".format),
    (MESSAGE("CPU\na request"), servers.cpu, style.time_of),
    (MESSAGE("memory\na connection"), servers.memory, style.bytes_of))


def draw(result):
    """The pictures by what is added to their names."""
    variants = servers.of_run(result, [s for s in result.samples if s.get("requests")])
    pictures = {"": ranks, "-latency": latency, "-costs": costs}
    drawn = {suffix: picture(result, variants) for suffix, picture in pictures.items()}
    return {suffix: figure for suffix, figure in drawn.items() if figure}


def ranks_of(result, name):
    """A model's ranks; none for one that the run has no intervals of, so that it is compared with none."""
    numbers = result.verdicts.get("srv-ideal", {}).get("numbers", {})
    return [int(rank) for rank in numbers.get(name, "").split(",") if rank]


def by_sum(ranks):
    """The best first, and those without ranks last."""
    return not ranks, sum(ranks[:3]) + sum(ranks[3:]) / 2


def title_of(result):
    verdict = result.verdict("srv-ideal")
    first = result.number("srv-ideal", "first")
    if verdict == "holds" and first:
        return say("First on all four criteria: {first}", first=first)
    if verdict == "not-seen":
        return translated("No model is first on all four criteria")
    return translated("The four criteria of the ideal server")


def ranks(result, variants):
    page = style.Page(
        result, title_of(result),
        translated("In each cell the median, and in brackets the rank: one more than how many models are better "
                   "by a quarter and a step, with the whole interval."))
    axes = page.fig.add_subplot(page.grid(1, 1, left=0.13, above=0.09, below=0.02)[0])
    names = sorted(variants, key=lambda name: by_sum(ranks_of(result, name)))
    values, words = [], []
    for name in names:
        of = ranks_of(result, name) or [np.nan] * len(CRITERIA)
        medians = [np.median(figure(variants[name])) for _, figure, _ in CRITERIA]
        values.append(of)
        words.append([shown(median) + (f"   ({rank})" if np.isfinite(rank) else "")
                      for (_, _, shown), median, rank in zip(CRITERIA, medians, of)])
    if names:
        style.heat(axes, values, words, names, [translated(heading) for heading, _, _ in CRITERIA])
        axes.xaxis.tick_top()
    return page.fig


def curves_of(result):
    """{model: [of each trial (at most ns, share beyond)]}."""
    found = {}
    for point in result.kinds.get("curve", []):
        curve = found.setdefault(point["variant"], {}).setdefault(point["trial"], [])
        curve.append((point["at_most_ns"], point["beyond_ppm"]))
    return {name: [np.array(curve, dtype=float) for curve in trials.values()]
            for name, trials in found.items()}


def as_one_line(curves):
    """Percentile and latency of all of them, with gaps between: drawn at once."""
    parts = []
    for curve in curves:
        shown = curve[(curve[:, 1] <= 5e5) & (curve[:, 1] > 0)]
        parts += [np.stack((1e6 / shown[:, 1], shown[:, 0])), np.full((2, 1), np.nan)]
    return np.concatenate(parts, axis=1)


def latency(result, variants):
    curves = curves_of(result)
    names = [name for name in variants if name in curves]
    late = {name: np.median(style.column(variants[name], "open_p99_ns")) for name in names}
    if not names:
        return None
    low, high = min(late, key=late.get), max(late, key=late.get)
    page = style.Page(
        result, say("At {rate:,} requests/s p99 is {best} with {low} and {worst} with {high}",
                    rate=result.run["params"]["rate"], low=low, best=style.time_of(late[low]),
                    high=high, worst=style.time_of(late[high])),
        translated("Open loop beside other work: latency counts from when a request was due. A line is a trial; "
                   "grey: all other models."))
    everything = as_one_line([curve for trials in curves.values() for curve in trials])
    for at, name, axes in servers.panels(page, names, left=0.085, above=0.05, below=0.085):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.plot(*everything, color=style.PALE, linewidth=0.8, zorder=1)
        axes.plot(*as_one_line(curves[name]), color=style.CYCLE[at % len(style.CYCLE)][0], linewidth=1.6,
                  zorder=3)
        axes.set_xlim(2, 1e4)
        axes.xaxis.set_major_locator(FixedLocator([2, 10, 100, 1000]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{100 - 100 / n:.6g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: style.time_of(ns)))
        axes.minorticks_off()
    servers.common_labels(page, translated("percentile"), translated("latency at most (log)"))
    return page.fig


def costs(result, variants):
    cpu = {name: servers.cpu(samples) for name, samples in variants.items()}
    names = sorted(variants, key=lambda name: np.median(cpu[name]))
    if not names:
        return None
    page = style.Page(
        result, say("CPU time a request: {least} of {low}, {most} of {high}",
                    low=names[0], least=style.time_of(np.median(cpu[names[0]])),
                    high=names[-1], most=style.time_of(np.median(cpu[names[-1]]))),
        say("{connections:,} connections of 64 bytes a request, and memory of connections that are only held. "
            "A dot is a trial, a bar the median.", connections=result.run["params"]["connections"]))
    servers.side_by_side(page, names, (
        (translated("CPU a request"), translated("of the server"), cpu, style.time_of),
        (translated("Sleeps a request"), translated("of all threads"),
         {name: CRITERIA[0][1](samples) for name, samples in variants.items()},
         lambda n: style.figures(n, 2)),
        (translated("Memory a connection"), translated("with kernel stacks"),
         {name: servers.memory(samples) for name, samples in variants.items()}, style.bytes_of)))
    return page.fig
